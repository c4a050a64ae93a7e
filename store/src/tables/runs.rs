//! DAG runs: creating, moving, and loading one or all that live.

use std::collections::HashSet;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use windrose_core::ids::{DagId, RunId, RunKey};
use windrose_core::run::{DataInterval, RunFacts};
use windrose_core::run_state::{RunState, RunType};
use windrose_core::time::Timestamp;

use crate::Store;
use crate::batch::{NewRun, RunWrite};
use crate::batch_values::{Statement, execute_rows, values_list};
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;

/// A run as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// What does not change while it lives.
    pub facts: RunFacts,
    /// Where it is.
    pub state: RunState,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was cleared last, so that it waited again; none if that never happened.
    pub queued_at: Option<Timestamp>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What somebody noted about it.
    pub note: Option<String>,
}

/// Every select of runs lists these.
pub(crate) const COLUMNS: &str = "run_key, dag_id, run_id, run_type, state, logical_date, interval_start, interval_end, \
     run_after, conf, dag_version, triggered_by, created_at, queued_at, started_at, ended_at, note";
const INSERT_WIDTH: usize = 14;

/// Small, because a run is big: its tasks follow in statements of their own.
const INSERT_AT_ONCE: usize = 16;

const UPDATE: &str = "
    WITH v (run_key, from_state, state, started_at, ended_at, dag_version) AS (VALUES {values})
    UPDATE dag_run SET state = v.state, started_at = v.started_at, ended_at = v.ended_at,
        dag_version = COALESCE(v.dag_version, dag_run.dag_version)
    FROM v WHERE dag_run.run_key = v.run_key AND dag_run.state = v.from_state";

pub(crate) fn decode_run(row: &AnyRow) -> Result<RunRow, StoreError> {
    let start = decode::optional_instant(row, "interval_start")?;
    let end = decode::optional_instant(row, "interval_end")?;
    Ok(RunRow {
        facts: RunFacts {
            key: RunKey(row.try_get("run_key")?),
            dag_id: decode::text(row, "dag_id")?.into(),
            run_id: decode::text(row, "run_id")?.into(),
            run_type: decode::word(row, "run_type", RunType::parse)?,
            logical_date: decode::optional_instant(row, "logical_date")?,
            data_interval: start.zip(end).map(|(start, end)| DataInterval { start, end }),
            run_after: decode::instant(row, "run_after")?,
            conf: decode::json(row, "conf")?,
            dag_version: decode::text(row, "dag_version")?,
            triggered_by: decode::text(row, "triggered_by")?,
        },
        state: decode::word(row, "state", RunState::parse)?,
        created_at: decode::instant(row, "created_at")?,
        queued_at: decode::optional_instant(row, "queued_at")?,
        started_at: decode::optional_instant(row, "started_at")?,
        ended_at: decode::optional_instant(row, "ended_at")?,
        note: decode::optional_text(row, "note")?,
    })
}

fn bind_new<'q>(statement: Statement<'q>, run: &'q NewRun, conf: &'q str) -> Statement<'q> {
    let facts = &run.facts;
    statement
        .bind(facts.key.0)
        .bind(facts.dag_id.as_str())
        .bind(facts.run_id.as_str())
        .bind(facts.run_type.as_str())
        .bind(run.state.as_str())
        .bind(facts.logical_date.map(Timestamp::as_micros))
        .bind(facts.data_interval.map(|i| i.start.as_micros()))
        .bind(facts.data_interval.map(|i| i.end.as_micros()))
        .bind(facts.run_after.as_micros())
        .bind(conf)
        .bind(facts.dag_version.as_str())
        .bind(facts.triggered_by.as_str())
        .bind(run.created_at.as_micros())
        .bind(run.started_at.map(Timestamp::as_micros))
}

/// Inserts runs; one that already exists under any of its unique keys makes it fail.
pub(crate) async fn insert(tx: &mut Tx, runs: &[NewRun]) -> Result<(), StoreError> {
    for chunk in runs.chunks(INSERT_AT_ONCE) {
        let conf: Vec<String> =
            chunk.iter().map(|run| decode::to_json(&run.facts.conf)).collect::<Result<_, StoreError>>()?;
        // Not an error of the database: on PostgreSQL that would not say which run it was.
        let sql = format!(
            "INSERT INTO dag_run (run_key, dag_id, run_id, run_type, state, logical_date, interval_start, interval_end,
                 run_after, conf, dag_version, triggered_by, created_at, started_at)
             VALUES {} ON CONFLICT DO NOTHING RETURNING run_key",
            values_list(INSERT_WIDTH, chunk.len())
        );
        let statement = chunk
            .iter()
            .zip(&conf)
            .fold(sqlx::query(AssertSqlSafe(sql)), |statement, (run, conf)| bind_new(statement, run, conf));
        let rows = statement.fetch_all(&mut **tx).await?;
        let written: HashSet<i64> = rows.iter().map(|row| row.try_get("run_key")).collect::<Result<_, _>>()?;
        if let Some(run) = chunk.iter().find(|run| !written.contains(&run.facts.key.0)) {
            let (dag_id, run_id) = (run.facts.dag_id.clone(), run.facts.run_id.clone());
            return Err(StoreError::RunExists { dag_id, run_id });
        }
    }
    Ok(())
}

/// Moves runs that are where they are expected.
pub(crate) fn stale(run: RunKey) -> StoreError {
    StoreError::stale(format!("the run with key {}", run.0), Some(run))
}

pub(crate) async fn update(tx: &mut Tx, writes: &[RunWrite]) -> Result<(), StoreError> {
    let changed = execute_rows(tx, UPDATE, 6, writes, |statement, write| {
        statement
            .bind(write.key.0)
            .bind(write.from.as_str())
            .bind(write.to.as_str())
            .bind(write.started_at.map(Timestamp::as_micros))
            .bind(write.ended_at.map(Timestamp::as_micros))
            .bind(write.dag_version.as_deref())
    })
    .await?;
    if changed == writes.len() as u64 {
        return Ok(());
    }
    for write in writes {
        let now = sqlx::query("SELECT state FROM dag_run WHERE run_key = $1")
            .bind(write.key.0)
            .fetch_optional(&mut **tx)
            .await?;
        let state = now.map(|row| decode::text(&row, "state")).transpose()?;
        if state.as_deref() != Some(write.to.as_str()) {
            return Err(stale(write.key));
        }
    }
    Err(StoreError::stale("a run", writes.first().map(|write| write.key)))
}

/// Writes down what people note.
pub(crate) async fn note(tx: &mut Tx, notes: &[(RunKey, String)]) -> Result<(), StoreError> {
    for (run, note) in notes {
        let statement = sqlx::query("UPDATE dag_run SET note = $2 WHERE run_key = $1").bind(run.0).bind(note.as_str());
        if statement.execute(&mut **tx).await?.rows_affected() != 1 {
            return Err(stale(*run));
        }
    }
    Ok(())
}

/// Writes down since when cleared runs wait.
pub(crate) async fn requeue(tx: &mut Tx, requeued: &[(RunKey, Timestamp)]) -> Result<(), StoreError> {
    for (run, at) in requeued {
        let statement = sqlx::query("UPDATE dag_run SET queued_at = $2 WHERE run_key = $1").bind(run.0);
        if statement.bind(at.as_micros()).execute(&mut **tx).await?.rows_affected() != 1 {
            return Err(stale(*run));
        }
    }
    Ok(())
}

impl Store {
    /// The run of this date; a DAG has at most one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn run_at(&self, dag_id: &DagId, logical_date: Timestamp) -> Result<Option<RunRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM dag_run WHERE dag_id = $1 AND logical_date = $2");
        let statement = sqlx::query(AssertSqlSafe(sql)).bind(dag_id.as_str()).bind(logical_date.as_micros());
        statement.fetch_optional(self.reader()).await?.as_ref().map(decode_run).transpose()
    }

    /// All runs that are queued or running, those due first first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn active_runs(&self) -> Result<Vec<RunRow>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM dag_run WHERE state IN ('queued', 'running') ORDER BY run_after, run_key");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(self.reader()).await?;
        rows.iter().map(decode_run).collect()
    }

    /// The run with this key.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn run(&self, key: RunKey) -> Result<Option<RunRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM dag_run WHERE run_key = $1");
        let row = sqlx::query(AssertSqlSafe(sql)).bind(key.0).fetch_optional(self.reader()).await?;
        row.as_ref().map(decode_run).transpose()
    }

    /// The run with this id.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn find_run(&self, dag_id: &DagId, run_id: &RunId) -> Result<Option<RunRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM dag_run WHERE dag_id = $1 AND run_id = $2");
        let statement = sqlx::query(AssertSqlSafe(sql)).bind(dag_id.as_str()).bind(run_id.as_str());
        statement.fetch_optional(self.reader()).await?.as_ref().map(decode_run).transpose()
    }
}
