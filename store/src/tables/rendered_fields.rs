//! The rendered parameters of a task instance's last attempt, as people see them: secrets are masked before they come here.

use std::collections::HashMap;

use serde_json::Value;
use windrose_core::ids::TaskInstanceKey;
use windrose_core::time::Timestamp;

use crate::Store;
use crate::batch::RenderedRow;
use crate::batch_values::execute_rows;
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;

const PUT: &str = "
    INSERT INTO rendered_fields (run_key, task_id, map_index, fields, rendered_at) VALUES {values}
    ON CONFLICT (run_key, task_id, map_index)
    DO UPDATE SET fields = excluded.fields, rendered_at = excluded.rendered_at";

pub(crate) async fn put(tx: &mut Tx, rendered: &[RenderedRow]) -> Result<(), StoreError> {
    // PostgreSQL refuses to upsert one row twice in a statement; the last attempt is the one that counts.
    let last: HashMap<&TaskInstanceKey, &RenderedRow> = rendered.iter().map(|row| (&row.key, row)).collect();
    let rows: Vec<(&RenderedRow, String)> =
        last.into_values().map(|row| Ok((row, decode::to_json(&row.fields)?))).collect::<Result<_, StoreError>>()?;
    execute_rows(tx, PUT, 5, &rows, |statement, (row, fields)| {
        statement
            .bind(row.key.run.0)
            .bind(row.key.task.as_str())
            .bind(i64::from(row.key.map_index))
            .bind(fields.as_str())
            .bind(row.rendered_at.as_micros())
    })
    .await?;
    Ok(())
}

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
        let row = RenderedRow { key: key.clone(), fields: fields.clone(), map_index_name: None, rendered_at: now };
        let mut tx = self.begin().await?;
        put(&mut tx, &[row]).await?;
        tx.commit().await?;
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
