//! What one turn decided: the rows of its transaction, and what is told to others once that has committed.

use windrose_core::claim::Claim;
use windrose_core::ids::{AttemptId, TaskInstanceKey};
use windrose_core::notify::NotificationClaim;
use windrose_core::run_state::RunState;
use windrose_core::time::Timestamp;
use windrose_engine::{Effect, RunMachine};
use windrose_store::{Batch, EventRow, NewTask, RemovedTask, RunWrite, XComRow};

use crate::assets::Emission;
use crate::handle::Cancellation;

/// Filled during a turn, emptied after its commit.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) batch: Batch,
    pub(crate) claims: Vec<Claim>,
    pub(crate) cancellations: Vec<Cancellation>,
    /// Assets that have changed; they become events before the turn is committed.
    pub(crate) emissions: Vec<Emission>,
    pub(crate) notifications: Vec<NotificationClaim>,
    /// Attempts whose question has an answer.
    pub(crate) answered: Vec<AttemptId>,
}

impl Outbox {
    /// Takes an effect that is not admission's.
    pub(crate) fn take(&mut self, machine: &RunMachine, now: Timestamp, effect: Effect) {
        match effect {
            Effect::SetTask(change) => self.batch.tasks.push(change),
            Effect::SetRun(change) => {
                let facts = machine.facts();
                self.batch.runs.push(RunWrite {
                    key: facts.key,
                    from: change.from,
                    to: change.to,
                    started_at: change.started_at,
                    ended_at: change.ended_at,
                    dag_version: None,
                });
                if change.to.is_final() {
                    self.batch.events.push(run_ended(machine, now, change.to));
                }
            }
            Effect::AddTask(key) => {
                let max_tries = machine.task_instance(&key).map_or(0, |task| task.columns.max_tries);
                self.batch.new_tasks.push(NewTask { key, max_tries });
            }
            Effect::Expand { key, from, length } => {
                let retries = machine.task(key.task.as_str()).map_or(0, |task| task.columns.max_tries);
                let indexes = 0..i32::try_from(length).unwrap_or(i32::MAX);
                let instance = |map_index| TaskInstanceKey { map_index, ..key.clone() };
                let instances = indexes.map(|index| NewTask { key: instance(index), max_tries: retries });
                self.batch.new_tasks.extend(instances);
                self.batch.removed_tasks.push(RemovedTask { key, from });
            }
            Effect::EndAttempt(end) => self.batch.attempts_ended.push(end),
            Effect::PushXComs { key, xcoms } => {
                let rows = xcoms.into_iter().map(|xcom| XComRow {
                    key: key.clone(),
                    name: xcom.key,
                    value: xcom.value,
                    created_at: now,
                });
                self.batch.xcoms.extend(rows);
            }
            Effect::EmitAssets { key, assets } => {
                let facts = machine.facts();
                self.emissions.extend(assets.into_iter().map(|update| Emission::of_task(facts, &key, update)));
            }
            Effect::ClearXComs(key) => self.batch.clear_xcoms.push(key),
            Effect::CancelAttempt { attempt, by, .. } => self.cancellations.push(Cancellation { attempt, by }),
            // Made with the folder of the DAG file, which is not known here.
            Effect::Notify { .. } | Effect::NotifyOfRun { .. } => {}
            Effect::Offer(_) | Effect::Withdraw(_) | Effect::Occupy { .. } | Effect::Release(_) | Effect::Defer(_) => {}
        }
    }
}

fn run_ended(machine: &RunMachine, now: Timestamp, state: RunState) -> EventRow {
    let facts = machine.facts();
    EventRow {
        at: now,
        dag_id: Some(facts.dag_id.clone()),
        run_id: Some(facts.run_id.clone()),
        task: None,
        what: state.as_str().to_owned(),
        who: "scheduler".to_owned(),
        detail: None,
    }
}
