//! The audit log: who changed what through the API, the pages or the command line.

use serde_json::Value;
use windrose_core::time::Timestamp;

use crate::Store;
use crate::decode;
use crate::error::StoreError;
use crate::row_id::row_id;
use crate::tables::run_list::{Listed, Page};

/// A change that somebody made.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRow {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// What: `connection.create`, `dag.pause`, ….
    pub action: String,
    /// To what: an id.
    pub object: String,
    /// More about it. Never holds a secret.
    pub detail: Option<Value>,
}

impl Store {
    /// Records a change.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn insert_audit(&self, row: &AuditRow) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO audit_log (id, at, who, action, object, detail) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(row_id())
            .bind(row.at.as_micros())
            .bind(&row.who)
            .bind(&row.action)
            .bind(&row.object)
            .bind(decode::optional_to_json(row.detail.as_ref())?)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// Changes, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn audit(&self, page: Page) -> Result<Listed<AuditRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT at, who, action, object, detail FROM audit_log ORDER BY at DESC, id DESC LIMIT $1 OFFSET $2",
        )
        .bind(i64::from(page.limit))
        .bind(i64::from(page.offset))
        .fetch_all(self.reader())
        .await?;
        let total =
            sqlx::query("SELECT CAST(COUNT(*) AS BIGINT) AS total FROM audit_log").fetch_one(self.reader()).await?;
        let decoded = rows.iter().map(|row| {
            Ok(AuditRow {
                at: decode::instant(row, "at")?,
                who: decode::text(row, "who")?,
                action: decode::text(row, "action")?,
                object: decode::text(row, "object")?,
                detail: decode::optional_json(row, "detail")?,
            })
        });
        Ok(Listed { rows: decoded.collect::<Result<_, StoreError>>()?, total: decode::number(&total, "total")? })
    }
}
