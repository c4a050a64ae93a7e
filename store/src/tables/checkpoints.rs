//! Checkpoints: what an attempt must not forget, above all the handle of its remote work.

use serde_json::Value;
use windrose_core::ids::{AttemptId, TaskInstanceKey};
use windrose_core::time::Timestamp;

use crate::Store;
use crate::decode;
use crate::error::StoreError;

impl Store {
    /// What the last attempt of this task instance and generation saved.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn checkpoint(&self, key: &TaskInstanceKey, generation: u32) -> Result<Option<Value>, StoreError> {
        let row = sqlx::query(
            "SELECT value FROM checkpoint
             WHERE run_key = $1 AND task_id = $2 AND map_index = $3 AND generation = $4",
        )
        .bind(key.run.0)
        .bind(key.task.as_str())
        .bind(i64::from(key.map_index))
        .bind(i64::from(generation))
        .fetch_optional(self.reader())
        .await?;
        row.map(|row| decode::json(&row, "value")).transpose()
    }

    /// Saves a checkpoint, if the attempt still holds the task instance. It is durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] if another attempt, or none, holds it: nothing is written then.
    pub async fn save_checkpoint(
        &self,
        attempt: AttemptId,
        key: &TaskInstanceKey,
        generation: u32,
        checkpoint: &Value,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let value = decode::to_json(checkpoint)?;
        let mut tx = self.begin().await?;
        // Changes nothing, and so locks the row: the attempt cannot lose it before the checkpoint is written.
        let held = sqlx::query(
            "UPDATE task_instance SET generation = generation
             WHERE run_key = $1 AND task_id = $2 AND map_index = $3 AND attempt = $4 AND generation = $5",
        )
        .bind(key.run.0)
        .bind(key.task.as_str())
        .bind(i64::from(key.map_index))
        .bind(attempt.to_string())
        .bind(i64::from(generation))
        .execute(&mut *tx)
        .await?;
        if held.rows_affected() != 1 {
            return Err(StoreError::Fenced { attempt });
        }
        sqlx::query(
            "INSERT INTO checkpoint (run_key, task_id, map_index, generation, value, saved_at)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (run_key, task_id, map_index, generation)
             DO UPDATE SET value = excluded.value, saved_at = excluded.saved_at",
        )
        .bind(key.run.0)
        .bind(key.task.as_str())
        .bind(i64::from(key.map_index))
        .bind(i64::from(generation))
        .bind(value)
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}
