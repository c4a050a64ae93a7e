//! The hot write: one batch, one transaction, every change guarded by what it was decided on.

use std::collections::{HashMap, HashSet};

use sqlx::{Any, Transaction};
use windrose_core::ids::{RunKey, TaskInstanceKey};
use windrose_core::task_instance::TaskChange;

use crate::Store;
use crate::batch::{Batch, RemovedTask, RunWrite};
use crate::error::StoreError;
use crate::tables::{
    approvals, assets, attempts, backfills, commands, dags, event_log, missed_deadlines, notifications,
    rendered_fields, runs, tasks, xcoms,
};

/// A transaction of the store.
pub(crate) type Tx = Transaction<'static, Any>;

impl Store {
    /// Writes a batch. It is durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Stale`] if a row is not where the batch expects it, [`StoreError::RunExists`] if a new run is not
    /// new: nothing is written then. After [`StoreError::Unavailable`] it is not known whether the batch was written;
    /// the same batch again ends in success or, if it was, in `Stale` or `RunExists`.
    pub async fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        if batch.is_empty() {
            return Ok(());
        }
        let run_writes = merge_runs(&batch.runs)?;
        let removed = merge_removed(batch);
        let gone: HashSet<&TaskInstanceKey> = removed.iter().map(|gone| &gone.key).collect();
        let task_writes = merge_tasks(batch.tasks.iter().filter(|write| !gone.contains(&write.key)))?;
        let mut tx = self.begin().await?;
        write(&mut tx, batch, &run_writes, &removed, &task_writes).await?;
        tx.commit().await?;
        Ok(())
    }

    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(self.inner.pools.writer.begin_with(self.inner.dialect.begin_write()).await?)
    }
}

async fn write(
    tx: &mut Tx,
    batch: &Batch,
    run_writes: &[RunWrite],
    removed: &[RemovedTask],
    task_writes: &[TaskChange],
) -> Result<(), StoreError> {
    runs::insert(tx, &batch.new_runs).await?;
    tasks::insert(tx, batch.new_runs.iter().flat_map(|run| &run.tasks).chain(&batch.new_tasks)).await?;
    tasks::remove(tx, removed).await?;
    runs::update(tx, run_writes).await?;
    tasks::update(tx, task_writes).await?;
    attempts::start(tx, &batch.attempts_started).await?;
    attempts::end(tx, &batch.attempts_ended).await?;
    xcoms::clear(tx, &batch.clear_xcoms).await?;
    xcoms::put(tx, &batch.xcoms).await?;
    rendered_fields::put(tx, &batch.rendered).await?;
    tasks::name(tx, &batch.rendered).await?;
    approvals::ask(tx, &batch.questions).await?;
    approvals::answer(tx, &batch.answers).await?;
    backfills::write(tx, &batch.backfills).await?;
    runs::note(tx, &batch.notes).await?;
    runs::requeue(tx, &batch.requeued).await?;
    commands::finish(tx, &batch.commands_done).await?;
    assets::insert_events(tx, &batch.asset_events).await?;
    assets::enqueue(tx, &batch.asset_queue).await?;
    assets::consume(tx, &batch.asset_runs).await?;
    event_log::insert(tx, &batch.events).await?;
    dags::write(tx, &batch.dags).await?;
    notifications::insert(tx, &batch.notifications).await?;
    missed_deadlines::insert(tx, &batch.missed_deadlines).await
}

/// As for tasks: a run that is cleared after its end is queued and started in one batch.
fn merge_runs(writes: &[RunWrite]) -> Result<Vec<RunWrite>, StoreError> {
    let mut merged: Vec<RunWrite> = Vec::with_capacity(writes.len());
    let mut places: HashMap<RunKey, usize> = HashMap::with_capacity(writes.len());
    for write in writes {
        match places.get(&write.key) {
            None => {
                places.insert(write.key, merged.len());
                merged.push(write.clone());
            }
            Some(&place) => {
                let before = &mut merged[place];
                if before.to != write.from {
                    return Err(runs::stale(write.key));
                }
                let dag_version = write.dag_version.clone().or_else(|| before.dag_version.take());
                *before = RunWrite { from: before.from, dag_version, ..write.clone() };
            }
        }
    }
    Ok(merged)
}

/// A row may change and then be removed in one batch: the guard is where it was before the batch.
fn merge_removed(batch: &Batch) -> Vec<RemovedTask> {
    let mut first: HashMap<&TaskInstanceKey, Option<&TaskChange>> =
        batch.removed_tasks.iter().map(|gone| (&gone.key, None)).collect();
    for write in &batch.tasks {
        if let Some(place) = first.get_mut(&write.key) {
            place.get_or_insert(write);
        }
    }
    let before = |gone: &RemovedTask| first[&gone.key].map_or(gone.from, |write| write.from);
    batch.removed_tasks.iter().map(|gone| RemovedTask { key: gone.key.clone(), from: before(gone) }).collect()
}

/// A statement over many rows would apply only one of several changes to the same row.
fn merge_tasks<'b>(writes: impl Iterator<Item = &'b TaskChange>) -> Result<Vec<TaskChange>, StoreError> {
    let mut merged: Vec<TaskChange> = Vec::new();
    let mut places: HashMap<&TaskInstanceKey, usize> = HashMap::new();
    for write in writes {
        match places.get(&write.key) {
            None => {
                places.insert(&write.key, merged.len());
                merged.push(write.clone());
            }
            Some(&place) => {
                let before = &merged[place];
                if before.to.name() != write.from.name() || before.to.attempt() != write.from.attempt() {
                    return Err(tasks::stale(&write.key));
                }
                merged[place] = TaskChange { from: before.from, ..write.clone() };
            }
        }
    }
    Ok(merged)
}
