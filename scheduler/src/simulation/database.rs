//! The metadata database as a model: rows in memory, and the same guarded, all-or-nothing writes as the store's.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use windrose_core::attempt::AttemptOutcome;
use windrose_core::ids::{AttemptId, RunKey, TaskInstanceKey};
use windrose_core::run::RunFacts;
use windrose_core::run_state::RunState;
use windrose_core::task_instance::TaskColumns;
use windrose_core::task_state::TaskState;
use windrose_core::time::Timestamp;
use windrose_engine::TaskSnapshot;
use windrose_store::{Batch, NewTask, StoreError};

#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) facts: RunFacts,
    pub(super) state: RunState,
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    /// How often it came from a state that is not final to one that is.
    pub(super) ends: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) key: TaskInstanceKey,
    pub(super) generation: u32,
    pub(super) outcome: Option<AttemptOutcome>,
}

/// All rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Database {
    pub(super) runs: BTreeMap<RunKey, Run>,
    pub(super) tasks: BTreeMap<TaskInstanceKey, (TaskState, TaskColumns)>,
    pub(super) attempts: BTreeMap<AttemptId, Attempt>,
    pub(super) checkpoints: BTreeSet<(TaskInstanceKey, u32)>,
    pub(super) commands_done: BTreeSet<String>,
}

fn stale(what: impl std::fmt::Debug) -> StoreError {
    StoreError::Stale { what: format!("{what:?}"), run: None }
}

impl Database {
    /// Writes all of it or nothing.
    pub(super) fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mut after = self.clone();
        after.write(batch)?;
        *self = after;
        Ok(())
    }

    fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        for run in &batch.new_runs {
            let same = |other: &Run| {
                let facts = &other.facts;
                let same_date = facts.logical_date.is_some() && facts.logical_date == run.facts.logical_date;
                facts.dag_id == run.facts.dag_id && (facts.run_id == run.facts.run_id || same_date)
            };
            if self.runs.contains_key(&run.facts.key) || self.runs.values().any(same) {
                let (dag_id, run_id) = (run.facts.dag_id.clone(), run.facts.run_id.clone());
                return Err(StoreError::RunExists { dag_id, run_id });
            }
            let (facts, state) = (run.facts.clone(), run.state);
            let row = Run { facts, state, started_at: run.started_at, ended_at: None, ends: 0 };
            self.runs.insert(run.facts.key, row);
            self.add_tasks(&run.tasks)?;
        }
        self.add_tasks(&batch.new_tasks)?;
        self.remove_tasks(batch)?;
        for write in &batch.runs {
            let run = self.runs.get_mut(&write.key).filter(|run| run.state == write.from).ok_or(stale(write.key))?;
            run.ends += u32::from(write.to.is_final() && !write.from.is_final());
            (run.state, run.started_at, run.ended_at) = (write.to, write.started_at, write.ended_at);
        }
        let gone: HashSet<_> = batch.removed_tasks.iter().map(|gone| &gone.key).collect();
        for change in batch.tasks.iter().filter(|change| !gone.contains(&change.key)) {
            let row = self.tasks.get_mut(&change.key).ok_or_else(|| stale(&change.key))?;
            if (row.0.name(), row.0.attempt()) != (change.from.name(), change.from.attempt()) {
                return Err(stale((&change.key, row.0, change.from)));
            }
            *row = (change.to, change.columns.clone());
        }
        self.write_attempts(batch)?;
        for done in &batch.commands_done {
            if !self.commands_done.insert(done.id.clone()) {
                return Err(stale(&done.id));
            }
        }
        Ok(())
    }

    fn add_tasks(&mut self, tasks: &[NewTask]) -> Result<(), StoreError> {
        for task in tasks {
            let columns = TaskColumns::new(task.max_tries);
            if self.tasks.insert(task.key.clone(), (TaskState::None, columns)).is_some() {
                return Err(stale(&task.key));
            }
        }
        Ok(())
    }

    /// The guard is where the row was before the batch.
    fn remove_tasks(&mut self, batch: &Batch) -> Result<(), StoreError> {
        for gone in &batch.removed_tasks {
            let first = batch.tasks.iter().find(|change| change.key == gone.key);
            let from = first.map_or(gone.from, |change| change.from);
            if self.tasks.remove(&gone.key).is_none_or(|(state, _)| state.name() != from.name()) {
                return Err(stale(&gone.key));
            }
        }
        Ok(())
    }

    fn write_attempts(&mut self, batch: &Batch) -> Result<(), StoreError> {
        for start in &batch.attempts_started {
            let others = self.attempts.iter();
            for (id, earlier) in others.filter(|(_, a)| a.key == start.key && a.generation == start.generation) {
                let ends = batch.attempts_ended.iter().find(|end| end.attempt == *id).map(|end| end.outcome);
                let outcome = earlier.outcome.or(ends);
                assert!(outcome.is_some(), "two attempts of {:?} live at once", start.key);
                assert_ne!(outcome, Some(AttemptOutcome::Success), "{:?} runs again after success", start.key);
            }
            let attempt = Attempt { key: start.key.clone(), generation: start.generation, outcome: None };
            if self.attempts.insert(start.attempt, attempt).is_some() {
                return Err(stale(start.attempt));
            }
        }
        for end in &batch.attempts_ended {
            let attempt = self.attempts.get_mut(&end.attempt).ok_or_else(|| stale(end.attempt))?;
            if attempt.outcome.replace(end.outcome).is_some() {
                return Err(stale(end.attempt));
            }
        }
        Ok(())
    }

    /// Saves a checkpoint if the attempt still holds the task instance.
    pub(super) fn save_checkpoint(&mut self, attempt: AttemptId, key: &TaskInstanceKey, generation: u32) -> bool {
        let holds = self
            .tasks
            .get(key)
            .is_some_and(|(state, columns)| state.attempt() == Some(attempt) && columns.generation == generation);
        if holds {
            self.checkpoints.insert((key.clone(), generation));
        }
        holds
    }

    /// The rows of a run.
    pub(super) fn snapshots(&self, run: RunKey) -> Vec<TaskSnapshot> {
        let rows = self.tasks.iter().filter(|(key, _)| key.run == run);
        rows.map(|(key, (state, columns))| TaskSnapshot {
            task: key.task.clone(),
            map_index: key.map_index,
            state: *state,
            columns: columns.clone(),
        })
        .collect()
    }
}
