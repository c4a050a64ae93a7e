//! The metadata database: SQLite embedded in the process, or PostgreSQL. No other crate touches it.
//!
//! What always holds:
//! - A write that was decided on a row's state names that state, and is refused as [`StoreError::Stale`] if the row has
//!   moved on. Correctness never rests on an isolation level.
//! - What a function reports as written is durable (SQLite runs with `synchronous = FULL`).
//! - Secrets are sealed before they reach a statement ([`EncryptionKey`]), and never part of an error.
//!
//! One SQL text serves both databases through sqlx's `Any`; `dialect.rs` holds all differences. Keys and instants are made
//! by the application: no statement asks the database for the time.

mod batch;
mod batch_values;
mod commit;
mod connect;
mod decode;
mod dialect;
mod encryption;
mod error;
mod lock;
mod migrate;
mod notify;
mod prune;
mod report;
mod row_id;
mod tables;
pub mod task_log;
mod task_log_writer;

use std::sync::Arc;

use sqlx::AnyPool;

pub use batch::{
    AttemptStart, Batch, CommandDone, DagWrite, EventRow, MissedDeadline, NewNotification, NewRun, NewTask,
    RemovedTask, RenderedRow, RunWrite, XComRow,
};
pub use dialect::Dialect;
pub use encryption::EncryptionKey;
pub use error::StoreError;
pub use lock::StandaloneLock;
pub use notify::{Listener, Topic};
pub use prune::Pruned;
pub use report::DatabaseReport;
pub use tables::approvals::{ApprovalFilter, ApprovalRow, AskingTry, NewQuestion};
pub use tables::asset_events::{EventCount, EventsOf};
pub use tables::asset_references::{AssetReference, AssetReferenceRow, AssetRole, AssetSchedule};
pub use tables::assets::{AssetEventRow, AssetQueueRow, AssetRunRow};
pub use tables::attempts::AttemptRow;
pub use tables::audit::AuditRow;
pub use tables::backfills::{BackfillDate, BackfillRow, BackfillRun, BackfillWrite};
pub use tables::bundles::{BundleLoad, BundleRow};
pub use tables::commands::CommandRow;
pub use tables::connections::Imported;
pub use tables::dag_versions::{DagVersionRow, VersionFile};
pub use tables::dags::{CommitFacts, DEFAULT_BUNDLE, DagChange, DagRow, LoadedDag};
pub use tables::import_errors::ImportErrorRow;
pub use tables::notifications::{NotificationRow, SendingFailed};
pub use tables::pools::PoolRow;
pub use tables::processes::ProcessRow;
pub use tables::run_history::ActiveRuns;
pub use tables::run_list::{Listed, Page, RunFilter};
pub use tables::runs::RunRow;
pub use tables::tasks::TaskRow;
pub use tables::variables::Variable;

use connect::{Place, Pools};

/// The metadata database. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    place: Place,
    dialect: Dialect,
    pools: Pools,
    keys: EncryptionKey,
    wake: notify::Wake,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("place", &self.inner.place.describe()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the database at `sqlite:path` or `postgres://…`. A SQLite file is made if there is none; missing migrations
    /// are applied, while other processes that start wait.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] if a newer Windrose made it, and what a wrong URL, password, host, folder or right leads
    /// to: see [`StoreError`].
    pub async fn open(url: &str, keys: EncryptionKey) -> Result<Self, StoreError> {
        let place = Place::parse(url)?;
        let dialect = place.dialect();
        let pools = connect::connect(&place).await?;
        migrate::migrate(&pools.writer, dialect).await?;
        let wake = notify::Wake::new(&place);
        Ok(Self { inner: Arc::new(Inner { place, dialect, pools, keys, wake }) })
    }

    /// Which database it is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.inner.dialect
    }

    /// Where it is, without user and password.
    #[must_use]
    pub fn location(&self) -> String {
        self.inner.place.describe()
    }

    /// Closes all connections, and waits for writes under way.
    pub async fn close(&self) {
        self.inner.pools.reader.close().await;
        self.inner.pools.writer.close().await;
    }

    fn reader(&self) -> &AnyPool {
        &self.inner.pools.reader
    }

    fn writer(&self) -> &AnyPool {
        &self.inner.pools.writer
    }

    fn keys(&self) -> &EncryptionKey {
        &self.inner.keys
    }
}
