//! Versions of DAGs: a run keeps the one it began with, so sources stay as long as a run names them.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;
use windrose_core::ids::DagId;
use windrose_core::time::Timestamp;

use crate::Store;
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;
use crate::tables::dags::LoadedDag;

/// A version of a DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DagVersionRow {
    /// The DAG.
    pub dag_id: DagId,
    /// The hash that names the version.
    pub hash: String,
    /// The file it was loaded from, relative to the DAGs' folder.
    pub file: String,
    /// The file's text.
    pub source: String,
    /// The git commit, where that is known.
    pub git_commit: Option<String>,
    /// Who made that commit.
    pub author: Option<String>,
    /// When it was first loaded.
    pub created_at: Timestamp,
}

const COLUMNS: &str = "dag_id, hash, file, source, git_commit, author, created_at";

pub(crate) async fn insert(tx: &mut Tx, dag: &LoadedDag, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO dag_version (dag_id, hash, file, source, git_commit, author, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind(dag.dag_id.as_str())
    .bind(&dag.hash)
    .bind(&dag.file)
    .bind(&dag.source)
    .bind(&dag.git_commit)
    .bind(&dag.author)
    .bind(now.as_micros())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn decode_version(row: &AnyRow) -> Result<DagVersionRow, StoreError> {
    Ok(DagVersionRow {
        dag_id: decode::text(row, "dag_id")?.into(),
        hash: decode::text(row, "hash")?,
        file: decode::text(row, "file")?,
        source: decode::text(row, "source")?,
        git_commit: decode::optional_text(row, "git_commit")?,
        author: decode::optional_text(row, "author")?,
        created_at: decode::instant(row, "created_at")?,
    })
}

impl Store {
    /// One version of a DAG.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn dag_version(&self, dag_id: &DagId, hash: &str) -> Result<Option<DagVersionRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM dag_version WHERE dag_id = $1 AND hash = $2");
        let statement = sqlx::query(AssertSqlSafe(sql)).bind(dag_id.as_str()).bind(hash);
        statement.fetch_optional(self.reader()).await?.as_ref().map(decode_version).transpose()
    }

    /// All versions of a DAG, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn dag_versions(&self, dag_id: &DagId) -> Result<Vec<DagVersionRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM dag_version WHERE dag_id = $1 ORDER BY created_at DESC, hash");
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(dag_id.as_str()).fetch_all(self.reader()).await?;
        rows.iter().map(decode_version).collect()
    }
}
