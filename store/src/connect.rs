//! From a URL to pools of connections.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AnyPool, ConnectOptions};

use crate::dialect::{Dialect, Role};
use crate::error::StoreError;

/// How long a call waits for a connection before it is refused as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);
const POSTGRES_CONNECTIONS: u32 = 16;
const SQLITE_READERS: u32 = 4;
/// A PostgreSQL connection that was idle for longer is tried before it is used: the server may have gone meanwhile.
const TRUSTED_IDLE: Duration = Duration::from_secs(2);

/// Where the database is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Sqlite(PathBuf),
    /// The options hold the password; their `Debug` does not.
    Postgres(Box<PgConnectOptions>),
}

impl Place {
    /// Reads a URL: `sqlite:path`, `sqlite:///path` or `postgres://…`.
    pub(crate) fn parse(url: &str) -> Result<Self, StoreError> {
        if let Some(rest) = url.strip_prefix("sqlite:") {
            return sqlite_path(rest).map(Self::Sqlite);
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            // The parser's own message may quote the URL, hence the password.
            let options = PgConnectOptions::from_str(url).map_err(|_| {
                bad_url("expected postgres://user:password@host:port/database, with special characters percent-encoded")
            })?;
            return Ok(Self::Postgres(Box::new(options)));
        }
        Err(bad_url("expected sqlite:path/to/windrose.db or postgres://user:password@host/database"))
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// For people: without user and password.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Postgres(options) => format!(
                "{}:{}/{}",
                options.get_socket().map_or(options.get_host().to_owned(), |path| path.display().to_string()),
                options.get_port(),
                options.get_database().unwrap_or_default()
            ),
        }
    }

    /// A file beside the SQLite database.
    pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    }

    pub(crate) fn options(&self, create: bool) -> Result<AnyConnectOptions, StoreError> {
        let url = match self {
            Self::Sqlite(path) => SqliteConnectOptions::new().filename(path).create_if_missing(create).to_url_lossy(),
            Self::Postgres(options) => options.to_url_lossy(),
        };
        let options = AnyConnectOptions::from_url(&url)?;
        Ok(options.disable_statement_logging())
    }
}

fn sqlite_path(rest: &str) -> Result<PathBuf, StoreError> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let path = rest.split('?').next().unwrap_or_default();
    if path.is_empty() || path.contains(":memory:") {
        return Err(bad_url("SQLite needs a file: sqlite:path/to/windrose.db (a database in memory is not supported)"));
    }
    if rest.contains('?') {
        return Err(bad_url("parameters after '?' are not supported for SQLite"));
    }
    let path = std::path::absolute(path).map_err(|e| bad_url(format!("the path {path} cannot be used: {e}")))?;
    match path.parent() {
        Some(folder) if !folder.is_dir() => Err(StoreError::Unavailable {
            message: format!("the folder {} does not exist. Make it first: mkdir -p", folder.display()),
            retryable: false,
        }),
        _ => Ok(path),
    }
}

fn bad_url(message: impl Into<String>) -> StoreError {
    StoreError::BadUrl { message: message.into() }
}

/// The pools: one connection writes to SQLite and many read; PostgreSQL makes no difference.
pub(crate) struct Pools {
    pub(crate) writer: AnyPool,
    pub(crate) reader: AnyPool,
}

/// Connects, so that a wrong URL, host or password is found at once.
pub(crate) async fn connect(place: &Place) -> Result<Pools, StoreError> {
    sqlx::any::install_default_drivers();
    let options = place.options(true)?;
    let writers = match place.dialect() {
        Dialect::Sqlite => 1,
        Dialect::Postgres => POSTGRES_CONNECTIONS,
    };
    first_connection(place, &options).await?;
    let writer = pool_options(place.dialect(), Role::Writer, writers).connect_with(options.clone()).await?;
    let reader = match place.dialect() {
        Dialect::Postgres => writer.clone(),
        Dialect::Sqlite => {
            pool_options(place.dialect(), Role::Reader, SQLITE_READERS).connect_lazy_with(place.options(false)?)
        }
    };
    Ok(Pools { writer, reader })
}

/// A pool hides why it could not connect, or set a connection up, behind a timeout; so the first one is made by hand.
async fn first_connection(place: &Place, options: &AnyConnectOptions) -> Result<(), StoreError> {
    use sqlx::Connection;
    let connecting = async {
        let mut connection = options.connect().await?;
        sqlx::raw_sql(place.dialect().session_setup(Role::Writer)).execute(&mut connection).await?;
        connection.close().await
    };
    match tokio::time::timeout(ACQUIRE_TIMEOUT, connecting).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(located(error.into(), place)),
        Err(_) => Err(located(sqlx::Error::PoolTimedOut.into(), place)),
    }
}

fn located(error: StoreError, place: &Place) -> StoreError {
    match error {
        StoreError::Unavailable { message, retryable } => {
            StoreError::Unavailable { message: format!("{}: {message}", place.describe()), retryable }
        }
        other => other,
    }
}

fn pool_options(dialect: Dialect, role: Role, size: u32) -> AnyPoolOptions {
    let setup = dialect.session_setup(role);
    let options = AnyPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .after_connect(move |connection, _| {
            Box::pin(async move { sqlx::raw_sql(setup).execute(connection).await.map(|_| ()) })
        });
    match dialect {
        // On a full disk SQLite itself rolls back, and the connection would count as in a transaction for ever.
        Dialect::Sqlite => options.max_lifetime(None).idle_timeout(None).before_acquire(|connection, _| {
            let free = !sqlx::Connection::is_in_transaction(connection);
            Box::pin(async move { Ok(free) })
        }),
        Dialect::Postgres => options.before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for < TRUSTED_IDLE {
                    return Ok(true);
                }
                Ok(sqlx::Connection::ping(connection).await.is_ok())
            })
        }),
    }
}
