//! Variables, with their values sealed.

use windrose_core::time::Timestamp;

use crate::Store;
use crate::commit::Tx;
use crate::decode;
use crate::encryption::EncryptionKey;
use crate::error::StoreError;
use crate::tables::connections::Imported;

/// A variable. Its value may be a secret, so it has no `Debug` that prints it.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name: Airflow's `key`.
    pub key: String,
    /// Its value.
    pub value: String,
    /// For people.
    pub description: Option<String>,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Variable").field("key", &self.key).finish_non_exhaustive()
    }
}

fn context(key: &str) -> String {
    format!("variable '{key}'")
}

impl Store {
    /// A variable's value.
    ///
    /// # Errors
    /// [`StoreError::BadKey`] if its key is not configured.
    pub async fn variable(&self, key: &str) -> Result<Option<String>, StoreError> {
        let row =
            sqlx::query("SELECT value FROM variable WHERE name = $1").bind(key).fetch_optional(self.reader()).await?;
        row.map(|row| self.keys().open(&context(key), &decode::text(&row, "value")?)).transpose()
    }

    /// All variables by name.
    ///
    /// # Errors
    /// [`StoreError::BadKey`] if the key of one is not configured.
    pub async fn variables(&self) -> Result<Vec<Variable>, StoreError> {
        let rows =
            sqlx::query("SELECT name, value, description FROM variable ORDER BY name").fetch_all(self.reader()).await?;
        let decoded = rows.iter().map(|row| {
            let key = decode::text(row, "name")?;
            let value = self.keys().open(&context(&key), &decode::text(row, "value")?)?;
            Ok(Variable { key, value, description: decode::optional_text(row, "description")? })
        });
        decoded.collect()
    }

    /// Writes variables, all or none. One whose name exists is replaced if `replace` says so, else kept as it is.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put_variables(
        &self,
        variables: &[Variable],
        replace: bool,
        now: Timestamp,
    ) -> Result<Imported, StoreError> {
        let mut tx = self.begin().await?;
        let mut imported = Imported::default();
        for variable in variables {
            let sealed = self.keys().seal(&context(&variable.key), &variable.value)?;
            let created = sqlx::query(
                "INSERT INTO variable (name, value, description, changed_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT DO NOTHING",
            )
            .bind(&variable.key)
            .bind(&sealed)
            .bind(&variable.description)
            .bind(now.as_micros())
            .execute(&mut *tx)
            .await?;
            if created.rows_affected() == 1 {
                imported.created += 1;
            } else if replace {
                // A description that is not given stays, as in Airflow.
                sqlx::query(
                    "UPDATE variable SET value = $2, description = COALESCE($3, description), changed_at = $4
                     WHERE name = $1",
                )
                .bind(&variable.key)
                .bind(&sealed)
                .bind(&variable.description)
                .bind(now.as_micros())
                .execute(&mut *tx)
                .await?;
                imported.replaced += 1;
            } else {
                imported.kept += 1;
            }
        }
        tx.commit().await?;
        Ok(imported)
    }

    /// Removes a variable; false if there was none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn delete_variable(&self, key: &str) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM variable WHERE name = $1").bind(key).execute(self.writer()).await?;
        Ok(done.rows_affected() == 1)
    }
}

/// Seals with the first key what was sealed with another one; returns how many.
pub(crate) async fn rotate(tx: &mut Tx, keys: &EncryptionKey, now: Timestamp) -> Result<u32, StoreError> {
    let mut changed = 0;
    for row in sqlx::query("SELECT name, value FROM variable").fetch_all(&mut **tx).await? {
        let (name, sealed) = (decode::text(&row, "name")?, decode::text(&row, "value")?);
        if keys.is_current(&sealed) {
            continue;
        }
        let plain = keys.open(&context(&name), &sealed)?;
        sqlx::query("UPDATE variable SET value = $2, changed_at = $3 WHERE name = $1")
            .bind(&name)
            .bind(keys.seal(&context(&name), &plain)?)
            .bind(now.as_micros())
            .execute(&mut **tx)
            .await?;
        changed += 1;
    }
    Ok(changed)
}
