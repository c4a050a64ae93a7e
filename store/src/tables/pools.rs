//! Pools.

use sqlx::any::AnyRow;

use crate::Store;
use crate::decode;
use crate::error::StoreError;

/// A pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolRow {
    /// Its name.
    pub name: String,
    /// How many slots; −1 is as many as anybody wants.
    pub slots: i32,
    /// For people.
    pub description: Option<String>,
    /// Deferred task instances keep their slots.
    pub include_deferred: bool,
}

fn decode_pool(row: &AnyRow) -> Result<PoolRow, StoreError> {
    Ok(PoolRow {
        name: decode::text(row, "name")?,
        slots: decode::number(row, "slots")?,
        description: decode::optional_text(row, "description")?,
        include_deferred: decode::flag(row, "include_deferred")?,
    })
}

impl Store {
    /// All pools by name. `default_pool` is always among them.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn pools(&self) -> Result<Vec<PoolRow>, StoreError> {
        let rows = sqlx::query("SELECT name, slots, description, include_deferred FROM pool ORDER BY name")
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(decode_pool).collect()
    }

    /// Makes a pool, or changes the one with this name; true if it is new.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put_pool(&self, pool: &PoolRow) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let there = sqlx::query("DELETE FROM pool WHERE name = $1").bind(&pool.name).execute(&mut *tx).await?;
        sqlx::query("INSERT INTO pool (name, slots, description, include_deferred) VALUES ($1, $2, $3, $4)")
            .bind(&pool.name)
            .bind(i64::from(pool.slots))
            .bind(&pool.description)
            .bind(i64::from(pool.include_deferred))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(there.rows_affected() == 0)
    }

    /// Removes a pool; false if there was none, or it is `default_pool`, which stays.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn delete_pool(&self, name: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM pool WHERE name = $1 AND name <> 'default_pool'")
            .bind(name)
            .execute(self.writer())
            .await?;
        Ok(done.rows_affected() == 1)
    }
}
