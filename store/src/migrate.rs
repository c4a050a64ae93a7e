//! The sequence of migrations, and how a database is brought to its end.

use sqlx::{Any, AnyPool, Row, Transaction};

use crate::dialect::{Dialect, MIGRATION_LOCK};
use crate::error::StoreError;

/// One step of the schema. It never changes once released.
pub(crate) struct Migration {
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    sql: &'static str,
}

/// All steps, in order.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "initial", sql: include_str!("../../migrations/0001_initial.sql") },
    Migration { version: 2, name: "mapping", sql: include_str!("../../migrations/0002_mapping.sql") },
    Migration { version: 3, name: "assets", sql: include_str!("../../migrations/0003_assets.sql") },
    Migration { version: 4, name: "backfills", sql: include_str!("../../migrations/0004_backfills.sql") },
    Migration {
        version: 5,
        name: "schedules and notifications",
        sql: include_str!("../../migrations/0005_schedules_and_notifications.sql"),
    },
    Migration { version: 6, name: "approvals", sql: include_str!("../../migrations/0006_approvals.sql") },
    Migration { version: 7, name: "deadlines", sql: include_str!("../../migrations/0007_deadlines.sql") },
    Migration { version: 8, name: "bundles", sql: include_str!("../../migrations/0008_bundles.sql") },
];

/// The version this program works with.
pub(crate) fn known_version() -> i64 {
    MIGRATIONS.last().map_or(0, |last| last.version)
}

/// Applies what is missing, all in one transaction, while other processes wait.
pub(crate) async fn migrate(pool: &AnyPool, dialect: Dialect) -> Result<(), StoreError> {
    if current_version(pool, dialect).await? == Some(known_version()) {
        return Ok(());
    }
    let mut tx = pool.begin_with(dialect.begin_migration()).await?;
    if let Some(lock) = dialect.migration_lock() {
        sqlx::query(lock).bind(MIGRATION_LOCK).execute(&mut *tx).await?;
    }
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT PRIMARY KEY NOT NULL, name TEXT NOT NULL)",
    )
    .execute(&mut *tx)
    .await?;
    let found = newest(&mut tx).await?;
    refuse_newer(found)?;
    for step in MIGRATIONS.iter().filter(|step| step.version > found) {
        sqlx::raw_sql(step.sql).execute(&mut *tx).await?;
        sqlx::query("INSERT INTO schema_version (version, name) VALUES ($1, $2)")
            .bind(step.version)
            .bind(step.name)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The version of a database; `None` if it has none yet.
///
/// # Errors
/// [`StoreError::NewerSchema`] if this program is too old for it.
pub(crate) async fn current_version(pool: &AnyPool, dialect: Dialect) -> Result<Option<i64>, StoreError> {
    let tables: i64 = sqlx::query(dialect.has_schema_version()).fetch_one(pool).await?.try_get("n")?;
    if tables == 0 {
        return Ok(None);
    }
    let mut tx = pool.begin().await?;
    let found = newest(&mut tx).await?;
    refuse_newer(found)?;
    Ok(Some(found))
}

async fn newest(tx: &mut Transaction<'_, Any>) -> Result<i64, StoreError> {
    let row = sqlx::query("SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) AS version FROM schema_version")
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.try_get("version")?)
}

pub(crate) fn refuse_newer(found: i64) -> Result<(), StoreError> {
    let known = known_version();
    if found > known { Err(StoreError::NewerSchema { found, known }) } else { Ok(()) }
}
