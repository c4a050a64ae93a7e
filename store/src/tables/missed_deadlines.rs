//! Deadlines that were missed: each is told of once, whatever restarts.

use sqlx::any::AnyRow;
use windrose_core::ids::{DagId, RunKey};

use crate::Store;
use crate::batch::MissedDeadline;
use crate::batch_values::execute_rows;
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;

/// Stands for no run.
const NO_RUN: i64 = 0;

const INSERT: &str = "
    INSERT INTO missed_deadline (dag_id, run_key, deadline, counted_from, missed_at) VALUES {values}
    ON CONFLICT DO NOTHING";

pub(crate) async fn insert(tx: &mut Tx, missed: &[MissedDeadline]) -> Result<(), StoreError> {
    let written = execute_rows(tx, INSERT, 5, missed, |statement, missed| {
        statement
            .bind(missed.dag_id.as_str())
            .bind(missed.run.map_or(NO_RUN, |run| run.0))
            .bind(missed.deadline.as_str())
            .bind(missed.counted_from.as_micros())
            .bind(missed.missed_at.as_micros())
    })
    .await?;
    if written == missed.len() as u64 { Ok(()) } else { Err(StoreError::stale("a missed deadline", None)) }
}

fn decode_missed(row: &AnyRow) -> Result<MissedDeadline, StoreError> {
    let run: i64 = decode::number(row, "run_key")?;
    Ok(MissedDeadline {
        dag_id: decode::text(row, "dag_id")?.into(),
        run: (run != NO_RUN).then_some(RunKey(run)),
        deadline: decode::text(row, "deadline")?,
        counted_from: decode::instant(row, "counted_from")?,
        missed_at: decode::instant(row, "missed_at")?,
    })
}

impl Store {
    /// What a run has missed, or the DAG as a whole: what was told of is not told of again.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn missed_deadlines(
        &self,
        dag_id: &DagId,
        run: Option<RunKey>,
    ) -> Result<Vec<MissedDeadline>, StoreError> {
        let rows = sqlx::query(
            "SELECT dag_id, run_key, deadline, counted_from, missed_at FROM missed_deadline
             WHERE dag_id = $1 AND run_key = $2 ORDER BY missed_at, deadline, counted_from",
        )
        .bind(dag_id.as_str())
        .bind(run.map_or(NO_RUN, |run| run.0))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(decode_missed).collect()
    }

    /// What a DAG and its runs have missed last, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn last_missed_deadlines(&self, dag_id: &DagId, limit: u32) -> Result<Vec<MissedDeadline>, StoreError> {
        let rows = sqlx::query(
            "SELECT dag_id, run_key, deadline, counted_from, missed_at FROM missed_deadline
             WHERE dag_id = $1 ORDER BY missed_at DESC, run_key DESC, deadline LIMIT $2",
        )
        .bind(dag_id.as_str())
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(decode_missed).collect()
    }
}
