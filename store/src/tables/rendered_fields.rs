//! The rendered parameters of a task instance's last attempt, as people see them: secrets are masked before they come here.

use serde_json::Value;
use windrose_core::ids::TaskInstanceKey;
use windrose_core::time::Timestamp;

use crate::Store;
use crate::decode;
use crate::error::StoreError;

impl Store {
    /// Keeps the rendered parameters of a task instance; they replace those of an attempt before.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn save_rendered_fields(
        &self,
        key: &TaskInstanceKey,
        fields: &Value,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO rendered_fields (run_key, task_id, map_index, fields, rendered_at)
             VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (run_key, task_id, map_index)
             DO UPDATE SET fields = excluded.fields, rendered_at = excluded.rendered_at",
        )
        .bind(key.run.0)
        .bind(key.task.as_str())
        .bind(i64::from(key.map_index))
        .bind(decode::to_json(fields)?)
        .bind(now.as_micros())
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// The rendered parameters of a task instance's last attempt.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn rendered_fields(&self, key: &TaskInstanceKey) -> Result<Option<Value>, StoreError> {
        let row =
            sqlx::query("SELECT fields FROM rendered_fields WHERE run_key = $1 AND task_id = $2 AND map_index = $3")
                .bind(key.run.0)
                .bind(key.task.as_str())
                .bind(i64::from(key.map_index))
                .fetch_optional(self.reader())
                .await?;
        row.map(|row| decode::json(&row, "fields")).transpose()
    }
}
