//! What a new or present run needs to know of the runs before it.

use std::collections::HashMap;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use windrose_core::ids::{DagId, RunKey};
use windrose_core::time::Timestamp;

use crate::Store;
use crate::decode;
use crate::error::StoreError;
use crate::tables::runs::{COLUMNS, RunRow, decode_run};
use crate::tables::tasks::TaskRow;

/// Runs of a DAG that are not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ActiveRuns {
    /// Waiting for a place.
    pub queued: u32,
    /// Under way.
    pub running: u32,
}

impl Store {
    /// For each DAG, the run from which its timetable goes on: the newest by logical date among those that a schedule or a
    /// backfill made, as in Airflow.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn last_automated_runs(&self) -> Result<HashMap<DagId, RunRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM (SELECT {COLUMNS},
                 ROW_NUMBER() OVER (PARTITION BY dag_id ORDER BY logical_date DESC) AS place
             FROM dag_run WHERE run_type IN ('scheduled', 'backfill') AND logical_date IS NOT NULL) AS ranked
             WHERE place = 1"
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(self.reader()).await?;
        rows.iter().map(|row| decode_run(row).map(|run| (run.facts.dag_id.clone(), run))).collect()
    }

    /// The same for one DAG.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn last_automated_run(&self, dag_id: &DagId) -> Result<Option<RunRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM dag_run
             WHERE dag_id = $1 AND run_type IN ('scheduled', 'backfill') AND logical_date IS NOT NULL
             ORDER BY logical_date DESC LIMIT 1"
        );
        let row = sqlx::query(AssertSqlSafe(sql)).bind(dag_id.as_str()).fetch_optional(self.reader()).await?;
        row.as_ref().map(decode_run).transpose()
    }

    /// How many runs of each DAG are queued and running; DAGs without any are left out.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn active_run_counts(&self) -> Result<HashMap<DagId, ActiveRuns>, StoreError> {
        let rows = sqlx::query(
            "SELECT dag_id, CAST(COUNT(*) FILTER (WHERE state = 'queued') AS BIGINT) AS queued,
                 CAST(COUNT(*) FILTER (WHERE state = 'running') AS BIGINT) AS running
             FROM dag_run WHERE state IN ('queued', 'running') GROUP BY dag_id",
        )
        .fetch_all(self.reader())
        .await?;
        let counts = rows.iter().map(|row| {
            let counts =
                ActiveRuns { queued: decode::number(row, "queued")?, running: decode::number(row, "running")? };
            Ok((decode::text(row, "dag_id")?.into(), counts))
        });
        counts.collect()
    }

    /// The run of the same DAG with the last logical date before this run's, with its task instances. `scheduled_only`
    /// leaves manual runs out, as Airflow does for DAGs with catchup.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn previous_run(
        &self,
        run: RunKey,
        scheduled_only: bool,
    ) -> Result<Option<(RunRow, Vec<TaskRow>)>, StoreError> {
        let condition = if scheduled_only { "run_type <> 'manual'" } else { "1 = 1" };
        match self.run_before(run, condition).await? {
            None => Ok(None),
            Some(previous) => {
                let tasks = self.tasks(previous.facts.key).await?;
                Ok(Some((previous, tasks)))
            }
        }
    }

    /// The key and the logical date of a DAG's last run before this logical date. `scheduled_only` leaves manual runs out.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn run_before_date(
        &self,
        dag_id: &DagId,
        logical_date: Timestamp,
        scheduled_only: bool,
    ) -> Result<Option<(RunKey, Timestamp)>, StoreError> {
        // Each finds its row in one step of an index: the condition is that of the partial one.
        let sql = if scheduled_only {
            "SELECT run_key, logical_date FROM dag_run WHERE dag_id = $1 AND logical_date < $2
             AND run_type <> 'manual' ORDER BY logical_date DESC LIMIT 1"
        } else {
            "SELECT run_key, logical_date FROM dag_run WHERE dag_id = $1 AND logical_date < $2
             ORDER BY logical_date DESC LIMIT 1"
        };
        let row =
            sqlx::query(sql).bind(dag_id.as_str()).bind(logical_date.as_micros()).fetch_optional(self.reader()).await?;
        row.map(|row| Ok((RunKey(decode::number(&row, "run_key")?), decode::instant(&row, "logical_date")?)))
            .transpose()
    }

    /// When the last successful run of a DAG ended, those of backfills left out.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn last_success_of(&self, dag_id: &DagId) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query(
            // The condition is that of a partial index.
            "SELECT ended_at FROM dag_run WHERE dag_id = $1 AND state = 'success' AND run_type <> 'backfill'
                 AND ended_at IS NOT NULL
             ORDER BY ended_at DESC LIMIT 1",
        )
        .bind(dag_id.as_str())
        .fetch_optional(self.reader())
        .await?;
        row.map(|row| decode::instant(&row, "ended_at")).transpose()
    }

    /// How long the newest successful runs of a DAG took that had ended by this instant, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn runtimes(&self, dag_id: &DagId, ended_by: Timestamp, limit: u32) -> Result<Vec<Duration>, StoreError> {
        let rows = sqlx::query(
            "SELECT started_at, ended_at FROM dag_run
             WHERE dag_id = $1 AND state = 'success' AND started_at IS NOT NULL AND ended_at <= $2
             ORDER BY run_after DESC, run_key DESC LIMIT $3",
        )
        .bind(dag_id.as_str())
        .bind(ended_by.as_micros())
        .bind(i64::from(limit))
        .fetch_all(self.reader())
        .await?;
        let length = |row| Ok(decode::instant(row, "ended_at")?.since(decode::instant(row, "started_at")?));
        rows.iter().map(length).collect()
    }

    /// The successful run of the same DAG with the last logical date before this run's.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn previous_success(&self, run: RunKey) -> Result<Option<RunRow>, StoreError> {
        self.run_before(run, "state = 'success'").await
    }

    /// The newest runs of a DAG that had begun and are over, newest first; for `max_consecutive_failed_runs`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn last_ended_runs(&self, dag_id: &DagId, limit: u32) -> Result<Vec<RunRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM dag_run WHERE dag_id = $1 AND state IN ('success', 'failed')
                 AND started_at IS NOT NULL
             ORDER BY run_after DESC, run_key DESC LIMIT $2"
        );
        let statement = sqlx::query(AssertSqlSafe(sql)).bind(dag_id.as_str()).bind(i64::from(limit));
        statement.fetch_all(self.reader()).await?.iter().map(decode_run).collect()
    }

    async fn run_before(&self, run: RunKey, condition: &'static str) -> Result<Option<RunRow>, StoreError> {
        let sql = format!(
            "WITH this (this_dag, this_date) AS (SELECT dag_id, logical_date FROM dag_run WHERE run_key = $1)
             SELECT {COLUMNS} FROM dag_run, this
             WHERE dag_id = this_dag AND logical_date < this_date AND {condition}
             ORDER BY logical_date DESC LIMIT 1"
        );
        let row = sqlx::query(AssertSqlSafe(sql)).bind(run.0).fetch_optional(self.reader()).await?;
        row.as_ref().map(decode_run).transpose()
    }
}
