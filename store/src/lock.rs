//! At most one standalone process works on a database.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use sqlx::{AnyConnection, ConnectOptions, Connection, Row};

use crate::Store;
use crate::connect::Place;
use crate::decode;
use crate::dialect::{LOCK_HOLDER, NAME_CONNECTION, STANDALONE_LOCK, TRY_LOCK};
use crate::error::StoreError;

/// Who only looks whether the lock is held shares it for a moment. A standalone process that starts at that moment tries
/// again this often, with this pause.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// While it lives, no other standalone process can work on the database. The lock goes with the process, however that ends.
#[derive(Debug)]
pub struct StandaloneLock(Held);

#[derive(Debug)]
enum Held {
    /// The lock of the operating system on `<database>.lock`.
    File { _file: File },
    /// A session's lock on the server.
    Server(Box<AnyConnection>),
}

impl StandaloneLock {
    /// Looks whether the lock is still held; PostgreSQL gives it up when the connection breaks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the connection is broken: take the lock again before going on.
    pub async fn still_held(&mut self) -> Result<(), StoreError> {
        match &mut self.0 {
            Held::File { .. } => Ok(()),
            Held::Server(connection) => Ok(connection.ping().await?),
        }
    }
}

impl Store {
    /// Takes the lock for a standalone process. `holder` is what a second one is told: process id and host.
    ///
    /// # Errors
    /// [`StoreError::InUse`] with the other process's `holder`.
    pub async fn lock_standalone(&self, holder: &str) -> Result<StandaloneLock, StoreError> {
        match &self.inner.place {
            Place::Sqlite(path) => {
                let path = Place::beside(path, ".lock");
                for _ in 1..TRIES {
                    match lock_file(&path, holder) {
                        Err(StoreError::InUse { .. }) => tokio::time::sleep(PAUSE).await,
                        outcome => return outcome,
                    }
                }
                lock_file(&path, holder)
            }
            place @ Place::Postgres(_) => lock_server(place, holder).await,
        }
    }

    /// Who holds the lock of a standalone process, as it named itself; `None` if no such process works on the database.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn standalone_holder(&self) -> Result<Option<String>, StoreError> {
        match &self.inner.place {
            Place::Sqlite(path) => file_holder(&Place::beside(path, ".lock")),
            Place::Postgres(_) => {
                let row = sqlx::query(LOCK_HOLDER).bind(STANDALONE_LOCK).fetch_optional(self.reader()).await?;
                row.map(|row| decode::text(&row, "name")).transpose()
            }
        }
    }
}

fn unusable(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Unavailable {
        message: format!("the lock file {} cannot be used: {error}", path.display()),
        retryable: false,
    }
}

fn named_in(mut file: &File) -> std::io::Result<String> {
    let mut holder = String::new();
    file.read_to_string(&mut holder)?;
    Ok(holder.trim().to_owned())
}

fn file_holder(path: &Path) -> Result<Option<String>, StoreError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, &error)),
    };
    match file.try_lock_shared() {
        // Nobody holds it; this hold ends with the file.
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => named_in(&file).map(Some).map_err(|error| unusable(path, &error)),
        Err(TryLockError::Error(error)) => Err(unusable(path, &error)),
    }
}

fn lock_file(path: &Path, holder: &str) -> Result<StandaloneLock, StoreError> {
    let failed = |error: std::io::Error| unusable(path, &error);
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { holder: named_in(&file).map_err(failed)? }),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{holder}")).map_err(failed)?;
    Ok(StandaloneLock(Held::File { _file: file }))
}

async fn lock_server(place: &Place, holder: &str) -> Result<StandaloneLock, StoreError> {
    let mut connection = place.options(false)?.connect().await?;
    let locked: bool =
        sqlx::query(TRY_LOCK).bind(STANDALONE_LOCK).fetch_one(&mut connection).await?.try_get("locked")?;
    if locked {
        sqlx::query(NAME_CONNECTION).bind(holder).fetch_one(&mut connection).await?;
        return Ok(StandaloneLock(Held::Server(Box::new(connection))));
    }
    let row = sqlx::query(LOCK_HOLDER).bind(STANDALONE_LOCK).fetch_optional(&mut connection).await?;
    let holder = row.map(|row| decode::text(&row, "name")).transpose()?;
    Err(StoreError::InUse { holder: holder.unwrap_or_else(|| "it has just started or ended".into()) })
}
