//! Lists of runs with filters, page by page.

use sqlx::AssertSqlSafe;
use windrose_core::ids::DagId;
use windrose_core::run_state::{RunState, RunType};
use windrose_core::time::Timestamp;

use crate::Store;
use crate::batch_values::Statement;
use crate::decode;
use crate::error::StoreError;
use crate::tables::runs::{COLUMNS, RunRow, decode_run};

/// Which runs; an absent field is no condition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunFilter {
    /// Of this DAG.
    pub dag_id: Option<DagId>,
    /// In this state.
    pub state: Option<RunState>,
    /// Of this type.
    pub run_type: Option<RunType>,
    /// Due at this instant or later.
    pub run_after_from: Option<Timestamp>,
    /// Due before this instant.
    pub run_after_before: Option<Timestamp>,
    /// With this logical date or a later one.
    pub logical_date_from: Option<Timestamp>,
    /// With an earlier logical date.
    pub logical_date_before: Option<Timestamp>,
    /// With this text in the id; letter case counts.
    pub run_id_contains: Option<String>,
}

/// Which part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many to leave out.
    pub offset: u32,
    /// How many at most.
    pub limit: u32,
}

/// A part of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<T> {
    /// The rows of this page.
    pub rows: Vec<T>,
    /// How many there are in all.
    pub total: u64,
}

const CONDITIONS: &str = "
    (CAST($1 AS TEXT) IS NULL OR dag_id = $1) AND (CAST($2 AS TEXT) IS NULL OR state = $2)
    AND (CAST($3 AS TEXT) IS NULL OR run_type = $3)
    AND (CAST($4 AS BIGINT) IS NULL OR run_after >= $4) AND (CAST($5 AS BIGINT) IS NULL OR run_after < $5)
    AND (CAST($6 AS BIGINT) IS NULL OR logical_date >= $6) AND (CAST($7 AS BIGINT) IS NULL OR logical_date < $7)
    AND (CAST($8 AS TEXT) IS NULL OR REPLACE(run_id, $8, '') <> run_id)";

fn bind_filter<'q>(statement: Statement<'q>, filter: &'q RunFilter) -> Statement<'q> {
    // An empty text is contained in every id.
    let contains = filter.run_id_contains.as_deref().filter(|text| !text.is_empty());
    statement
        .bind(filter.dag_id.as_ref().map(DagId::as_str))
        .bind(filter.state.map(RunState::as_str))
        .bind(filter.run_type.map(RunType::as_str))
        .bind(filter.run_after_from.map(Timestamp::as_micros))
        .bind(filter.run_after_before.map(Timestamp::as_micros))
        .bind(filter.logical_date_from.map(Timestamp::as_micros))
        .bind(filter.logical_date_before.map(Timestamp::as_micros))
        .bind(contains)
}

impl Store {
    /// Runs that pass the filter, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn runs(&self, filter: &RunFilter, page: Page) -> Result<Listed<RunRow>, StoreError> {
        let list = format!(
            "SELECT {COLUMNS} FROM dag_run WHERE {CONDITIONS} ORDER BY run_after DESC, run_key DESC LIMIT $9 OFFSET $10"
        );
        let count = format!("SELECT CAST(COUNT(*) AS BIGINT) AS total FROM dag_run WHERE {CONDITIONS}");
        let rows = bind_filter(sqlx::query(AssertSqlSafe(list)), filter)
            .bind(i64::from(page.limit))
            .bind(i64::from(page.offset))
            .fetch_all(self.reader())
            .await?;
        let total = bind_filter(sqlx::query(AssertSqlSafe(count)), filter).fetch_one(self.reader()).await?;
        Ok(Listed {
            rows: rows.iter().map(decode_run).collect::<Result<_, _>>()?,
            total: decode::number(&total, "total")?,
        })
    }
}
