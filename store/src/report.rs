//! What `windrose db check` tells of a database, without changing it.

use sqlx::{ConnectOptions, Row};

use crate::Store;
use crate::connect::Place;
use crate::decode;
use crate::dialect::Dialect;
use crate::error::StoreError;
use crate::migrate::{MIGRATIONS, known_version};

/// The state of a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseReport {
    /// Which database.
    pub dialect: Dialect,
    /// Where it is, without user and password.
    pub location: String,
    /// The version of the server or library.
    pub server_version: String,
    /// The schema's version; 0 if there is no schema yet.
    pub schema_version: i64,
    /// The version this program works with.
    pub known_version: i64,
    /// Migrations that [`Store::open`] would apply, in order.
    pub pending: Vec<String>,
}

impl Store {
    /// Looks at a database without changing it. A SQLite file that does not exist is an error here.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] if a newer Windrose made it, and everything that keeps it from being reached.
    pub async fn check(url: &str) -> Result<DatabaseReport, StoreError> {
        sqlx::any::install_default_drivers();
        let place = Place::parse(url)?;
        let dialect = place.dialect();
        let mut connection = place.options(false)?.connect().await?;
        let server = sqlx::query(dialect.version()).fetch_one(&mut connection).await?;
        let tables: i64 = sqlx::query(dialect.has_schema_version()).fetch_one(&mut connection).await?.try_get("n")?;
        let mut schema_version = 0;
        if tables > 0 {
            let row = sqlx::query("SELECT CAST(COALESCE(MAX(version), 0) AS BIGINT) AS version FROM schema_version")
                .fetch_one(&mut connection)
                .await?;
            schema_version = row.try_get("version")?;
        }
        sqlx::Connection::close(connection).await?;
        crate::migrate::refuse_newer(schema_version)?;
        let pending = MIGRATIONS.iter().filter(|step| step.version > schema_version);
        Ok(DatabaseReport {
            dialect,
            location: place.describe(),
            server_version: decode::text(&server, "version")?,
            schema_version,
            known_version: known_version(),
            pending: pending.map(|step| format!("{:04} {}", step.version, step.name)).collect(),
        })
    }
}
