//! Connections, with password and extra sealed.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;
use windrose_core::connection::Connection;
use windrose_core::time::Timestamp;

use crate::Store;
use crate::commit::Tx;
use crate::decode;
use crate::encryption::EncryptionKey;
use crate::error::StoreError;

/// What became of the rows of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imported {
    /// Names that were new.
    pub created: u32,
    /// Names that were there and were replaced.
    pub replaced: u32,
    /// Names that were there and were kept.
    pub kept: u32,
}

const COLUMNS: &str = "conn_id, conn_type, description, host, login, password, schema_name, port, extra";

fn context(conn_id: &str, column: &str) -> String {
    format!("connection '{conn_id}', {column}")
}

fn decode_connection(keys: &EncryptionKey, row: &AnyRow) -> Result<Connection, StoreError> {
    let conn_id = decode::text(row, "conn_id")?;
    let secret = |column: &str| {
        decode::optional_text(row, column)?.map(|sealed| keys.open(&context(&conn_id, column), &sealed)).transpose()
    };
    Ok(Connection {
        conn_type: decode::text(row, "conn_type")?,
        description: decode::optional_text(row, "description")?,
        host: decode::optional_text(row, "host")?,
        login: decode::optional_text(row, "login")?,
        password: secret("password")?,
        schema: decode::optional_text(row, "schema_name")?,
        port: decode::optional_number(row, "port")?,
        extra: secret("extra")?,
        conn_id,
    })
}

impl Store {
    /// A connection, its secrets opened.
    ///
    /// # Errors
    /// [`StoreError::BadKey`] if its key is not configured.
    pub async fn connection(&self, conn_id: &str) -> Result<Option<Connection>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM connection WHERE conn_id = $1");
        let row = sqlx::query(AssertSqlSafe(sql)).bind(conn_id).fetch_optional(self.reader()).await?;
        row.map(|row| decode_connection(self.keys(), &row)).transpose()
    }

    /// All connections by id, their secrets opened.
    ///
    /// # Errors
    /// [`StoreError::BadKey`] if the key of one is not configured.
    pub async fn connections(&self) -> Result<Vec<Connection>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM connection ORDER BY conn_id");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(self.reader()).await?;
        rows.iter().map(|row| decode_connection(self.keys(), row)).collect()
    }

    /// Writes connections, all or none. One whose id exists is replaced if `replace` says so, else kept as it is.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put_connections(
        &self,
        connections: &[Connection],
        replace: bool,
        now: Timestamp,
    ) -> Result<Imported, StoreError> {
        let mut tx = self.begin().await?;
        let mut imported = Imported::default();
        for connection in connections {
            let there = sqlx::query("DELETE FROM connection WHERE conn_id = $1 AND $2 = 1 RETURNING conn_id")
                .bind(&connection.conn_id)
                .bind(i64::from(replace))
                .fetch_optional(&mut *tx)
                .await?;
            let written = insert(&mut tx, self.keys(), connection, now).await?;
            match (there.is_some(), written) {
                (true, _) => imported.replaced += 1,
                (false, true) => imported.created += 1,
                (false, false) => imported.kept += 1,
            }
        }
        tx.commit().await?;
        Ok(imported)
    }

    /// Removes a connection; false if there was none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn delete_connection(&self, conn_id: &str) -> Result<bool, StoreError> {
        let done =
            sqlx::query("DELETE FROM connection WHERE conn_id = $1").bind(conn_id).execute(self.writer()).await?;
        Ok(done.rows_affected() == 1)
    }

    /// Seals all secrets anew with the first key. Returns how many connections and variables changed.
    ///
    /// # Errors
    /// [`StoreError::BadKey`] if the key of one is not configured: nothing is written then.
    pub async fn rotate_secrets(&self, now: Timestamp) -> Result<u32, StoreError> {
        let stale = |sealed: &Option<String>| sealed.as_ref().is_some_and(|sealed| !self.keys().is_current(sealed));
        let mut tx = self.begin().await?;
        let mut changed = 0;
        let sql = format!("SELECT {COLUMNS} FROM connection");
        for row in sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *tx).await? {
            if stale(&decode::optional_text(&row, "password")?) || stale(&decode::optional_text(&row, "extra")?) {
                let connection = decode_connection(self.keys(), &row)?;
                sqlx::query("DELETE FROM connection WHERE conn_id = $1")
                    .bind(&connection.conn_id)
                    .execute(&mut *tx)
                    .await?;
                insert(&mut tx, self.keys(), &connection, now).await?;
                changed += 1;
            }
        }
        changed += crate::tables::variables::rotate(&mut tx, self.keys(), now).await?;
        tx.commit().await?;
        Ok(changed)
    }
}

/// True if it was written, false if the id is taken.
async fn insert(
    tx: &mut Tx,
    keys: &EncryptionKey,
    connection: &Connection,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let seal = |column: &str, plain: &Option<String>| {
        plain.as_deref().map(|plain| keys.seal(&context(&connection.conn_id, column), plain)).transpose()
    };
    let done = sqlx::query(
        "INSERT INTO connection (conn_id, conn_type, description, host, login, password, schema_name, port, extra,
             changed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
    )
    .bind(&connection.conn_id)
    .bind(&connection.conn_type)
    .bind(&connection.description)
    .bind(&connection.host)
    .bind(&connection.login)
    .bind(seal("password", &connection.password)?)
    .bind(&connection.schema)
    .bind(connection.port.map(i64::from))
    .bind(seal("extra", &connection.extra)?)
    .bind(now.as_micros())
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}
