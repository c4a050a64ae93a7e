//! Retention: old runs leave with everything that belongs to them.

use sqlx::AssertSqlSafe;
use windrose_core::time::Timestamp;

use crate::Store;
use crate::batch_values::values_list;
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;

/// What pruning removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    /// Runs, with their task instances, attempts, XComs and so on.
    pub runs: u64,
    /// Versions of DAGs that no run names any more and that are not the newest.
    pub dag_versions: u64,
    /// Backfills with their dates, commands, asset events, lines of the event log and of the audit log, and processes not
    /// heard of.
    pub records: u64,
}

/// Small, so that the scheduler's writes never wait long for one transaction.
const RUNS_AT_ONCE: usize = 50;
const OF_A_RUN: [&str; 9] = [
    "task_instance",
    "task_attempt",
    "checkpoint",
    "xcom",
    "rendered_fields",
    "approval",
    "missed_deadline",
    "asset_run_event",
    "dag_run",
];
const OLD_RECORDS: [&str; 10] = [
    "DELETE FROM backfill_run WHERE backfill_id IN (SELECT backfill_id FROM backfill WHERE ended_at < $1)",
    "DELETE FROM backfill WHERE ended_at < $1",
    "DELETE FROM notification WHERE created_at < $1 AND due_at IS NULL",
    // The last one stays: it may be missed still, and is not to be told of again.
    "DELETE FROM missed_deadline WHERE run_key = 0 AND missed_at < $1
         AND counted_from < (SELECT MAX(newer.counted_from) FROM missed_deadline AS newer
             WHERE newer.dag_id = missed_deadline.dag_id AND newer.run_key = 0
                 AND newer.deadline = missed_deadline.deadline)",
    "DELETE FROM command WHERE done_at < $1",
    "DELETE FROM event_log WHERE at < $1",
    "DELETE FROM audit_log WHERE at < $1",
    "DELETE FROM process WHERE seen_at < $1",
    "DELETE FROM asset_event WHERE event_id < $1
         AND NOT EXISTS (SELECT 1 FROM asset_run_event WHERE asset_run_event.event_id = asset_event.event_id)
         AND NOT EXISTS (SELECT 1 FROM asset_queue WHERE asset_queue.uri = asset_event.uri)",
    "DELETE FROM asset_event_alias WHERE event_id < $1
         AND NOT EXISTS (SELECT 1 FROM asset_event WHERE asset_event.event_id = asset_event_alias.event_id)",
];

impl Store {
    /// Removes what ended before an instant. Runs that are not over stay, and so does the newest automated run of each DAG,
    /// from which its schedule goes on.
    ///
    /// # Errors
    /// See [`StoreError`]. What was removed until then stays removed.
    pub async fn prune(&self, before: Timestamp) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned::default();
        loop {
            let runs = self.prune_runs(before).await?;
            pruned.runs += runs;
            if runs < RUNS_AT_ONCE as u64 {
                break;
            }
        }
        for statement in OLD_RECORDS {
            let done = sqlx::query(statement).bind(before.as_micros()).execute(self.writer()).await?;
            pruned.records += done.rows_affected();
        }
        let versions = sqlx::query(
            "DELETE FROM dag_version WHERE created_at < $1
                 AND NOT EXISTS (SELECT 1 FROM dag_run
                     WHERE dag_run.dag_id = dag_version.dag_id AND dag_run.dag_version = dag_version.hash)
                 AND NOT EXISTS (SELECT 1 FROM dag
                     WHERE dag.dag_id = dag_version.dag_id AND dag.version = dag_version.hash)",
        )
        .bind(before.as_micros())
        .execute(self.writer())
        .await?;
        pruned.dag_versions = versions.rows_affected();
        Ok(pruned)
    }

    async fn prune_runs(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT run_key FROM dag_run WHERE state IN ('success', 'failed') AND ended_at < $1
                 AND NOT (run_type IN ('scheduled', 'backfill') AND logical_date = (
                     SELECT MAX(newest.logical_date) FROM dag_run AS newest
                     WHERE newest.dag_id = dag_run.dag_id AND newest.run_type IN ('scheduled', 'backfill')))
             ORDER BY run_after LIMIT $2",
        )
        .bind(before.as_micros())
        .bind(RUNS_AT_ONCE as i64)
        .fetch_all(&mut *tx)
        .await?;
        let keys: Vec<i64> = rows.iter().map(|row| decode::number(row, "run_key")).collect::<Result<_, _>>()?;
        for table in OF_A_RUN {
            delete_of_runs(&mut tx, table, &keys).await?;
        }
        tx.commit().await?;
        Ok(keys.len() as u64)
    }
}

async fn delete_of_runs(tx: &mut Tx, table: &'static str, keys: &[i64]) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "WITH v (run_key) AS (VALUES {}) DELETE FROM {table} WHERE run_key IN (SELECT run_key FROM v)",
        values_list(1, keys.len())
    );
    let statement = keys.iter().fold(sqlx::query(AssertSqlSafe(sql)), |statement, key| statement.bind(*key));
    statement.execute(&mut **tx).await?;
    Ok(())
}
