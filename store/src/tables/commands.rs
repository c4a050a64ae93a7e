//! Commands of people and clients to the scheduler: rows, so that none is lost and the scheduler alone changes runs.

use serde_json::Value;
use sqlx::any::AnyRow;
use windrose_core::time::Timestamp;

use crate::Store;
use crate::batch::CommandDone;
use crate::batch_values::execute_rows;
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;
use crate::row_id::row_id;

/// A command.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandRow {
    /// Its id; later commands have greater ones.
    pub id: String,
    /// What is to be done: `clear`, `mark`, `trigger`, ….
    pub kind: String,
    /// With what.
    pub payload: Value,
    /// Who wants it.
    pub who: String,
    /// Since when.
    pub created_at: Timestamp,
    /// When it was carried out or refused.
    pub done_at: Option<Timestamp>,
    /// What became of it.
    pub result: Option<Value>,
}

const FINISH: &str = "
    WITH v (id, done_at, result) AS (VALUES {values})
    UPDATE command SET done_at = v.done_at, result = v.result
    FROM v WHERE command.id = v.id AND command.done_at IS NULL";

pub(crate) async fn finish(tx: &mut Tx, done: &[CommandDone]) -> Result<(), StoreError> {
    let rows: Vec<(&CommandDone, String)> =
        done.iter().map(|done| Ok((done, decode::to_json(&done.result)?))).collect::<Result<_, StoreError>>()?;
    let changed = execute_rows(tx, FINISH, 3, &rows, |statement, (done, result)| {
        statement.bind(done.id.as_str()).bind(done.done_at.as_micros()).bind(result.as_str())
    })
    .await?;
    if changed == done.len() as u64 { Ok(()) } else { Err(StoreError::stale("a command", None)) }
}

fn decode_command(row: &AnyRow) -> Result<CommandRow, StoreError> {
    Ok(CommandRow {
        id: decode::text(row, "id")?,
        kind: decode::text(row, "kind")?,
        payload: decode::json(row, "payload")?,
        who: decode::text(row, "who")?,
        created_at: decode::instant(row, "created_at")?,
        done_at: decode::optional_instant(row, "done_at")?,
        result: decode::optional_json(row, "result")?,
    })
}

impl Store {
    /// Gives a command; returns its id. Wake the scheduler with [`Store::notify`] afterwards.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn insert_command(
        &self,
        kind: &str,
        payload: &Value,
        who: &str,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        let id = row_id();
        sqlx::query("INSERT INTO command (id, kind, payload, who, created_at) VALUES ($1, $2, $3, $4, $5)")
            .bind(&id)
            .bind(kind)
            .bind(decode::to_json(payload)?)
            .bind(who)
            .bind(now.as_micros())
            .execute(self.writer())
            .await?;
        Ok(id)
    }

    /// Commands that wait, oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn pending_commands(&self) -> Result<Vec<CommandRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, kind, payload, who, created_at, done_at, result FROM command
             WHERE done_at IS NULL ORDER BY id",
        )
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(decode_command).collect()
    }

    /// One command.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn command(&self, id: &str) -> Result<Option<CommandRow>, StoreError> {
        let row = sqlx::query("SELECT id, kind, payload, who, created_at, done_at, result FROM command WHERE id = $1")
            .bind(id)
            .fetch_optional(self.reader())
            .await?;
        row.as_ref().map(decode_command).transpose()
    }

    /// Says what became of a command that changed nothing else; one that did is finished by its batch.
    ///
    /// # Errors
    /// [`StoreError::Stale`] if it does not wait any more.
    pub async fn finish_command(&self, done: &CommandDone) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        finish(&mut tx, std::slice::from_ref(done)).await?;
        tx.commit().await?;
        Ok(())
    }
}
