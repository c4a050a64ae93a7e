//! Attempts: what happened in each try of a task instance.

use sqlx::any::AnyRow;
use windrose_core::attempt::AttemptEnd;
use windrose_core::cause::Cause;
use windrose_core::ids::{AttemptId, TaskInstanceKey};
use windrose_core::time::Timestamp;

use crate::Store;
use crate::batch::AttemptStart;
use crate::batch_values::execute_rows;
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;
use crate::tables::tasks::decode_key;

/// An attempt as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRow {
    /// Its lease.
    pub attempt: AttemptId,
    /// The task instance.
    pub key: TaskInstanceKey,
    /// How often the task instance was cleared before.
    pub generation: u32,
    /// 1 for the first try; several attempts share one try if the task was rescheduled or lost.
    pub try_number: u32,
    /// When it was dispatched.
    pub queued_at: Timestamp,
    /// When the worker began.
    pub started_at: Option<Timestamp>,
    /// When it ended; `None` while it lives.
    pub ended_at: Option<Timestamp>,
    /// How it ended, in one word.
    pub outcome: Option<String>,
    /// Why it failed, if it did.
    pub cause: Option<Cause>,
}

const START: &str = "
    INSERT INTO task_attempt (attempt, run_key, task_id, map_index, generation, try_number, queued_at) VALUES {values}
    ON CONFLICT DO NOTHING";

const END: &str = "
    WITH v (attempt, outcome, cause, started_at, ended_at) AS (VALUES {values})
    UPDATE task_attempt SET outcome = v.outcome, cause = v.cause, started_at = v.started_at, ended_at = v.ended_at
    FROM v WHERE task_attempt.attempt = v.attempt AND task_attempt.ended_at IS NULL";

pub(crate) async fn start(tx: &mut Tx, attempts: &[AttemptStart]) -> Result<(), StoreError> {
    let written = execute_rows(tx, START, 7, attempts, |statement, attempt| {
        statement
            .bind(attempt.attempt.to_string())
            .bind(attempt.key.run.0)
            .bind(attempt.key.task.as_str())
            .bind(i64::from(attempt.key.map_index))
            .bind(i64::from(attempt.generation))
            .bind(i64::from(attempt.try_number))
            .bind(attempt.queued_at.as_micros())
    })
    .await?;
    match attempts.first() {
        Some(first) if written != attempts.len() as u64 => {
            Err(StoreError::stale("the list of attempts", Some(first.key.run)))
        }
        _ => Ok(()),
    }
}

/// Ends attempts that have not ended yet.
pub(crate) async fn end(tx: &mut Tx, ends: &[AttemptEnd]) -> Result<(), StoreError> {
    let rows: Vec<(&AttemptEnd, Option<String>)> = ends
        .iter()
        .map(|end| Ok((end, decode::optional_to_json(end.cause.as_ref())?)))
        .collect::<Result<_, StoreError>>()?;
    let changed = execute_rows(tx, END, 5, &rows, |statement, (end, cause)| {
        statement
            .bind(end.attempt.to_string())
            .bind(end.outcome.as_str())
            .bind(cause.as_deref())
            .bind(end.started_at.map(Timestamp::as_micros))
            .bind(end.ended_at.as_micros())
    })
    .await?;
    match ends {
        _ if changed == ends.len() as u64 => Ok(()),
        [only] => Err(StoreError::stale(format!("the attempt {}", only.attempt), None)),
        _ => Err(StoreError::stale("one of the attempts that ended", None)),
    }
}

fn decode_attempt(row: &AnyRow) -> Result<AttemptRow, StoreError> {
    Ok(AttemptRow {
        attempt: decode::attempt(row, "attempt")?,
        key: decode_key(row)?,
        generation: decode::number(row, "generation")?,
        try_number: decode::number(row, "try_number")?,
        queued_at: decode::instant(row, "queued_at")?,
        started_at: decode::optional_instant(row, "started_at")?,
        ended_at: decode::optional_instant(row, "ended_at")?,
        outcome: decode::optional_text(row, "outcome")?,
        cause: decode::optional_json(row, "cause")?,
    })
}

impl Store {
    /// All attempts of a task instance, oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn attempts(&self, key: &TaskInstanceKey) -> Result<Vec<AttemptRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT attempt, run_key, task_id, map_index, generation, try_number, queued_at, started_at, ended_at,
                 outcome, cause
             FROM task_attempt WHERE run_key = $1 AND task_id = $2 AND map_index = $3
             ORDER BY queued_at, try_number, attempt",
        )
        .bind(key.run.0)
        .bind(key.task.as_str())
        .bind(i64::from(key.map_index))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(decode_attempt).collect()
    }
}
