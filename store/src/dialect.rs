//! Everything in which SQLite and PostgreSQL differ for us. All other SQL is one text for both.

use sqlx::AnyConnection;

/// Which database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// A file, embedded in the process.
    Sqlite,
    /// A server.
    Postgres,
}

/// Names the advisory lock of the migrations on PostgreSQL: the bytes of "windrose".
pub(crate) const MIGRATION_LOCK: i64 = 0x7769_6e64_726f_7365;
/// Names the advisory lock of a standalone process on PostgreSQL.
pub(crate) const STANDALONE_LOCK: i64 = MIGRATION_LOCK + 1;

/// Takes an advisory lock for as long as the connection lives (PostgreSQL only).
pub(crate) const TRY_LOCK: &str = "SELECT pg_try_advisory_lock($1) AS locked";
/// How other processes see this connection (PostgreSQL only).
pub(crate) const NAME_CONNECTION: &str = "SELECT set_config('application_name', $1, false) AS name";
/// Who holds an advisory lock (PostgreSQL only).
pub(crate) const LOCK_HOLDER: &str = "
    SELECT CAST(a.application_name AS TEXT) AS name FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND (CAST(l.classid AS BIGINT) << 32 | CAST(l.objid AS BIGINT)) = $1";
/// The channel of wake-ups between processes (PostgreSQL only).
pub(crate) const WAKE_CHANNEL: &str = "windrose";

impl Dialect {
    /// The database behind a connection.
    pub(crate) fn of(connection: &AnyConnection) -> Self {
        if connection.backend_name() == "PostgreSQL" { Self::Postgres } else { Self::Sqlite }
    }

    /// The name people know it by.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// How a transaction that writes begins. On SQLite it takes the write lock at once: a transaction that read first
    /// could not take it later if somebody else wrote in between.
    pub(crate) const fn begin_write(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// How the transaction of the migrations begins.
    pub(crate) const fn begin_migration(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN EXCLUSIVE",
            Self::Postgres => "BEGIN",
        }
    }

    /// Run first in the transaction of the migrations: of several processes one migrates, the others wait.
    pub(crate) const fn migration_lock(self) -> Option<&'static str> {
        match self {
            // The exclusive transaction is the lock.
            Self::Sqlite => None,
            Self::Postgres => Some("SELECT CAST(pg_advisory_xact_lock($1) AS TEXT)"),
        }
    }

    /// Run on every new connection.
    pub(crate) const fn session_setup(self, role: Role) -> &'static str {
        match (self, role) {
            // A commit is durable when it returns: FULL syncs the log at each commit.
            (Self::Sqlite, Role::Writer) => {
                "PRAGMA busy_timeout = 10000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                 PRAGMA temp_store = MEMORY; PRAGMA cache_size = -65536; PRAGMA wal_autocheckpoint = 4000"
            }
            (Self::Sqlite, Role::Reader) => {
                "PRAGMA busy_timeout = 10000; PRAGMA temp_store = MEMORY; PRAGMA query_only = ON"
            }
            (Self::Postgres, _) => "SET application_name = 'windrose'",
        }
    }

    /// Lists whether the table of schema versions is there.
    pub(crate) const fn has_schema_version(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "SELECT CAST(COUNT(*) AS BIGINT) AS n FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'"
            }
            Self::Postgres => {
                "SELECT CAST(COUNT(*) AS BIGINT) AS n FROM pg_tables \
                 WHERE schemaname = current_schema() AND tablename = 'schema_version'"
            }
        }
    }

    /// The server's or library's version.
    pub(crate) const fn version(self) -> &'static str {
        match self {
            Self::Sqlite => "SELECT sqlite_version() AS version",
            Self::Postgres => "SELECT current_setting('server_version') AS version",
        }
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Writer,
    Reader,
}
