//! Errors of DAG files.

use windrose_core::ids::DagId;
use windrose_core::time::Timestamp;

use crate::Store;
use crate::decode;
use crate::error::StoreError;

/// A DAG file that could not be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportErrorRow {
    /// The file, relative to the DAGs' folder.
    pub file: String,
    /// The DAG, where that is known.
    pub dag_id: Option<DagId>,
    /// Everything wrong with it, for people.
    pub message: String,
    /// When that was found.
    pub at: Timestamp,
}

impl Store {
    /// Puts these errors in the place of all that were there.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn replace_import_errors(&self, errors: &[ImportErrorRow]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM import_error").execute(&mut *tx).await?;
        for error in errors {
            sqlx::query("INSERT INTO import_error (file, dag_id, message, at) VALUES ($1, $2, $3, $4)")
                .bind(&error.file)
                .bind(error.dag_id.as_ref().map(DagId::as_str))
                .bind(&error.message)
                .bind(error.at.as_micros())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// All errors of DAG files, by file.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn import_errors(&self) -> Result<Vec<ImportErrorRow>, StoreError> {
        let rows = sqlx::query("SELECT file, dag_id, message, at FROM import_error ORDER BY file")
            .fetch_all(self.reader())
            .await?;
        let decoded = rows.iter().map(|row| {
            Ok(ImportErrorRow {
                file: decode::text(row, "file")?,
                dag_id: decode::optional_text(row, "dag_id")?.map(DagId::from),
                message: decode::text(row, "message")?,
                at: decode::instant(row, "at")?,
            })
        });
        decoded.collect()
    }
}
