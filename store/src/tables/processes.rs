//! Processes that work on this database, with their heartbeats.

use windrose_core::time::Timestamp;

use crate::Store;
use crate::decode;
use crate::error::StoreError;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessRow {
    /// Its id, made at its start.
    pub process_id: String,
    /// `standalone`, `scheduler`, `worker`, `web`.
    pub kind: String,
    /// Where it runs.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// Its Windrose version.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
    /// When it was last heard of.
    pub seen_at: Timestamp,
}

impl Store {
    /// Records that a process lives.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn heartbeat(&self, process: &ProcessRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO process (process_id, kind, host, pid, version, started_at, seen_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (process_id) DO UPDATE SET seen_at = excluded.seen_at",
        )
        .bind(&process.process_id)
        .bind(&process.kind)
        .bind(&process.host)
        .bind(i64::from(process.pid))
        .bind(&process.version)
        .bind(process.started_at.as_micros())
        .bind(process.seen_at.as_micros())
        .execute(self.writer())
        .await?;
        Ok(())
    }

    /// All processes, the last heard of first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn processes(&self) -> Result<Vec<ProcessRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT process_id, kind, host, pid, version, started_at, seen_at FROM process
             ORDER BY seen_at DESC, process_id",
        )
        .fetch_all(self.reader())
        .await?;
        let decoded = rows.iter().map(|row| {
            Ok(ProcessRow {
                process_id: decode::text(row, "process_id")?,
                kind: decode::text(row, "kind")?,
                host: decode::text(row, "host")?,
                pid: decode::number(row, "pid")?,
                version: decode::text(row, "version")?,
                started_at: decode::instant(row, "started_at")?,
                seen_at: decode::instant(row, "seen_at")?,
            })
        });
        decoded.collect()
    }
}
