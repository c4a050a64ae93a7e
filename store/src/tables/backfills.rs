//! Backfills, and their dates in the order of their turns.

use serde_json::{Map, Value};
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use windrose_core::backfill::{NoRun, Reprocess};
use windrose_core::ids::{DagId, RunId, RunKey};
use windrose_core::run::DataInterval;
use windrose_core::run_state::{RunState, RunType};
use windrose_core::time::Timestamp;
use windrose_core::timetable::DueRun;

use crate::Store;
use crate::batch_values::execute_rows;
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;

/// A backfill.
#[derive(Debug, Clone, PartialEq)]
pub struct BackfillRow {
    /// Its number.
    pub id: i64,
    /// The DAG.
    pub dag_id: DagId,
    /// The first date.
    pub from: Timestamp,
    /// The last date, included.
    pub to: Timestamp,
    /// The newest date goes first.
    pub backwards: bool,
    /// What is done with dates that have a run.
    pub reprocess: Reprocess,
    /// How many of its runs may be under way at once.
    pub max_active_runs: u32,
    /// Parameters of its runs; those that run again keep theirs if this is empty.
    pub conf: Map<String, Value>,
    /// Runs that run again take the newest version of the DAG.
    pub new_version: bool,
    /// No further date gets its turn.
    pub paused: bool,
    /// A person ended it.
    pub cancelled: bool,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: Timestamp,
    /// When its last run ended, or it was cancelled.
    pub ended_at: Option<Timestamp>,
}

/// A date of a backfill.
#[derive(Debug, Clone, PartialEq)]
pub struct BackfillDate {
    /// Its place in the order of turns, from 0 on.
    pub place: u32,
    /// The date.
    pub due: DueRun,
    /// Its run, once its turn has come.
    pub run: Option<BackfillRun>,
    /// Why it has none.
    pub no_run: Option<NoRun>,
}

/// The run of a date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackfillRun {
    /// Its key.
    pub key: RunKey,
    /// Its id and where it is; `None` if it was pruned.
    pub now: Option<(RunId, RunState)>,
}

/// A change of a backfill, guarded by what it was decided on.
#[derive(Debug, Clone)]
pub enum BackfillWrite {
    /// A new one; a DAG has at most one that has not ended.
    Create {
        /// Its row.
        row: Box<BackfillRow>,
        /// Its dates in the order of their turns.
        dates: Vec<DueRun>,
    },
    /// A date gets its turn.
    Turn {
        /// Of which backfill.
        backfill: i64,
        /// Which date.
        place: u32,
        /// Its run, or why there is none.
        outcome: Result<RunKey, NoRun>,
    },
    /// A run that exists becomes part of a backfill.
    Adopt {
        /// Which.
        run: RunKey,
        /// What it is given now; `None` leaves that as it is.
        conf: Option<Map<String, Value>>,
    },
    /// It is paused or goes on.
    Pause {
        /// Which.
        backfill: i64,
        /// Which way.
        paused: bool,
    },
    /// It has ended.
    End {
        /// Which.
        backfill: i64,
        /// When.
        at: Timestamp,
        /// A person ended it.
        cancelled: bool,
    },
}

const COLUMNS: &str = "backfill_id, dag_id, from_date, to_date, backwards, reprocess, max_active_runs, conf, new_version, \
     paused, cancelled, created_by, created_at, ended_at";

const INSERT_DATES: &str = "
    INSERT INTO backfill_run (backfill_id, place, logical_date, interval_start, interval_end, run_after) VALUES {values}";

fn stale(id: i64) -> StoreError {
    StoreError::stale(format!("the backfill {id}"), None)
}

pub(crate) async fn write(tx: &mut Tx, writes: &[BackfillWrite]) -> Result<(), StoreError> {
    for write in writes {
        match write {
            BackfillWrite::Create { row, dates } => insert(tx, row, dates).await?,
            BackfillWrite::Turn { backfill, place, outcome } => turn(tx, *backfill, *place, *outcome).await?,
            BackfillWrite::Adopt { run, conf } => adopt(tx, *run, conf.as_ref()).await?,
            BackfillWrite::Pause { backfill, paused } => {
                let sql = "UPDATE backfill SET paused = $2 WHERE backfill_id = $1 AND ended_at IS NULL";
                let done = sqlx::query(sql).bind(*backfill).bind(i64::from(*paused)).execute(&mut **tx).await?;
                expect_one(done.rows_affected(), || stale(*backfill))?;
            }
            BackfillWrite::End { backfill, at, cancelled } => {
                let sql =
                    "UPDATE backfill SET ended_at = $2, cancelled = $3 WHERE backfill_id = $1 AND ended_at IS NULL";
                let statement = sqlx::query(sql).bind(*backfill).bind(at.as_micros()).bind(i64::from(*cancelled));
                expect_one(statement.execute(&mut **tx).await?.rows_affected(), || stale(*backfill))?;
            }
        }
    }
    Ok(())
}

fn expect_one(changed: u64, otherwise: impl FnOnce() -> StoreError) -> Result<(), StoreError> {
    if changed == 1 { Ok(()) } else { Err(otherwise()) }
}

async fn insert(tx: &mut Tx, row: &BackfillRow, dates: &[DueRun]) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO backfill ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ON CONFLICT DO NOTHING"
    );
    let statement = sqlx::query(AssertSqlSafe(sql))
        .bind(row.id)
        .bind(row.dag_id.as_str())
        .bind(row.from.as_micros())
        .bind(row.to.as_micros())
        .bind(i64::from(row.backwards))
        .bind(row.reprocess.as_str())
        .bind(i64::from(row.max_active_runs))
        .bind(decode::to_json(&row.conf)?)
        .bind(i64::from(row.new_version))
        .bind(i64::from(row.paused))
        .bind(i64::from(row.cancelled))
        .bind(row.created_by.as_str())
        .bind(row.created_at.as_micros())
        .bind(row.ended_at.map(Timestamp::as_micros));
    expect_one(statement.execute(&mut **tx).await?.rows_affected(), || stale(row.id))?;
    let places: Vec<(i64, &DueRun)> = (0..).zip(dates).collect();
    execute_rows(tx, INSERT_DATES, 6, &places, |statement, (place, due)| {
        statement
            .bind(row.id)
            .bind(*place)
            .bind(due.logical_date.map(Timestamp::as_micros))
            .bind(due.data_interval.map(|interval| interval.start.as_micros()))
            .bind(due.data_interval.map(|interval| interval.end.as_micros()))
            .bind(due.run_after.as_micros())
    })
    .await?;
    Ok(())
}

async fn turn(tx: &mut Tx, backfill: i64, place: u32, outcome: Result<RunKey, NoRun>) -> Result<(), StoreError> {
    let done = sqlx::query(
        "UPDATE backfill_run SET run_key = $3, no_run = $4
         WHERE backfill_id = $1 AND place = $2 AND run_key IS NULL AND no_run IS NULL",
    )
    .bind(backfill)
    .bind(i64::from(place))
    .bind(outcome.ok().map(|run| run.0))
    .bind(outcome.err().map(NoRun::as_str))
    .execute(&mut **tx)
    .await?;
    expect_one(done.rows_affected(), || stale(backfill))
}

async fn adopt(tx: &mut Tx, run: RunKey, conf: Option<&Map<String, Value>>) -> Result<(), StoreError> {
    let done = sqlx::query(
        "UPDATE dag_run SET run_type = $2, triggered_by = $2, conf = COALESCE(CAST($3 AS TEXT), conf) WHERE run_key = $1",
    )
    .bind(run.0)
    .bind(RunType::Backfill.as_str())
    .bind(decode::optional_to_json(conf)?)
    .execute(&mut **tx)
    .await?;
    expect_one(done.rows_affected(), || crate::tables::runs::stale(run))
}

fn decode_backfill(row: &AnyRow) -> Result<BackfillRow, StoreError> {
    Ok(BackfillRow {
        id: row.try_get("backfill_id")?,
        dag_id: decode::text(row, "dag_id")?.into(),
        from: decode::instant(row, "from_date")?,
        to: decode::instant(row, "to_date")?,
        backwards: decode::flag(row, "backwards")?,
        reprocess: decode::word(row, "reprocess", Reprocess::parse)?,
        max_active_runs: decode::number(row, "max_active_runs")?,
        conf: decode::json(row, "conf")?,
        new_version: decode::flag(row, "new_version")?,
        paused: decode::flag(row, "paused")?,
        cancelled: decode::flag(row, "cancelled")?,
        created_by: decode::text(row, "created_by")?,
        created_at: decode::instant(row, "created_at")?,
        ended_at: decode::optional_instant(row, "ended_at")?,
    })
}

fn decode_date(row: &AnyRow) -> Result<BackfillDate, StoreError> {
    let start = decode::optional_instant(row, "interval_start")?;
    let end = decode::optional_instant(row, "interval_end")?;
    let run = match row.try_get::<Option<i64>, _>("run_key")? {
        None => None,
        Some(key) => {
            let now = match decode::optional_text(row, "run_id")? {
                None => None,
                Some(id) => Some((id.into(), decode::word(row, "state", RunState::parse)?)),
            };
            Some(BackfillRun { key: RunKey(key), now })
        }
    };
    let no_run = match decode::optional_text(row, "no_run")? {
        None => None,
        Some(_) => Some(decode::word(row, "no_run", NoRun::parse)?),
    };
    Ok(BackfillDate {
        place: decode::number(row, "place")?,
        due: DueRun {
            logical_date: decode::optional_instant(row, "logical_date")?,
            data_interval: start.zip(end).map(|(start, end)| DataInterval { start, end }),
            run_after: decode::instant(row, "run_after")?,
        },
        run,
        no_run,
    })
}

impl Store {
    /// The number of the next backfill.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn next_backfill_id(&self) -> Result<i64, StoreError> {
        let sql = "SELECT CAST(COALESCE(MAX(backfill_id), 0) + 1 AS BIGINT) AS id FROM backfill";
        Ok(sqlx::query(sql).fetch_one(self.reader()).await?.try_get("id")?)
    }

    /// Backfills that have not ended, oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn backfills_under_way(&self) -> Result<Vec<BackfillRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM backfill WHERE ended_at IS NULL ORDER BY backfill_id");
        sqlx::query(AssertSqlSafe(sql)).fetch_all(self.reader()).await?.iter().map(decode_backfill).collect()
    }

    /// All backfills, or those of one DAG, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn backfills(&self, dag_id: Option<&DagId>) -> Result<Vec<BackfillRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM backfill WHERE CAST($1 AS TEXT) IS NULL OR dag_id = $1 ORDER BY backfill_id DESC"
        );
        let statement = sqlx::query(AssertSqlSafe(sql)).bind(dag_id.map(DagId::as_str));
        statement.fetch_all(self.reader()).await?.iter().map(decode_backfill).collect()
    }

    /// One backfill.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn backfill(&self, id: i64) -> Result<Option<BackfillRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM backfill WHERE backfill_id = $1");
        let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(self.reader()).await?;
        row.as_ref().map(decode_backfill).transpose()
    }

    /// The dates of a backfill in the order of their turns, with how their runs stand now.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn backfill_dates(&self, id: i64) -> Result<Vec<BackfillDate>, StoreError> {
        let rows = sqlx::query(
            "SELECT place, backfill_run.logical_date AS logical_date, backfill_run.interval_start AS interval_start,
                 backfill_run.interval_end AS interval_end, backfill_run.run_after AS run_after,
                 backfill_run.run_key AS run_key, no_run, run_id, state
             FROM backfill_run LEFT JOIN dag_run ON dag_run.run_key = backfill_run.run_key
             WHERE backfill_id = $1 ORDER BY place",
        )
        .bind(id)
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(decode_date).collect()
    }
}
