//! Versions of DAGs: a run keeps the one it began with, so sources stay as long as a run names them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};
use windrose_core::ids::{BundleName, DagId};
use windrose_core::time::Timestamp;

use crate::Store;
use crate::batch_values::execute_rows;
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;
use crate::tables::dags::{CommitFacts, LoadedDag};

/// A version of a DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DagVersionRow {
    /// The DAG.
    pub dag_id: DagId,
    /// The hash that names the version.
    pub hash: String,
    /// The bundle it was loaded from.
    pub bundle: BundleName,
    /// The file it was loaded from, relative to the bundle.
    pub file: String,
    /// The file's text.
    pub source: String,
    /// The commit that brought it, where there is one.
    pub commit: Option<CommitFacts>,
    /// When it was first loaded.
    pub created_at: Timestamp,
}

/// A file of the bundle that belongs to a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionFile {
    /// Relative to the bundle.
    pub path: String,
    /// [`windrose_core::dag_version::bytes_hash`] of its content.
    pub hash: String,
    /// What it holds.
    pub content: Arc<[u8]>,
}

const COLUMNS: &str = "dag_id, hash, bundle, file, source, git_commit, author, committed_at, subject, created_at";

const INSERT: &str = "
    INSERT INTO dag_version (dag_id, hash, bundle, file, source, git_commit, author, committed_at, subject, created_at)
    VALUES {values} ON CONFLICT DO NOTHING";

const INSERT_FILE: &str = "INSERT INTO bundle_file (hash, content) VALUES {values} ON CONFLICT DO NOTHING";

const INSERT_PATH: &str =
    "INSERT INTO dag_version_file (dag_id, version, path, hash) VALUES {values} ON CONFLICT DO NOTHING";

pub(crate) async fn insert(tx: &mut Tx, dags: &[LoadedDag], now: Timestamp) -> Result<(), StoreError> {
    let rows: Vec<_> = dags.iter().map(|dag| (dag, now)).collect();
    execute_rows(tx, INSERT, 10, &rows, |statement, (dag, now)| {
        let commit = dag.commit.as_ref();
        statement
            .bind(dag.dag_id.as_str())
            .bind(&dag.hash)
            .bind(dag.bundle.as_str())
            .bind(&dag.file)
            .bind(&dag.source)
            .bind(commit.map(|commit| commit.id.as_str()))
            .bind(commit.map(|commit| commit.author.as_str()))
            .bind(commit.map(|commit| commit.committed_at.as_micros()))
            .bind(commit.map(|commit| commit.subject.as_str()))
            .bind(now.as_micros())
    })
    .await?;
    let files: Vec<_> = dags.iter().flat_map(|dag| dag.files.iter().map(move |file| (dag, file))).collect();
    let contents: BTreeMap<&str, &[u8]> = files.iter().map(|(_, file)| (file.hash.as_str(), &*file.content)).collect();
    let contents: Vec<_> = contents.into_iter().collect();
    execute_rows(tx, INSERT_FILE, 2, &contents, |statement, (hash, content)| statement.bind(*hash).bind(*content))
        .await?;
    execute_rows(tx, INSERT_PATH, 4, &files, |statement, (dag, file)| {
        statement.bind(dag.dag_id.as_str()).bind(&dag.hash).bind(&file.path).bind(&file.hash)
    })
    .await?;
    Ok(())
}

fn decode_version(row: &AnyRow) -> Result<DagVersionRow, StoreError> {
    Ok(DagVersionRow {
        dag_id: decode::text(row, "dag_id")?.into(),
        hash: decode::text(row, "hash")?,
        bundle: decode::text(row, "bundle")?.into(),
        file: decode::text(row, "file")?,
        source: decode::text(row, "source")?,
        commit: decode_commit(row)?,
        created_at: decode::instant(row, "created_at")?,
    })
}

/// Of a row with the columns `git_commit`, `author`, `committed_at` and `subject`.
pub(crate) fn decode_commit(row: &AnyRow) -> Result<Option<CommitFacts>, StoreError> {
    let Some(id) = decode::optional_text(row, "git_commit")? else { return Ok(None) };
    Ok(Some(CommitFacts {
        id,
        author: decode::optional_text(row, "author")?.unwrap_or_default(),
        committed_at: decode::optional_instant(row, "committed_at")?.unwrap_or(Timestamp::from_micros(0)),
        subject: decode::optional_text(row, "subject")?.unwrap_or_default(),
    }))
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

    /// The files that belong to a version, by path.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn version_files(&self, dag_id: &DagId, hash: &str) -> Result<Vec<VersionFile>, StoreError> {
        let rows = sqlx::query(
            "SELECT f.path, f.hash, b.content FROM dag_version_file AS f JOIN bundle_file AS b ON b.hash = f.hash
             WHERE f.dag_id = $1 AND f.version = $2 ORDER BY f.path",
        )
        .bind(dag_id.as_str())
        .bind(hash)
        .fetch_all(self.reader())
        .await?;
        let decoded = rows.iter().map(|row| {
            Ok(VersionFile {
                path: decode::text(row, "path")?,
                hash: decode::text(row, "hash")?,
                content: row.try_get::<Vec<u8>, _>("content")?.into(),
            })
        });
        decoded.collect()
    }

    /// How many runs each version of a DAG has.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn runs_by_version(&self, dag_id: &DagId) -> Result<HashMap<String, u64>, StoreError> {
        let rows = sqlx::query(
            "SELECT dag_version, CAST(COUNT(*) AS BIGINT) AS n FROM dag_run WHERE dag_id = $1 GROUP BY dag_version",
        )
        .bind(dag_id.as_str())
        .fetch_all(self.reader())
        .await?;
        let decoded = rows.iter().map(|row| {
            let count = u64::try_from(row.try_get::<i64, _>("n")?).unwrap_or(0);
            Ok((decode::text(row, "dag_version")?, count))
        });
        decoded.collect()
    }
}
