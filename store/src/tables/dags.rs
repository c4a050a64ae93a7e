//! DAGs as they are now.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;
use windrose_core::ids::{BundleName, DagId};
use windrose_core::run::DataInterval;
use windrose_core::time::Timestamp;

use crate::Store;
use crate::batch::DagWrite;
use crate::batch_values::{Statement, execute_rows};
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;
use crate::tables::asset_references::{self, AssetReference};
use crate::tables::dag_versions::VersionFile;

/// A DAG that was loaded from its file.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedDag {
    /// Its id.
    pub dag_id: DagId,
    /// The bundle it comes from.
    pub bundle: BundleName,
    /// The file, relative to the bundle.
    pub file: String,
    /// The hash that names this version.
    pub hash: String,
    /// The file's text.
    pub source: String,
    /// One line for people.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// For filters.
    pub tags: Vec<String>,
    /// The schedule in words; `None` if runs are made by hand only.
    pub schedule: Option<String>,
    /// The commit it comes from, where there is one.
    pub commit: Option<CommitFacts>,
    /// The files of the bundle that belong to this version.
    pub files: Vec<VersionFile>,
    /// The assets it refers to, each once.
    pub assets: Vec<AssetReference>,
    /// Whether it is paused, if it was not known before.
    pub paused: bool,
}

impl LoadedDag {
    /// One of the bundle `dags` of which only this much is known.
    #[must_use]
    pub fn plain(dag_id: impl Into<DagId>, hash: &str, source: &str) -> Self {
        let dag_id = dag_id.into();
        Self {
            file: format!("{dag_id}.toml"),
            dag_id,
            bundle: DEFAULT_BUNDLE.into(),
            hash: hash.to_owned(),
            source: source.to_owned(),
            description: None,
            owner: None,
            tags: Vec::new(),
            schedule: None,
            commit: None,
            files: Vec::new(),
            assets: Vec::new(),
            paused: false,
        }
    }
}

/// The bundle of an installation that names none.
pub const DEFAULT_BUNDLE: &str = "dags";

/// A commit, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitFacts {
    /// Its full id.
    pub id: String,
    /// Who made it.
    pub author: String,
    /// When, by the author's clock.
    pub committed_at: Timestamp,
    /// The first line of its message.
    pub subject: String,
}

/// What a load changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DagChange {
    /// The DAG was not known before.
    pub is_new: bool,
    /// Its version differs from the one before.
    pub new_version: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// What the newest scheduled run stood for that was passed over.
    pub passed_over: Option<DataInterval>,
    /// A person went back to an older version, and the file still holds what it held then.
    pub is_held: bool,
}

/// A DAG as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct DagRow {
    /// Its id.
    pub dag_id: DagId,
    /// The bundle it comes from.
    pub bundle: BundleName,
    /// The file, relative to the bundle.
    pub file: String,
    /// The hash of the version that new runs get: the newest, unless a person went back.
    pub version: String,
    /// The newest version, if a person went back from it to the one in `version`.
    pub held_from: Option<String>,
    /// No new runs by its schedule.
    pub paused: bool,
    /// One line for people.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// For filters.
    pub tags: Vec<String>,
    /// The schedule in words; `None` if runs are made by hand only.
    pub schedule: Option<String>,
    /// When it was first loaded.
    pub first_seen_at: Timestamp,
    /// When its newest version was loaded.
    pub changed_at: Timestamp,
    /// Since when no file holds it.
    pub absent_since: Option<Timestamp>,
    /// What the newest scheduled run stood for that was passed over.
    pub passed_over: Option<DataInterval>,
    /// Since when the scheduler has known it to be at work, with deadlines.
    pub active_since: Option<Timestamp>,
}

const COLUMNS: &str = "dag_id, bundle, file, version, held_from, paused, description, owner, tags, schedule, first_seen_at, changed_at, \
     absent_since, passed_start, passed_end, active_since";

fn passed_over(row: &AnyRow) -> Result<Option<DataInterval>, StoreError> {
    let (start, end) = (decode::optional_instant(row, "passed_start")?, decode::optional_instant(row, "passed_end")?);
    Ok(start.zip(end).map(|(start, end)| DataInterval { start, end }))
}

fn decode_dag(row: &AnyRow) -> Result<DagRow, StoreError> {
    Ok(DagRow {
        dag_id: decode::text(row, "dag_id")?.into(),
        bundle: decode::text(row, "bundle")?.into(),
        file: decode::text(row, "file")?,
        version: decode::text(row, "version")?,
        held_from: decode::optional_text(row, "held_from")?,
        paused: decode::flag(row, "paused")?,
        description: decode::optional_text(row, "description")?,
        owner: decode::optional_text(row, "owner")?,
        tags: decode::json(row, "tags")?,
        schedule: decode::optional_text(row, "schedule")?,
        first_seen_at: decode::instant(row, "first_seen_at")?,
        changed_at: decode::instant(row, "changed_at")?,
        absent_since: decode::optional_instant(row, "absent_since")?,
        passed_over: passed_over(row)?,
        active_since: decode::optional_instant(row, "active_since")?,
    })
}

impl Store {
    /// Records that a DAG was loaded, with its version.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put_dag(&self, dag: &LoadedDag, now: Timestamp) -> Result<DagChange, StoreError> {
        let mut tx = self.begin().await?;
        let changes = put(&mut tx, std::slice::from_ref(dag), now).await?;
        tx.commit().await?;
        changes.into_iter().next().ok_or_else(|| StoreError::not_found(format!("DAG '{}'", dag.dag_id)))
    }

    /// Makes an older version the one that new runs get, for as long as the file holds what it holds now; with `None` the
    /// newest again. False if it was so already.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such DAG or version.
    pub async fn hold_version(&self, dag_id: &DagId, version: Option<&str>) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query("SELECT version, held_from FROM dag WHERE dag_id = $1")
            .bind(dag_id.as_str())
            .fetch_optional(&mut *tx)
            .await?;
        let row = row.ok_or_else(|| StoreError::not_found(format!("DAG '{dag_id}'")))?;
        let (current, held_from) = (decode::text(&row, "version")?, decode::optional_text(&row, "held_from")?);
        let newest = held_from.clone().unwrap_or_else(|| current.clone());
        let wanted = version.unwrap_or(&newest);
        let known = sqlx::query("SELECT hash FROM dag_version WHERE dag_id = $1 AND hash = $2")
            .bind(dag_id.as_str())
            .bind(wanted)
            .fetch_optional(&mut *tx)
            .await?;
        if known.is_none() {
            return Err(StoreError::not_found(format!("version {wanted} of DAG '{dag_id}'")));
        }
        let held_now = (wanted != newest).then_some(newest.as_str());
        if wanted == current && held_now == held_from.as_deref() {
            return Ok(false);
        }
        sqlx::query("UPDATE dag SET version = $2, held_from = $3 WHERE dag_id = $1")
            .bind(dag_id.as_str())
            .bind(wanted)
            .bind(held_now)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Pauses or unpauses a DAG; false if it was so already.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn set_paused(&self, dag_id: &DagId, paused: bool) -> Result<bool, StoreError> {
        // Its deadlines begin anew when the scheduler sees it unpaused.
        let statement = if paused {
            "UPDATE dag SET paused = 1 WHERE dag_id = $1 AND paused <> 1"
        } else {
            "UPDATE dag SET paused = 0, active_since = NULL WHERE dag_id = $1 AND paused <> 0"
        };
        let done = sqlx::query(statement).bind(dag_id.as_str()).execute(self.writer()).await?;
        if done.rows_affected() == 1 {
            return Ok(true);
        }
        match self.dag(dag_id).await? {
            Some(_) => Ok(false),
            None => Err(StoreError::not_found(format!("DAG '{dag_id}'"))),
        }
    }

    /// All DAGs by id, those without a file included.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn dags(&self) -> Result<Vec<DagRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM dag ORDER BY dag_id");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(self.reader()).await?;
        rows.iter().map(decode_dag).collect()
    }

    /// One DAG.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn dag(&self, dag_id: &DagId) -> Result<Option<DagRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM dag WHERE dag_id = $1");
        let row = sqlx::query(AssertSqlSafe(sql)).bind(dag_id.as_str()).fetch_optional(self.reader()).await?;
        row.as_ref().map(decode_dag).transpose()
    }
}

/// Rare, so each is a statement of its own.
pub(crate) async fn write(tx: &mut Tx, writes: &[DagWrite]) -> Result<(), StoreError> {
    for write in writes {
        let statement = match write {
            DagWrite::Pause(dag_id) => sqlx::query("UPDATE dag SET paused = 1 WHERE dag_id = $1").bind(dag_id.as_str()),
            DagWrite::Active { dag_id, since } => sqlx::query("UPDATE dag SET active_since = $2 WHERE dag_id = $1")
                .bind(dag_id.as_str())
                .bind(since.as_micros()),
            DagWrite::PassedOver { dag_id, data_interval } => {
                sqlx::query("UPDATE dag SET passed_start = $2, passed_end = $3 WHERE dag_id = $1")
                    .bind(dag_id.as_str())
                    .bind(data_interval.start.as_micros())
                    .bind(data_interval.end.as_micros())
            }
        };
        statement.execute(&mut **tx).await?;
    }
    Ok(())
}

/// Records loaded DAGs with their versions; what changed, in their order.
pub(crate) async fn put(tx: &mut Tx, dags: &[LoadedDag], now: Timestamp) -> Result<Vec<DagChange>, StoreError> {
    let before = known(tx, dags).await?;
    let mut changes = Vec::with_capacity(dags.len());
    let mut rows = Vec::with_capacity(dags.len());
    for dag in dags {
        let (change, version, held_from) = match before.get(dag.dag_id.as_str()) {
            None => {
                let paused = dag.paused;
                let change = DagChange { is_new: true, new_version: true, paused, passed_over: None, is_held: false };
                (change, dag.hash.as_str(), None)
            }
            Some(known) => {
                let is_held = known.held_from.as_deref() == Some(dag.hash.as_str());
                let version = if is_held { known.version.as_str() } else { dag.hash.as_str() };
                let new_version = known.version != version;
                let (paused, passed_over) = (known.paused, known.passed_over);
                let change = DagChange { is_new: false, new_version, paused, passed_over, is_held };
                (change, version, is_held.then_some(dag.hash.as_str()))
            }
        };
        changes.push(change);
        rows.push(Upsert { dag, version, held_from, paused: change.paused, tags: decode::to_json(&dag.tags)?, now });
    }
    execute_rows(tx, UPSERT, 12, &rows, Upsert::bind).await?;
    crate::tables::dag_versions::insert(tx, dags, now).await?;
    for (dag, change) in dags.iter().zip(&changes) {
        if change.new_version && !(change.is_new && dag.assets.is_empty()) {
            asset_references::replace(tx, &dag.dag_id, &dag.assets, now).await?;
        }
    }
    Ok(changes)
}

struct Known {
    version: String,
    held_from: Option<String>,
    paused: bool,
    passed_over: Option<DataInterval>,
}

/// More are read with one statement for all DAGs.
const ONE_BY_ONE: usize = 64;

async fn known(tx: &mut Tx, dags: &[LoadedDag]) -> Result<HashMap<String, Known>, StoreError> {
    const ALL: &str = "SELECT dag_id, version, held_from, paused, passed_start, passed_end FROM dag";
    const ONE: &str = "SELECT dag_id, version, held_from, paused, passed_start, passed_end FROM dag WHERE dag_id = $1";
    let mut rows = Vec::new();
    if dags.len() > ONE_BY_ONE {
        rows = sqlx::query(ALL).fetch_all(&mut **tx).await?;
    } else {
        for dag in dags {
            rows.extend(sqlx::query(ONE).bind(dag.dag_id.as_str()).fetch_optional(&mut **tx).await?);
        }
    }
    let decoded = rows.iter().map(|row| {
        let known = Known {
            version: decode::text(row, "version")?,
            held_from: decode::optional_text(row, "held_from")?,
            paused: decode::flag(row, "paused")?,
            passed_over: passed_over(row)?,
        };
        Ok((decode::text(row, "dag_id")?, known))
    });
    decoded.collect()
}

const UPSERT: &str = "
    INSERT INTO dag (dag_id, bundle, file, version, held_from, paused, description, owner, tags, schedule, first_seen_at,
        changed_at) VALUES {values}
    ON CONFLICT (dag_id) DO UPDATE SET bundle = excluded.bundle, file = excluded.file, version = excluded.version,
        held_from = excluded.held_from, description = excluded.description, owner = excluded.owner, tags = excluded.tags,
        schedule = excluded.schedule, absent_since = NULL,
        changed_at = CASE WHEN dag.version = excluded.version THEN dag.changed_at ELSE excluded.changed_at END";

struct Upsert<'a> {
    dag: &'a LoadedDag,
    version: &'a str,
    held_from: Option<&'a str>,
    paused: bool,
    tags: String,
    now: Timestamp,
}

impl Upsert<'_> {
    fn bind<'q>(statement: Statement<'q>, row: &'q Self) -> Statement<'q> {
        let dag = row.dag;
        statement
            .bind(dag.dag_id.as_str())
            .bind(dag.bundle.as_str())
            .bind(&dag.file)
            .bind(row.version)
            .bind(row.held_from)
            .bind(i64::from(row.paused))
            .bind(&dag.description)
            .bind(&dag.owner)
            .bind(&row.tags)
            .bind(&dag.schedule)
            .bind(row.now.as_micros())
            .bind(row.now.as_micros())
    }
}
