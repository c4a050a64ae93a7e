//! What can go wrong with the metadata database, each as a sentence with what to do.

use windrose_core::ids::{AttemptId, DagId, RunId, RunKey};

/// An error of the store. A variant exists where a caller does something different about it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Somebody else changed a row first. Nothing was written: load the rows again and decide anew.
    #[error("{what} has changed in the meantime; load it again and repeat the change")]
    Stale {
        /// The row, in words.
        what: String,
        /// The run it belongs to, if it belongs to one.
        run: Option<RunKey>,
    },
    /// The DAG already has a run with this id or this logical date. Nothing was written.
    #[error("DAG '{dag_id}' already has a run '{run_id}', or another run for the same logical date")]
    RunExists {
        /// The DAG.
        dag_id: DagId,
        /// The id that was to be new.
        run_id: RunId,
    },
    /// There is no such row.
    #[error("there is no {what}")]
    NotFound {
        /// What was looked for, with its name.
        what: String,
    },
    /// The attempt does not hold the task instance any more. Nothing was written.
    #[error("the attempt {attempt} does not hold its task instance any more: another attempt may have taken over")]
    Fenced {
        /// The attempt.
        attempt: AttemptId,
    },
    /// The database cannot be reached, or cannot answer now.
    #[error("the metadata database is not available: {message}")]
    Unavailable {
        /// What happened, and what to do.
        message: String,
        /// True if the same call may succeed later without anybody's help.
        retryable: bool,
    },
    /// The user, password or database name is wrong.
    #[error("the metadata database refuses the login: {message}. Check user, password and database name in the URL")]
    Login {
        /// The server's words.
        message: String,
    },
    /// There is no space left for the database.
    #[error("the disk of the metadata database is full: {message}. Free some space; Windrose goes on by itself then")]
    DiskFull {
        /// The database's words.
        message: String,
    },
    /// The database may be read but not written.
    #[error(
        "the metadata database is read-only: {message}. Give this user the right to write to the database file and its \
         folder, or connect to the primary server"
    )]
    ReadOnly {
        /// The database's words.
        message: String,
    },
    /// The database belongs to a newer Windrose.
    #[error(
        "the metadata database has schema version {found}, and this Windrose knows versions up to {known}. Use the \
         newer Windrose that made it, or restore the backup taken before the upgrade"
    )]
    NewerSchema {
        /// The database's version.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// A secret cannot be sealed or opened with the configured keys, or the key itself is not usable.
    #[error("encryption key: {message}")]
    BadKey {
        /// What is wrong and what to do. Never holds a secret.
        message: String,
    },
    /// The database's contents are damaged, or were changed by something else.
    #[error("the metadata database holds something that Windrose did not write: {message}. Restore a backup")]
    Corrupt {
        /// Where.
        message: String,
    },
    /// The database's URL cannot be used.
    #[error("the database URL cannot be used: {message}")]
    BadUrl {
        /// What is wrong and what is expected. Never holds the password.
        message: String,
    },
    /// Another standalone Windrose works on this database.
    #[error("another Windrose works on this database: {holder}. Stop it first, or use another database")]
    InUse {
        /// Process and host.
        holder: String,
    },
    /// The database refuses a statement of ours.
    #[error("the metadata database refuses a statement: {message}. This is a fault of Windrose; please report it")]
    Internal {
        /// The database's words.
        message: String,
    },
}

impl StoreError {
    /// True if the same call may succeed later without anybody's help; wait and repeat it.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { retryable: true, .. } | Self::DiskFull { .. })
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }

    pub(crate) fn stale(what: impl Into<String>, run: Option<RunKey>) -> Self {
        Self::Stale { what: what.into(), run }
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::Corrupt { message: message.into() }
    }

    fn retryable(message: impl Into<String>) -> Self {
        Self::Unavailable { message: message.into(), retryable: true }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => from_database(error.as_ref()),
            sqlx::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                Self::DiskFull { message: error.to_string() }
            }
            sqlx::Error::Io(error) => {
                Self::retryable(format!("{error}. Check that the server runs and can be reached"))
            }
            sqlx::Error::Tls(error) => Self::Unavailable {
                message: format!("{error}. Check the server's certificate and the URL's 'sslmode'"),
                retryable: false,
            },
            sqlx::Error::PoolTimedOut => {
                Self::retryable("all connections stayed busy for too long, or the server does not answer")
            }
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Self::Unavailable {
                message: "the connection was closed. Start Windrose again".into(),
                retryable: false,
            },
            sqlx::Error::Configuration(error) => Self::BadUrl { message: error.to_string() },
            sqlx::Error::ColumnDecode { index, source } => Self::corrupt(format!("column {index}: {source}")),
            sqlx::Error::Protocol(message) => Self::retryable(message),
            other => Self::Internal { message: other.to_string() },
        }
    }
}

fn from_database(error: &dyn sqlx::error::DatabaseError) -> StoreError {
    let message = error.message().to_owned();
    let code = error.code().unwrap_or_default();
    if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
        from_postgres(&code, message)
    } else {
        from_sqlite(&code, message)
    }
}

/// By SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html
fn from_postgres(code: &str, message: String) -> StoreError {
    match code {
        "28000" | "28P01" | "3D000" => StoreError::Login { message },
        "53100" => StoreError::DiskFull { message },
        "25006" => StoreError::ReadOnly { message },
        "XX001" | "XX002" => StoreError::Corrupt { message },
        "42501" => StoreError::Login { message },
        // Serialization failure, deadlock, lock timeout, resources, operator intervention, connection failures.
        "40001" | "40P01" | "55P03" => StoreError::retryable(message),
        _ if ["53", "57", "08"].iter().any(|class| code.starts_with(class)) => StoreError::retryable(message),
        _ => StoreError::Internal { message: format!("{message} (SQLSTATE {code})") },
    }
}

/// By result code: https://www.sqlite.org/rescode.html. The low byte is the primary code.
fn from_sqlite(code: &str, message: String) -> StoreError {
    let extended: u32 = code.parse().unwrap_or_default();
    match extended & 0xff {
        5 | 6 => StoreError::retryable(format!("{message}. Another process holds the database for long")),
        8 | 3 => StoreError::ReadOnly { message },
        10 => StoreError::Unavailable { message: format!("{message}. Check the disk"), retryable: true },
        11 | 26 => StoreError::Corrupt { message },
        13 => StoreError::DiskFull { message },
        14 => StoreError::Unavailable {
            message: format!("{message}. Check that the folder exists and that this user may write to it"),
            retryable: false,
        },
        _ => StoreError::Internal { message: format!("{message} (SQLite code {code})") },
    }
}
