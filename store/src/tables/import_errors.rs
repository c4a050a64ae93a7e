//! Errors of DAG files.

use windrose_core::ids::{BundleName, DagId};
use windrose_core::time::Timestamp;

use crate::Store;
use crate::batch_values::execute_rows;
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;

/// A DAG file that could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportErrorRow {
    /// The bundle.
    pub bundle: BundleName,
    /// The file, relative to the bundle.
    pub file: String,
    /// The DAG, where that is known.
    pub dag_id: Option<DagId>,
    /// Everything wrong with it, for people.
    pub message: String,
    /// When that was found.
    pub at: Timestamp,
    /// The commit that brought it.
    pub git_commit: Option<String>,
    /// Who made that commit.
    pub author: Option<String>,
}

const INSERT: &str = "INSERT INTO import_error (bundle, file, dag_id, message, at, git_commit, author) VALUES {values}";

/// Puts these errors in the place of all that the bundle had.
pub(crate) async fn replace(tx: &mut Tx, bundle: &BundleName, errors: &[ImportErrorRow]) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM import_error WHERE bundle = $1").bind(bundle.as_str()).execute(&mut **tx).await?;
    execute_rows(tx, INSERT, 7, errors, |statement, error| {
        statement
            .bind(error.bundle.as_str())
            .bind(&error.file)
            .bind(error.dag_id.as_ref().map(DagId::as_str))
            .bind(&error.message)
            .bind(error.at.as_micros())
            .bind(&error.git_commit)
            .bind(&error.author)
    })
    .await?;
    Ok(())
}

impl Store {
    /// All errors of DAG files, by bundle and file.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn import_errors(&self) -> Result<Vec<ImportErrorRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT bundle, file, dag_id, message, at, git_commit, author FROM import_error ORDER BY bundle, file",
        )
        .fetch_all(self.reader())
        .await?;
        let decoded = rows.iter().map(|row| {
            Ok(ImportErrorRow {
                bundle: decode::text(row, "bundle")?.into(),
                file: decode::text(row, "file")?,
                dag_id: decode::optional_text(row, "dag_id")?.map(DagId::from),
                message: decode::text(row, "message")?,
                at: decode::instant(row, "at")?,
                git_commit: decode::optional_text(row, "git_commit")?,
                author: decode::optional_text(row, "author")?,
            })
        });
        decoded.collect()
    }
}
