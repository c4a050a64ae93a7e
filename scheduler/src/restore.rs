//! From rows to machines: at start, and whenever memory and database may differ. There are no rules in here; what follows
//! from the rows is decided by the same machines as ever.

use std::collections::BTreeSet;
use std::sync::Arc;

use windrose_core::dag::Dag;
use windrose_core::ids::{AttemptId, TaskInstanceKey};
use windrose_core::run_state::RunState;
use windrose_engine::{Event, RunMachine, TaskSnapshot};
use windrose_store::{RunRow, StoreError, TaskRow};

use crate::dag_set::Unusable;
use crate::drive::Driver;
use crate::error::SchedulerError;
use crate::runs::{Runs, Tasks};

impl Driver {
    /// Forgets everything about runs and reads it again. Attempts that no worker of this process has are lost.
    pub(crate) async fn restore(&mut self) -> Result<(), SchedulerError> {
        let alive = self.runs.alive();
        self.runs = Runs::default();
        self.paused.clear();
        self.refresh_pools().await?;
        let mut rows = self.store.active_runs().await?;
        // Runs that others depend on come first.
        rows.sort_by_key(|row| (row.facts.logical_date, row.facts.key));
        for row in rows {
            self.restore_run(row, &alive).await?;
        }
        self.restore_assets().await?;
        for dag in self.store.dags().await? {
            self.schedule_dag(&dag.dag_id, dag.paused, dag.passed_over).await?;
        }
        let now = self.now();
        for waiting in &self.resuming {
            self.runs.set_deferred(now, waiting.attempt, false);
        }
        Ok(())
    }

    async fn restore_run(&mut self, row: RunRow, alive: &BTreeSet<AttemptId>) -> Result<(), SchedulerError> {
        let now = self.now();
        let facts = Arc::new(row.facts);
        let version = match self.dags.version(&facts.dag_id, &facts.dag_version, &self.store).await {
            Ok(version) => version,
            Err(Unusable::Store(error)) => return Err(error.into()),
            Err(Unusable::Version(message)) => {
                // The run stays as it is: a Windrose that can read its version may go on with it.
                tracing::error!(dag_id = %facts.dag_id, run_id = %facts.run_id, message, "this run cannot go on");
                return Ok(());
            }
        };
        if row.state == RunState::Queued {
            self.runs.enqueue(facts.as_ref().clone(), &version, Tasks::InDatabase);
            return Ok(());
        }
        let tasks = self.store.tasks(facts.key).await?;
        let snapshots = snapshots(tasks, version.plan.dag());
        let folder = self.dags.folder_of(&version);
        let depends = version.plan.depends_on_past();
        let machine =
            RunMachine::restore(version.plan, Arc::clone(&facts), row.state, row.started_at, row.ended_at, snapshots);
        let held: Vec<_> = machine
            .tasks()
            .iter()
            .filter_map(|t| {
                let attempt = t.state.attempt().filter(|a| !alive.contains(a))?;
                Some((t.key(facts.key), attempt, t.columns.generation))
            })
            .collect();
        self.runs.adopt(now, machine, folder);
        if depends {
            self.tell_previous(now, facts.key).await?;
        }
        for (key, attempt, generation) in if self.only_looks { Vec::new() } else { held } {
            self.lose(key, attempt, generation).await?;
        }
        // A restored machine takes its timers; nothing refuses them.
        let _ = self.runs.feed(now, facts.key, Event::TimerDue);
        Ok(())
    }

    async fn lose(&mut self, key: TaskInstanceKey, attempt: AttemptId, generation: u32) -> Result<(), StoreError> {
        let reattach = self.store.checkpoint(&key, generation).await?.is_some();
        let detail = "Windrose was stopped or killed while it ran".to_owned();
        let run = key.run;
        if let Err(refused) = self.runs.feed(self.now(), run, Event::Lost { key, attempt, detail, reattach }) {
            tracing::error!(%refused, "a lost attempt is not held by its task instance");
        }
        Ok(())
    }
}

/// Rows as the engine wants them. Rows of tasks that this version does not hold are left alone.
pub(crate) fn snapshots(rows: Vec<TaskRow>, dag: &Dag) -> Vec<TaskSnapshot> {
    let rows = rows.into_iter().filter_map(|row| {
        dag.position(row.key.task.as_str())?;
        Some(TaskSnapshot { map_index: row.key.map_index, task: row.key.task, state: row.state, columns: row.columns })
    });
    rows.collect()
}
