//! From rows to machines: at start, and whenever memory and database may differ. There are no rules in here; what follows
//! from the rows is decided by the same machines as ever.

use std::sync::Arc;

use windrose_core::dag::Dag;
use windrose_core::ids::{AttemptId, TaskInstanceKey};
use windrose_core::run_state::RunState;
use windrose_engine::{Event, RunMachine, TaskSnapshot};
use windrose_store::{RunRow, StoreError, TaskRow};

use crate::dag_set::Unusable;
use crate::deadlines::{RunNews, Watch};
use crate::drive::Driver;
use crate::error::SchedulerError;
use crate::runs::{Runs, Survivors, Tasks};

impl Driver {
    /// Forgets everything about runs and reads it again. Attempts that no worker of this process has are lost.
    pub(crate) async fn restore(&mut self) -> Result<(), SchedulerError> {
        // If the database goes away in between, the next try knows of them too.
        let survivors = self.survivors.take().unwrap_or_else(|| self.runs.survivors());
        self.survivors = Some(survivors.clone());
        self.runs = Runs::default();
        self.runs.admission.set_queues(self.queues.clone());
        self.paused.clear();
        self.watch = Watch::default();
        self.refresh_pools().await?;
        let mut rows = self.store.active_runs().await?;
        // Runs that others depend on come first.
        rows.sort_by_key(|row| (row.facts.logical_date, row.facts.key));
        for row in rows {
            self.restore_run(row, &survivors).await?;
        }
        self.restore_assets().await?;
        self.restore_backfills().await?;
        for dag in self.store.dags().await? {
            self.schedule_dag(&dag.dag_id, dag.paused, dag.passed_over).await?;
        }
        let now = self.now();
        self.watch_what_changed(now).await?;
        self.runs.stop_the_others(&survivors);
        self.survivors = None;
        for waiting in &self.resuming {
            self.runs.set_deferred(now, waiting.attempt, false);
        }
        Ok(())
    }

    async fn restore_run(&mut self, row: RunRow, survivors: &Survivors) -> Result<(), SchedulerError> {
        let now = self.now();
        self.runs.run_news.push(RunNews::loaded(&row));
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
        let folder = version.folder();
        let depends = version.plan.depends_on_past();
        let machine =
            RunMachine::restore(version.plan, Arc::clone(&facts), row.state, row.started_at, row.ended_at, snapshots);
        let held: Vec<_> = machine
            .tasks()
            .iter()
            .filter_map(|t| {
                let attempt = t.state.attempt().filter(|a| !survivors.alive.contains(a))?;
                Some((t.key(facts.key), attempt, t.columns.generation))
            })
            .collect();
        self.runs.adopt(now, machine, folder);
        if depends {
            self.tell_previous(now, facts.key).await?;
        }
        for (key, attempt, generation) in if self.only_looks { Vec::new() } else { held } {
            let unsent = survivors.unsent.contains(&attempt);
            self.lose(key, attempt, generation, unsent).await?;
        }
        // A restored machine takes its timers; nothing refuses them.
        let _ = self.runs.feed(now, facts.key, Event::TimerDue);
        Ok(())
    }

    /// One that no worker has ever heard of has done nothing, so it is tried again whatever `on_lost` says.
    async fn lose(
        &mut self,
        key: TaskInstanceKey,
        attempt: AttemptId,
        generation: u32,
        unsent: bool,
    ) -> Result<(), StoreError> {
        let reattach = unsent || self.store.checkpoint(&key, generation).await?.is_some();
        let detail = "Windrose was stopped or killed while it ran".to_owned();
        let run = key.run;
        if let Err(refused) = self.runs.feed(self.now(), run, Event::Lost { key, attempt, detail, reattach }) {
            tracing::error!(%refused, "a lost attempt is not held by its task instance");
        }
        self.runs.forget_lost(attempt, unsent);
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
