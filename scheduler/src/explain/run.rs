//! Why a run does not run, or does not end.

use std::collections::HashMap;
use std::sync::Arc;

use windrose_core::approval::Asked;
use windrose_core::cause::Cause;
use windrose_core::ids::{RunId, RunKey, TaskInstanceKey};
use windrose_core::run_state::RunState;
use windrose_core::task_state::{FinalState, TaskState};
use windrose_core::time::Timestamp;
use windrose_engine::admission::{QueuedRun, StartObstacle, start_obstacle};
use windrose_engine::{RunMachine, TaskSnapshot};
use windrose_store::ApprovalFilter;

use super::approval::waits_for_people;
use super::dag::paused;
use super::{AT_MOST, RunExplanation, Subject, TaskExplanation, Why, instance_name, listed, ordinal};
use crate::commands::Failed;
use crate::drive::Driver;
use crate::restore::snapshots;

/// How many open questions of a run are read at most.
const MOST_QUESTIONS: u32 = 10_000;

impl Driver {
    pub(super) async fn explain_named_run(
        &mut self,
        now: Timestamp,
        subject: &Subject,
        run_id: &RunId,
    ) -> Result<RunExplanation, Failed> {
        let run = match self.runs.named(&subject.dag_id, run_id) {
            Some(run) => run,
            None => self.find(&subject.dag_id, run_id).await?,
        };
        let explained = self.explain_run(now, run, subject).await?;
        explained.ok_or_else(|| Failed::Refused(format!("run '{run_id}' of DAG '{}' is gone", subject.dag_id)))
    }

    /// None if there is no such run.
    pub(super) async fn explain_run(
        &mut self,
        now: Timestamp,
        run: RunKey,
        subject: &Subject,
    ) -> Result<Option<RunExplanation>, Failed> {
        let mut why: Vec<Why> = self.no_scheduler().into_iter().collect();
        let loaded = match self.runs.live.get(&run) {
            Some(_) => None,
            None => match self.machine_to_look_at(run).await? {
                Some(machine) => Some(machine),
                None => return Ok(None),
            },
        };
        let Some(machine) = loaded.as_ref().or_else(|| self.runs.live.get(&run).map(|live| &live.machine)) else {
            return Ok(None);
        };
        match machine.state() {
            RunState::Queued => why.extend(self.explain_queued(now, run)),
            RunState::Running => {}
            RunState::Success | RunState::Failed => why = vec![run_ended(machine)],
        }
        let dag_id = &machine.facts().dag_id;
        if self.paused.contains(dag_id) && !machine.state().is_final() {
            why.push(paused(dag_id));
        }
        why.extend(self.explain_deadlines_of_run(dag_id, run).await?);
        let chosen = chosen(machine, subject)?;
        let causes = self.causes(run, &chosen).await?;
        let questions = self.open_questions(run, &chosen).await?;
        let tasks = chosen.iter().take(AT_MOST).map(|row| TaskExplanation {
            task_id: row.task.clone(),
            map_index: row.map_index,
            state: row.state.name(),
            why: match questions.get(&key_of(run, row)) {
                Some(asked) => vec![waits_for_people(machine.facts(), row, asked)],
                None => self.explain_task(machine, row, causes.get(&key_of(run, row))),
            },
        });
        Ok(Some(RunExplanation {
            run_id: machine.facts().run_id.clone(),
            state: machine.state(),
            why,
            more_tasks: chosen.len().saturating_sub(AT_MOST),
            tasks: tasks.collect(),
        }))
    }

    /// A machine of a run that has none, to be looked at and thrown away.
    async fn machine_to_look_at(&mut self, run: RunKey) -> Result<Option<RunMachine>, Failed> {
        let waiting = self.runs.waiting.get(&run).map(|waiting| Arc::clone(&waiting.facts));
        let row = self.store.run(run).await?;
        let (facts, state, started_at, ended_at) = match (row, waiting) {
            (Some(row), _) => (Arc::new(row.facts), row.state, row.started_at, row.ended_at),
            // It was made in this very turn.
            (None, Some(facts)) => (facts, RunState::Queued, None, None),
            (None, None) => return Ok(None),
        };
        let version = self.dags.version(&facts.dag_id, &facts.dag_version, &self.store).await?;
        let rows = snapshots(self.store.tasks(run).await?, version.plan.dag());
        Ok(Some(RunMachine::restore(version.plan, facts, state, started_at, ended_at, rows)))
    }

    fn explain_queued(&self, now: Timestamp, run: RunKey) -> Option<Why> {
        let place = &self.runs.waiting.get(&run)?.place;
        let waiting = self.runs.waiting.values().map(|waiting| &waiting.place);
        let queued: Vec<QueuedRun> = waiting.filter(|place| !self.paused.contains(&place.dag_id)).cloned().collect();
        let of_paused = self.paused.contains(&place.dag_id);
        if self.backfills.hold(run) {
            let id = self.backfills.of_run(run)?.id;
            let text = format!("it belongs to backfill {id}, which is paused");
            return Some(Why::new("backfill_paused", text, format!("'windrose backfill resume {id}'")));
        }
        Some(match start_obstacle(now, place, &queued, &self.runs.running) {
            Some(StartObstacle::NotDue { at }) => {
                Why::new("not_due", format!("it is not to start before {at}"), "the clock").until(at)
            }
            None => Why::new("starting", "there is a place for it", "the scheduler's next turn"),
            Some(StartObstacle::RunsFull { .. }) if of_paused => return None,
            Some(StartObstacle::RunsFull { max_active_runs, before }) => {
                let running = self.runs.running_of(&place.dag_id);
                let names: Vec<String> = running.iter().map(|run| self.name_of_run(*run, &place.dag_id)).collect();
                let text = format!(
                    "{} of {max_active_runs} runs (max_active_runs) of DAG '{}' are running: {}; it is {} in line",
                    names.len(),
                    place.dag_id,
                    listed(&names),
                    ordinal(before + 1)
                );
                Why::new("max_active_runs", text, "the end of one of them").by(names)
            }
        })
    }

    /// What those that wait for something outside ask people.
    async fn open_questions(
        &self,
        run: RunKey,
        rows: &[&TaskSnapshot],
    ) -> Result<HashMap<TaskInstanceKey, Asked>, Failed> {
        if self.only_looks || !rows.iter().any(|row| matches!(row.state, TaskState::Deferred(_))) {
            return Ok(HashMap::new());
        }
        let filter = ApprovalFilter { run: Some(run), open_only: true, ..ApprovalFilter::default() };
        let open = self.store.approvals(&filter, MOST_QUESTIONS).await?;
        Ok(open.into_iter().map(|row| (row.of.key, row.asked)).collect())
    }

    /// Why the last tries of those that failed did.
    async fn causes(&self, run: RunKey, rows: &[&TaskSnapshot]) -> Result<HashMap<TaskInstanceKey, Cause>, Failed> {
        let failed =
            |row: &&&TaskSnapshot| matches!(row.state, TaskState::UpForRetry(_) | TaskState::Final(FinalState::Failed));
        if !rows.iter().any(|row| failed(&row)) {
            return Ok(HashMap::new());
        }
        let stored = self.store.tasks(run).await?;
        Ok(stored.into_iter().filter_map(|row| Some((row.key, row.cause?))).collect())
    }
}

pub(super) fn key_of(run: RunKey, row: &TaskSnapshot) -> TaskInstanceKey {
    TaskInstanceKey { run, task: row.task.clone(), map_index: row.map_index }
}

fn run_ended(machine: &RunMachine) -> Why {
    let facts = machine.facts();
    let when = machine.ended_at().map(|at| format!(" at {at}")).unwrap_or_default();
    let text = match machine.state() {
        RunState::Success => format!("it succeeded{when}"),
        _ => format!("it failed{when}"),
    };
    let again = format!("clearing it: 'windrose tasks clear {} --run-id {}'", facts.dag_id, facts.run_id);
    Why::new("run_ended", text, again)
}

/// Those that were asked about; else those that have not ended, or in a run that has, those that made it fail.
fn chosen<'m>(machine: &'m RunMachine, subject: &Subject) -> Result<Vec<&'m TaskSnapshot>, Failed> {
    let rows = machine.tasks().iter();
    let Some(task) = &subject.task else {
        let is_over = machine.state().is_final();
        let of_interest = |row: &&TaskSnapshot| {
            if is_over { row.state == TaskState::Final(FinalState::Failed) } else { !row.state.is_final() }
        };
        return Ok(rows.filter(of_interest).collect());
    };
    let named = |row: &&TaskSnapshot| row.task == *task && subject.map_index.is_none_or(|index| index == row.map_index);
    let rows: Vec<_> = rows.filter(named).collect();
    if rows.is_empty() {
        let facts = machine.facts();
        return Err(Failed::Refused(format!(
            "run '{}' of DAG '{}' has no task '{}'; see 'windrose tasks list {} {}'",
            facts.run_id,
            facts.dag_id,
            instance_name(task, subject.map_index.unwrap_or(-1)),
            facts.dag_id,
            facts.run_id
        )));
    }
    Ok(rows)
}
