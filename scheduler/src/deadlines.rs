//! Deadlines: what the engine finds missed becomes a row, a line of the event log and notifications, in the turn's
//! transaction. So each is told of once, whatever restarts.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use windrose_core::dag::Dag;
use windrose_core::deadline::{By, Condition, Reference};
use windrose_core::ids::{DagId, RunId};
use windrose_core::run::RunFacts;
use windrose_core::run_state::{RunState, RunType};
use windrose_core::time::Timestamp;
use windrose_engine::deadline::{Deadlines, Missed, WatchedDag, WatchedRun};
use windrose_engine::{RunChange, RunMachine, TaskSnapshot};
use windrose_store::{DagWrite, EventRow, MissedDeadline, RunRow, Store, StoreError};

use crate::dag_set::{Unusable, Version};
use crate::drive::Driver;
use crate::explain::{instance_name, listed};
use crate::notices::{self, About};

/// The reason of notifications, and the name of what templates are told besides.
const DEADLINE: &str = "deadline";

/// What deadlines hear of a run.
#[derive(Debug, Clone)]
pub(crate) struct RunNews {
    facts: Arc<RunFacts>,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// It is new, was loaded, or was cleared.
    Waits {
        queued_at: Timestamp,
        started_at: Option<Timestamp>,
        cleared: bool,
    },
    Started(Timestamp),
    Ended(Timestamp, RunState),
    /// It goes on under another version.
    Repinned,
}

impl RunNews {
    pub(crate) fn created(facts: &RunFacts, now: Timestamp) -> Self {
        let what = What::Waits { queued_at: now, started_at: None, cleared: false };
        Self { facts: Arc::new(facts.clone()), what }
    }

    pub(crate) fn loaded(row: &RunRow) -> Self {
        let what = What::Waits {
            queued_at: row.queued_at.unwrap_or(row.created_at),
            started_at: row.started_at,
            cleared: row.queued_at.is_some(),
        };
        Self { facts: Arc::new(row.facts.clone()), what }
    }

    pub(crate) fn ended(facts: &RunFacts, now: Timestamp) -> Self {
        Self { facts: Arc::new(facts.clone()), what: What::Ended(now, RunState::Failed) }
    }

    pub(crate) fn repinned(facts: &Arc<RunFacts>) -> Self {
        Self { facts: Arc::clone(facts), what: What::Repinned }
    }

    /// Of a run's change of state, if deadlines care for it.
    pub(crate) fn of(facts: &Arc<RunFacts>, change: &RunChange, now: Timestamp) -> Option<Self> {
        let what = match (change.from, change.to) {
            (from, to) if from.is_final() && !to.is_final() => {
                What::Waits { queued_at: now, started_at: None, cleared: true }
            }
            (from, to) if !from.is_final() && to.is_final() => What::Ended(change.ended_at.unwrap_or(now), to),
            (RunState::Queued, RunState::Running) => What::Started(change.started_at.unwrap_or(now)),
            // Marked after its end.
            (RunState::Failed, RunState::Success) => What::Ended(change.ended_at.unwrap_or(now), change.to),
            _ => return None,
        };
        Some(Self { facts: Arc::clone(facts), what })
    }
}

/// What is watched, and what there is to look at.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub(crate) deadlines: Deadlines,
    /// Since when DAGs with deadlines have been at work.
    since: HashMap<DagId, Timestamp>,
    /// DAGs that were loaded, paused, unpaused, or are gone.
    pub(crate) changed_dags: BTreeSet<DagId>,
}

/// For each deadline of a DAG, the mean that it asks for.
pub(crate) async fn averages(
    store: &Store,
    dag: &Dag,
    queued_at: Timestamp,
) -> Result<Vec<Option<Duration>>, StoreError> {
    let mut averages = Vec::new();
    for deadline in &dag.deadlines {
        let average = match deadline.condition.by() {
            Some(By::After { reference: Reference::AverageRuntime { max_runs, min_runs }, .. }) => {
                // Those that had ended by then, so that the answer is the same at any time.
                let runtimes = store.runtimes(&dag.dag_id, queued_at, *max_runs).await?;
                let count = u32::try_from(runtimes.len()).unwrap_or(u32::MAX);
                (count > 0 && count >= *min_runs).then(|| runtimes.iter().sum::<Duration>() / count)
            }
            _ => None,
        };
        averages.push(average);
    }
    Ok(averages)
}

/// Deadlines that were told of, as the engine wants them.
pub(crate) fn told(missed: Vec<MissedDeadline>) -> Vec<(String, Timestamp)> {
    missed.into_iter().map(|missed| (missed.deadline, missed.counted_from)).collect()
}

impl Driver {
    /// Takes in what has happened to runs and DAGs, and tells of every deadline that is missed.
    pub(crate) async fn tell_of_deadlines(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.watch_what_changed(now).await?;
        for missed in self.watch.deadlines.due(now) {
            self.tell_of_missed(now, &missed).await?;
        }
        Ok(())
    }

    pub(crate) async fn watch_what_changed(&mut self, now: Timestamp) -> Result<(), StoreError> {
        for dag_id in std::mem::take(&mut self.watch.changed_dags) {
            self.watch_dag(now, &dag_id).await?;
        }
        for RunNews { facts, what } in std::mem::take(&mut self.runs.run_news) {
            let deadlines = &mut self.watch.deadlines;
            match what {
                What::Started(at) => deadlines.run_started(facts.key, at),
                What::Ended(at, state) => {
                    deadlines.run_ended(facts.key, at);
                    if state == RunState::Success && facts.run_type != RunType::Backfill {
                        deadlines.dag_succeeded(&facts.dag_id, at);
                    }
                }
                What::Waits { queued_at, started_at, cleared } => {
                    self.watch_run(&facts, (queued_at, started_at), cleared).await?;
                }
                What::Repinned => {
                    if let Some(row) = self.store.run(facts.key).await? {
                        let queued_at = row.queued_at.unwrap_or(row.created_at);
                        self.watch_run(&facts, (queued_at, row.started_at), row.queued_at.is_some()).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn watch_run(
        &mut self,
        facts: &Arc<RunFacts>,
        (queued_at, started_at): (Timestamp, Option<Timestamp>),
        cleared: bool,
    ) -> Result<(), StoreError> {
        // It may have been cleared under another version.
        let facts = self.runs.facts(facts.key).map_or_else(|| Arc::clone(facts), Arc::clone);
        let Some(version) = self.version_to_watch(&facts).await? else { return Ok(()) };
        let dag = version.plan.dag();
        if dag.deadlines.is_empty() {
            return Ok(());
        }
        let watched = WatchedRun {
            dag: Arc::clone(dag),
            queued_at,
            started_at,
            cleared,
            dag_since: self.watch.since.get(&facts.dag_id).copied(),
            averages: averages(&self.store, dag, queued_at).await?,
            told: told(self.store.missed_deadlines(&facts.dag_id, Some(facts.key)).await?),
            facts,
        };
        self.watch.deadlines.watch_run(watched);
        Ok(())
    }

    /// None if it cannot be used, of which others tell.
    async fn version_to_watch(&mut self, facts: &RunFacts) -> Result<Option<Version>, StoreError> {
        match self.dags.version(&facts.dag_id, &facts.dag_version, &self.store).await {
            Ok(version) => Ok(Some(version)),
            Err(Unusable::Store(error)) => Err(error),
            Err(Unusable::Version(_)) => Ok(None),
        }
    }

    async fn watch_dag(&mut self, now: Timestamp, dag_id: &DagId) -> Result<(), StoreError> {
        let newest = self.dags.newest(dag_id).map(|version| Arc::clone(version.plan.dag()));
        let Some(dag) = newest.filter(|dag| !dag.deadlines.is_empty()) else {
            self.watch.since.remove(dag_id);
            self.watch.deadlines.forget_dag(dag_id);
            return Ok(());
        };
        let stored = self.store.dag(dag_id).await?.and_then(|row| row.active_since);
        if self.paused.contains(dag_id) {
            self.watch.since.extend(stored.map(|since| (dag_id.clone(), since)));
            self.watch.deadlines.forget_dag(dag_id);
            return Ok(());
        }
        let since = stored.unwrap_or(now);
        if stored.is_none() {
            self.runs.outbox.batch.dags.push(DagWrite::Active { dag_id: dag_id.clone(), since });
        }
        self.watch.since.insert(dag_id.clone(), since);
        let last_success = self.store.last_success_of(dag_id).await?;
        let told = told(self.store.missed_deadlines(dag_id, None).await?);
        self.watch.deadlines.watch_dag(dag_id, WatchedDag { dag, since, last_success, told });
        Ok(())
    }

    /// Writes it down, and lets its notifiers know.
    async fn tell_of_missed(&mut self, now: Timestamp, missed: &Missed) -> Result<(), StoreError> {
        let dag_id = &missed.dag.dag_id;
        let machine = missed.run.as_ref().and_then(|run| self.runs.live.get(&run.key)).map(|live| &live.machine);
        let message = sentence(missed, machine);
        let first = machine.and_then(|machine| machine.tasks().iter().find(|row| !row.state.is_final()));
        let first = first.map(|row| (row.task.clone(), row.map_index, row.columns.try_number));
        let began = machine.and_then(RunMachine::started_at);
        tracing::warn!(%dag_id, deadline = missed.deadline().name, message, "a deadline is missed");
        let run = missed.run.as_ref().map(|run| run.key);
        let batch = &mut self.runs.outbox.batch;
        batch.missed_deadlines.push(MissedDeadline {
            dag_id: dag_id.clone(),
            run,
            deadline: missed.deadline().name.clone(),
            counted_from: missed.due.counted_from,
            missed_at: now,
        });
        batch.events.push(EventRow {
            at: now,
            dag_id: Some(dag_id.clone()),
            run_id: missed.run.as_ref().map(|run| run.run_id.clone()),
            task: None,
            what: "deadline missed".to_owned(),
            who: "scheduler".to_owned(),
            detail: Some(message.clone()),
        });
        let version = match &missed.run {
            Some(facts) => self.version_to_watch(facts).await?,
            None => self.dags.newest(dag_id).cloned(),
        };
        let Some(folder) = version.map(|version| version.folder()) else { return Ok(()) };
        let about = match &missed.run {
            Some(facts) => About::run(&missed.dag, folder, facts, first, began, now),
            None => About::dag(&missed.dag, folder, now),
        };
        let Some(about) = about else {
            tracing::error!(%dag_id, "the DAG has no task whose names a notification could use, so nobody is told");
            return Ok(());
        };
        let run_id = missed.run.as_ref().map(|run| &run.run_id);
        let facts = facts_of(missed, run_id, &message, now);
        for notifier in &missed.deadline().notifiers {
            about.notify(&mut self.runs.outbox, run, DEADLINE, notifier, &facts);
        }
        Ok(())
    }
}

/// What templates can name.
fn facts_of(missed: &Missed, run_id: Option<&RunId>, message: &str, now: Timestamp) -> Map<String, Value> {
    let deadline = json!({
        "name": missed.deadline().name,
        "kind": missed.deadline().condition.field(),
        "counted_from": missed.due.counted_from,
        "due_at": missed.due.at,
    });
    let mut facts = notices::facts_of(now, DEADLINE, (message, message), (&missed.dag.dag_id, run_id), None);
    facts.insert(DEADLINE.to_owned(), deadline);
    facts
}

/// An instant as the DAG's people see it on their clocks.
pub(crate) fn on_the_wall(at: Timestamp, dag: &Dag) -> String {
    at.to_utc().with_timezone(&dag.timezone).format("%Y-%m-%d %H:%M:%S %Z").to_string()
}

/// What has not happened, for people.
fn sentence(missed: &Missed, machine: Option<&RunMachine>) -> String {
    let (dag, by) = (&missed.dag, on_the_wall(missed.due.at, &missed.dag));
    let Some(facts) = &missed.run else {
        let since = on_the_wall(missed.due.counted_from, dag);
        let until = missed.happened_at.map(|at| format!(" until {}", on_the_wall(at, dag))).unwrap_or_default();
        return format!("No run of DAG {} has succeeded from {since} to {by}{until}.", dag.dag_id);
    };
    let what = format!("Run {} of DAG {}", facts.run_id, facts.dag_id);
    let waits_for_start = matches!(missed.deadline().condition, Condition::NotStartedBy(_));
    if let Some(at) = missed.happened_at {
        let happened = if waits_for_start { "has started" } else { "is done" };
        return format!("{what} {happened}, but at {} and not by {by}.", on_the_wall(at, dag));
    }
    let not = if waits_for_start { "has not started" } else { "is not done" };
    match machine.filter(|machine| machine.state() == RunState::Running) {
        None => format!("{what} {not} by {by}: it is queued."),
        Some(machine) => format!("{what} {not} by {by}: {}.", unfinished(machine)),
    }
}

/// What is at work, or else what is to come.
fn unfinished(machine: &RunMachine) -> String {
    let name = |row: &TaskSnapshot| instance_name(&row.task, row.map_index);
    let open: Vec<&TaskSnapshot> = machine.tasks().iter().filter(|row| !row.state.is_final()).collect();
    let at_work: Vec<String> = open.iter().filter(|row| row.state.attempt().is_some()).map(|row| name(row)).collect();
    match (at_work.len(), open.len()) {
        (0, _) => format!("it waits for {}", listed(&open.iter().map(|row| name(row)).collect::<Vec<_>>())),
        (1, _) => format!("{} is running", listed(&at_work)),
        _ => format!("{} are running", listed(&at_work)),
    }
}
