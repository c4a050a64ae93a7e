//! The event log: what happened to runs and task instances, for people.

use sqlx::any::AnyRow;
use windrose_core::ids::{DagId, RunId, TaskId};

use crate::Store;
use crate::batch::EventRow;
use crate::batch_values::execute_rows;
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;
use crate::row_id::row_id;
use crate::tables::run_list::Page;

const INSERT: &str = "
    INSERT INTO event_log (id, at, dag_id, run_id, task_id, map_index, what, who, detail) VALUES {values}";

pub(crate) async fn insert(tx: &mut Tx, events: &[EventRow]) -> Result<(), StoreError> {
    execute_rows(tx, INSERT, 9, events, |statement, event| {
        statement
            .bind(row_id())
            .bind(event.at.as_micros())
            .bind(event.dag_id.as_ref().map(DagId::as_str))
            .bind(event.run_id.as_ref().map(RunId::as_str))
            .bind(event.task.as_ref().map(|(task, _)| task.as_str()))
            .bind(event.task.as_ref().map(|(_, map_index)| i64::from(*map_index)))
            .bind(event.what.as_str())
            .bind(event.who.as_str())
            .bind(event.detail.as_deref())
    })
    .await?;
    Ok(())
}

fn decode_event(row: &AnyRow) -> Result<EventRow, StoreError> {
    let task = decode::optional_text(row, "task_id")?.map(TaskId::from);
    Ok(EventRow {
        at: decode::instant(row, "at")?,
        dag_id: decode::optional_text(row, "dag_id")?.map(DagId::from),
        run_id: decode::optional_text(row, "run_id")?.map(RunId::from),
        task: task.zip(decode::optional_number(row, "map_index")?),
        what: decode::text(row, "what")?,
        who: decode::text(row, "who")?,
        detail: decode::optional_text(row, "detail")?,
    })
}

impl Store {
    /// What happened in a run, in the order in which it was written.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn events(&self, dag_id: &DagId, run_id: &RunId, page: Page) -> Result<Vec<EventRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT at, dag_id, run_id, task_id, map_index, what, who, detail FROM event_log
             WHERE dag_id = $1 AND run_id = $2 ORDER BY id LIMIT $3 OFFSET $4",
        )
        .bind(dag_id.as_str())
        .bind(run_id.as_str())
        .bind(i64::from(page.limit))
        .bind(i64::from(page.offset))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(decode_event).collect()
    }
}
