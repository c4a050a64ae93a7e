//! DAGs as they are now.

use std::collections::HashSet;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;
use windrose_core::ids::DagId;
use windrose_core::run::DataInterval;
use windrose_core::time::Timestamp;

use crate::Store;
use crate::batch::DagWrite;
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;
use crate::tables::asset_references::{self, AssetReference};

/// A DAG that was loaded from its file.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedDag {
    /// Its id.
    pub dag_id: DagId,
    /// The file, relative to the DAGs' folder.
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
    /// The git commit the file comes from, where that is known.
    pub git_commit: Option<String>,
    /// Who made that commit.
    pub author: Option<String>,
    /// The assets it refers to, each once.
    pub assets: Vec<AssetReference>,
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
}

/// A DAG as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct DagRow {
    /// Its id.
    pub dag_id: DagId,
    /// The file, relative to the DAGs' folder.
    pub file: String,
    /// The hash of its newest version.
    pub version: String,
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

const COLUMNS: &str = "dag_id, file, version, paused, description, owner, tags, schedule, first_seen_at, changed_at, \
     absent_since, passed_start, passed_end, active_since";

fn passed_over(row: &AnyRow) -> Result<Option<DataInterval>, StoreError> {
    let (start, end) = (decode::optional_instant(row, "passed_start")?, decode::optional_instant(row, "passed_end")?);
    Ok(start.zip(end).map(|(start, end)| DataInterval { start, end }))
}

fn decode_dag(row: &AnyRow) -> Result<DagRow, StoreError> {
    Ok(DagRow {
        dag_id: decode::text(row, "dag_id")?.into(),
        file: decode::text(row, "file")?,
        version: decode::text(row, "version")?,
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
    /// Records that a DAG was loaded, with its version. `paused` is used only if it was not known before.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put_dag(&self, dag: &LoadedDag, paused: bool, now: Timestamp) -> Result<DagChange, StoreError> {
        let mut tx = self.begin().await?;
        let before = sqlx::query("SELECT version, paused, passed_start, passed_end FROM dag WHERE dag_id = $1")
            .bind(dag.dag_id.as_str())
            .fetch_optional(&mut *tx)
            .await?;
        let change = match &before {
            None => DagChange { is_new: true, new_version: true, paused, passed_over: None },
            Some(row) => DagChange {
                is_new: false,
                new_version: decode::text(row, "version")? != dag.hash,
                paused: decode::flag(row, "paused")?,
                passed_over: passed_over(row)?,
            },
        };
        upsert(&mut tx, dag, change.paused, now).await?;
        crate::tables::dag_versions::insert(&mut tx, dag, now).await?;
        if change.new_version {
            asset_references::replace(&mut tx, &dag.dag_id, &dag.assets, now).await?;
        }
        tx.commit().await?;
        Ok(change)
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

    /// Marks every DAG that no file holds any more; returns those that were marked now. Loading one unmarks it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn mark_absent(&self, present: &HashSet<DagId>, now: Timestamp) -> Result<Vec<DagId>, StoreError> {
        let mut tx = self.begin().await?;
        let mut marked = Vec::new();
        for row in
            sqlx::query("SELECT dag_id FROM dag WHERE absent_since IS NULL ORDER BY dag_id").fetch_all(&mut *tx).await?
        {
            let dag_id: DagId = decode::text(&row, "dag_id")?.into();
            if !present.contains(&dag_id) {
                sqlx::query("UPDATE dag SET absent_since = $2 WHERE dag_id = $1")
                    .bind(dag_id.as_str())
                    .bind(now.as_micros())
                    .execute(&mut *tx)
                    .await?;
                marked.push(dag_id);
            }
        }
        tx.commit().await?;
        Ok(marked)
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

async fn upsert(tx: &mut Tx, dag: &LoadedDag, paused: bool, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO dag (dag_id, file, version, paused, description, owner, tags, schedule, first_seen_at, changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
         ON CONFLICT (dag_id) DO UPDATE SET file = excluded.file, version = excluded.version,
             description = excluded.description, owner = excluded.owner, tags = excluded.tags,
             schedule = excluded.schedule, absent_since = NULL,
             changed_at = CASE WHEN dag.version = excluded.version THEN dag.changed_at ELSE excluded.changed_at END",
    )
    .bind(dag.dag_id.as_str())
    .bind(&dag.file)
    .bind(&dag.hash)
    .bind(i64::from(paused))
    .bind(&dag.description)
    .bind(&dag.owner)
    .bind(decode::to_json(&dag.tags)?)
    .bind(&dag.schedule)
    .bind(now.as_micros())
    .execute(&mut **tx)
    .await?;
    Ok(())
}
