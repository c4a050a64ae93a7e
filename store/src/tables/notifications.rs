//! Notifications: written in the transaction of what they tell of, sent later.

use serde_json::Value;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;
use windrose_core::ids::{DagId, RunKey, TaskId};
use windrose_core::time::Timestamp;

use crate::Store;
use crate::batch::NewNotification;
use crate::batch_values::execute_rows;
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;
use crate::tables::run_list::Page;

/// A notification.
#[derive(Debug, Clone, PartialEq)]
pub struct NotificationRow {
    /// Its id; later ones are greater.
    pub id: String,
    /// What is to be sent.
    pub content: NewNotification,
    /// When it is to be tried next; `None` if it was sent or given up.
    pub due_at: Option<Timestamp>,
    /// How often sending it has failed.
    pub tries: u32,
    /// When it was sent.
    pub sent_at: Option<Timestamp>,
    /// What went wrong the last time.
    pub error: Option<String>,
}

/// A try to send that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendingFailed {
    /// Why, without secrets.
    pub error: String,
    /// When to try again; `None` gives it up.
    pub next: Option<Timestamp>,
}

const COLUMNS: &str = "id, dag_id, run_key, task_id, map_index, reason, notifier, facts, created_at, due_at, tries, \
     sent_at, error";

const INSERT: &str = "
    INSERT INTO notification (id, dag_id, run_key, task_id, map_index, reason, notifier, facts, created_at, due_at, tries)
    VALUES {values}";

pub(crate) async fn insert(tx: &mut Tx, new: &[NewNotification]) -> Result<(), StoreError> {
    let rows: Vec<(&NewNotification, String, String)> = new
        .iter()
        .map(|new| Ok((new, decode::to_json(&new.notifier)?, decode::to_json(&new.facts)?)))
        .collect::<Result<_, StoreError>>()?;
    execute_rows(tx, INSERT, 11, &rows, |statement, (new, notifier, facts)| {
        statement
            .bind(new.id.as_str())
            .bind(new.dag_id.as_str())
            .bind(new.run.map(|run| run.0))
            .bind(new.task.as_ref().map(|(task, _)| task.as_str()))
            .bind(new.task.as_ref().map(|(_, map_index)| i64::from(*map_index)))
            .bind(new.reason.as_str())
            .bind(notifier.as_str())
            .bind(facts.as_str())
            .bind(new.created_at.as_micros())
            .bind(new.created_at.as_micros())
            .bind(0_i64)
    })
    .await?;
    Ok(())
}

fn decode_notification(row: &AnyRow) -> Result<NotificationRow, StoreError> {
    let task = decode::optional_text(row, "task_id")?.map(TaskId::from);
    let json = |column| decode::json::<Value>(row, column);
    Ok(NotificationRow {
        id: decode::text(row, "id")?,
        content: NewNotification {
            id: decode::text(row, "id")?,
            dag_id: decode::text(row, "dag_id")?.into(),
            run: decode::optional_number(row, "run_key")?.map(RunKey),
            task: task.zip(decode::optional_number(row, "map_index")?),
            reason: decode::text(row, "reason")?,
            notifier: json("notifier")?,
            facts: json("facts")?,
            created_at: decode::instant(row, "created_at")?,
        },
        due_at: decode::optional_instant(row, "due_at")?,
        tries: decode::number(row, "tries")?,
        sent_at: decode::optional_instant(row, "sent_at")?,
        error: decode::optional_text(row, "error")?,
    })
}

impl Store {
    /// Notifications that wait to be sent, those due first first, whether they are due yet or not.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn waiting_notifications(&self, limit: u32) -> Result<Vec<NotificationRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM notification WHERE due_at IS NOT NULL ORDER BY due_at, id LIMIT $1");
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(i64::from(limit)).fetch_all(self.reader()).await?;
        rows.iter().map(decode_notification).collect()
    }

    /// Notifications, newest first; of one DAG or of all.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn notifications(&self, dag_id: Option<&DagId>, page: Page) -> Result<Vec<NotificationRow>, StoreError> {
        let condition = if dag_id.is_some() { "dag_id = $3" } else { "$3 = ''" };
        let sql = format!(
            "SELECT {COLUMNS} FROM notification WHERE {condition} ORDER BY created_at DESC, id DESC LIMIT $1 OFFSET $2"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(i64::from(page.limit))
            .bind(i64::from(page.offset))
            .bind(dag_id.map_or("", DagId::as_str))
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(decode_notification).collect()
    }

    /// Says that a notification was sent.
    ///
    /// # Errors
    /// [`StoreError::Stale`] if it does not wait any more.
    pub async fn notification_sent(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        let done = sqlx::query(
            "UPDATE notification SET sent_at = $2, due_at = NULL, error = NULL WHERE id = $1 AND due_at IS NOT NULL",
        )
        .bind(id)
        .bind(now.as_micros())
        .execute(self.writer())
        .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::stale("a notification", None)) }
    }

    /// Says that a notification could not be sent.
    ///
    /// # Errors
    /// [`StoreError::Stale`] if it does not wait any more.
    pub async fn notification_failed(&self, id: &str, failed: &SendingFailed) -> Result<(), StoreError> {
        let done = sqlx::query(
            "UPDATE notification SET tries = tries + 1, due_at = $2, error = $3 WHERE id = $1 AND due_at IS NOT NULL",
        )
        .bind(id)
        .bind(failed.next.map(Timestamp::as_micros))
        .bind(failed.error.as_str())
        .execute(self.writer())
        .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::stale("a notification", None)) }
    }
}
