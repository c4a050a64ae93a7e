//! XComs: values that tasks leave for one another.

use serde_json::Value;
use windrose_core::ids::{DagId, RunKey, TaskInstanceKey};
use windrose_core::template::XComQuery;
use windrose_core::time::Timestamp;

use crate::Store;
use crate::batch::XComRow;
use crate::batch_values::execute_rows;
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;
use crate::tables::tasks::decode_key;

const PUT: &str = "
    INSERT INTO xcom (run_key, task_id, map_index, name, value, created_at) VALUES {values}
    ON CONFLICT (run_key, task_id, map_index, name)
    DO UPDATE SET value = excluded.value, created_at = excluded.created_at";

const CLEAR: &str = "
    WITH v (run_key, task_id, map_index) AS (VALUES {values})
    DELETE FROM xcom WHERE (run_key, task_id, map_index) IN (SELECT run_key, task_id, map_index FROM v)";

pub(crate) async fn put(tx: &mut Tx, xcoms: &[XComRow]) -> Result<(), StoreError> {
    // PostgreSQL refuses to upsert one row twice in a statement; the last value of a name is the one that counts.
    let mut rows: Vec<(&XComRow, String)> = Vec::with_capacity(xcoms.len());
    for (place, xcom) in xcoms.iter().enumerate() {
        if !xcoms[place + 1..].iter().any(|later| later.key == xcom.key && later.name == xcom.name) {
            rows.push((xcom, decode::to_json(&xcom.value)?));
        }
    }
    execute_rows(tx, PUT, 6, &rows, |statement, (xcom, value)| {
        statement
            .bind(xcom.key.run.0)
            .bind(xcom.key.task.as_str())
            .bind(i64::from(xcom.key.map_index))
            .bind(xcom.name.as_str())
            .bind(value.as_str())
            .bind(xcom.created_at.as_micros())
    })
    .await?;
    Ok(())
}

pub(crate) async fn clear(tx: &mut Tx, keys: &[TaskInstanceKey]) -> Result<(), StoreError> {
    execute_rows(tx, CLEAR, 3, keys, |statement, key| {
        statement.bind(key.run.0).bind(key.task.as_str()).bind(i64::from(key.map_index))
    })
    .await?;
    Ok(())
}

impl Store {
    /// A value that a task of a run left. Without a map index, a mapped task yields the list of its instances' values, in
    /// their order, as in Airflow.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn xcom(
        &self,
        run: RunKey,
        task_id: &str,
        map_index: Option<i32>,
        name: &str,
    ) -> Result<Option<Value>, StoreError> {
        let rows = sqlx::query(
            "SELECT map_index, value FROM xcom
             WHERE run_key = $1 AND task_id = $2 AND name = $3 AND (CAST($4 AS BIGINT) IS NULL OR map_index = $4)
             ORDER BY map_index",
        )
        .bind(run.0)
        .bind(task_id)
        .bind(name)
        .bind(map_index.map(i64::from))
        .fetch_all(self.reader())
        .await?;
        let mut values = Vec::with_capacity(rows.len());
        for row in &rows {
            let value: Value = decode::json(row, "value")?;
            if map_index.is_some() || decode::number::<i32>(row, "map_index")? < 0 {
                return Ok(Some(value));
            }
            values.push(value);
        }
        Ok(if values.is_empty() { None } else { Some(Value::Array(values)) })
    }

    /// The run of a DAG with the last logical date up to this one in which such a value was left.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn run_with_xcom(
        &self,
        dag_id: &DagId,
        logical_date: Timestamp,
        query: &XComQuery,
    ) -> Result<Option<RunKey>, StoreError> {
        let row = sqlx::query(
            "SELECT dag_run.run_key AS run_key FROM dag_run JOIN xcom ON xcom.run_key = dag_run.run_key
             WHERE dag_id = $1 AND logical_date <= $2 AND task_id = $3 AND name = $4
                 AND (CAST($5 AS BIGINT) IS NULL OR map_index = $5)
             ORDER BY logical_date DESC LIMIT 1",
        )
        .bind(dag_id.as_str())
        .bind(logical_date.as_micros())
        .bind(query.task_id.as_str())
        .bind(query.key.as_str())
        .bind(query.map_index.map(i64::from))
        .fetch_optional(self.reader())
        .await?;
        row.map(|row| Ok(RunKey(decode::number(&row, "run_key")?))).transpose()
    }

    /// Everything that a task instance left, by name.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn xcoms(&self, key: &TaskInstanceKey) -> Result<Vec<XComRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT run_key, task_id, map_index, name, value, created_at FROM xcom
             WHERE run_key = $1 AND task_id = $2 AND map_index = $3 ORDER BY name",
        )
        .bind(key.run.0)
        .bind(key.task.as_str())
        .bind(i64::from(key.map_index))
        .fetch_all(self.reader())
        .await?;
        let decoded = rows.iter().map(|row| {
            Ok(XComRow {
                key: decode_key(row)?,
                name: decode::text(row, "name")?,
                value: decode::json(row, "value")?,
                created_at: decode::instant(row, "created_at")?,
            })
        });
        decoded.collect()
    }
}
