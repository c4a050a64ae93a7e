//! Bundles: what of them is loaded, and what keeps them from being newer.

use std::collections::HashSet;

use sqlx::any::AnyRow;
use windrose_core::ids::{BundleName, DagId};
use windrose_core::time::Timestamp;

use crate::Store;
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;
use crate::tables::dag_versions::decode_commit;
use crate::tables::dags::{self, CommitFacts, DagChange, LoadedDag};
use crate::tables::import_errors::{self, ImportErrorRow};

/// Everything that a bundle's news change, to be made durable at once.
#[derive(Debug, Clone)]
pub struct BundleLoad {
    /// The bundle.
    pub bundle: BundleName,
    /// Where its files are now.
    pub commit: Option<CommitFacts>,
    /// DAGs that are new or different.
    pub dags: Vec<LoadedDag>,
    /// All DAGs that it holds now, those included.
    pub present: HashSet<DagId>,
    /// All errors of its files.
    pub errors: Vec<ImportErrorRow>,
}

/// A bundle as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleRow {
    /// Its name.
    pub name: BundleName,
    /// Where its files come from, for people.
    pub location: String,
    /// What is loaded, if it is a repository.
    pub commit: Option<CommitFacts>,
    /// When something of it was loaded last.
    pub loaded_at: Option<Timestamp>,
    /// When it was last asked for news.
    pub checked_at: Option<Timestamp>,
    /// Why it could not be asked.
    pub trouble: Option<String>,
}

fn decode_bundle(row: &AnyRow) -> Result<BundleRow, StoreError> {
    Ok(BundleRow {
        name: decode::text(row, "name")?.into(),
        location: decode::text(row, "location")?,
        commit: decode_commit(row)?,
        loaded_at: decode::optional_instant(row, "loaded_at")?,
        checked_at: decode::optional_instant(row, "checked_at")?,
        trouble: decode::optional_text(row, "trouble")?,
    })
}

impl Store {
    /// Records that a bundle's news were loaded: all or nothing. What changed, in the order of [`BundleLoad::dags`].
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn load_bundle(&self, load: &BundleLoad, now: Timestamp) -> Result<Vec<DagChange>, StoreError> {
        let mut tx = self.begin().await?;
        let changes = dags::put(&mut tx, &load.dags, now).await?;
        mark_absent(&mut tx, load, now).await?;
        import_errors::replace(&mut tx, &load.bundle, &load.errors).await?;
        let commit = load.commit.as_ref();
        sqlx::query(
            "UPDATE bundle SET git_commit = $2, author = $3, committed_at = $4, subject = $5, loaded_at = $6
             WHERE name = $1",
        )
        .bind(load.bundle.as_str())
        .bind(commit.map(|commit| commit.id.as_str()))
        .bind(commit.map(|commit| commit.author.as_str()))
        .bind(commit.map(|commit| commit.committed_at.as_micros()))
        .bind(commit.map(|commit| commit.subject.as_str()))
        .bind(now.as_micros())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(changes)
    }

    /// Makes these, with where their files come from, the bundles of this installation. DAGs of others count as gone.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn set_bundles(&self, bundles: &[(BundleName, String)], now: Timestamp) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let known = sqlx::query("SELECT name FROM bundle").fetch_all(&mut *tx).await?;
        let with_dags = sqlx::query("SELECT DISTINCT bundle AS name FROM dag").fetch_all(&mut *tx).await?;
        for row in known.iter().chain(&with_dags) {
            let name: BundleName = decode::text(row, "name")?.into();
            if bundles.iter().any(|(kept, _)| *kept == name) {
                continue;
            }
            sqlx::query("UPDATE dag SET absent_since = $2 WHERE bundle = $1 AND absent_since IS NULL")
                .bind(name.as_str())
                .bind(now.as_micros())
                .execute(&mut *tx)
                .await?;
            for statement in ["DELETE FROM import_error WHERE bundle = $1", "DELETE FROM bundle WHERE name = $1"] {
                sqlx::query(statement).bind(name.as_str()).execute(&mut *tx).await?;
            }
        }
        for (name, location) in bundles {
            sqlx::query(
                "INSERT INTO bundle (name, location) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET location = excluded.location",
            )
            .bind(name.as_str())
            .bind(location)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Records that a bundle was asked for news, and what hindered that.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn bundle_checked(
        &self,
        name: &BundleName,
        trouble: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE bundle SET checked_at = $2, trouble = $3 WHERE name = $1")
            .bind(name.as_str())
            .bind(now.as_micros())
            .bind(trouble)
            .execute(self.writer())
            .await?;
        Ok(())
    }

    /// All bundles by name.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn bundles(&self) -> Result<Vec<BundleRow>, StoreError> {
        let sql = "SELECT name, location, git_commit, author, committed_at, subject, loaded_at, checked_at, trouble
             FROM bundle ORDER BY name";
        sqlx::query(sql).fetch_all(self.reader()).await?.iter().map(decode_bundle).collect()
    }
}

/// DAGs of the bundle that no file of it holds any more. Loading one unmarks it.
async fn mark_absent(tx: &mut Tx, load: &BundleLoad, now: Timestamp) -> Result<(), StoreError> {
    let rows = sqlx::query("SELECT dag_id FROM dag WHERE bundle = $1 AND absent_since IS NULL ORDER BY dag_id")
        .bind(load.bundle.as_str())
        .fetch_all(&mut **tx)
        .await?;
    for row in rows {
        let dag_id: DagId = decode::text(&row, "dag_id")?.into();
        if !load.present.contains(&dag_id) {
            sqlx::query("UPDATE dag SET absent_since = $2 WHERE dag_id = $1")
                .bind(dag_id.as_str())
                .bind(now.as_micros())
                .execute(&mut **tx)
                .await?;
        }
    }
    Ok(())
}
