//! The web server: plain read-only pages of DAGs, runs, task instances and logs, `/health` and `/metrics`, and what git
//! servers call after a push.
//!
//! There is no sign-in yet, so whoever serves it binds to loopback only. Nothing here changes anything.

mod bundle_hooks;
mod error;
mod health;
mod metrics;
mod pages;
mod router;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use windrose_core::catalog::Catalog;
use windrose_core::dag_file::Defaults;
use windrose_core::time::Clock;
use windrose_store::Store;
use windrose_store::task_log::TaskLogs;

pub use bundle_hooks::HookSecrets;

/// What the pages are made from.
#[derive(Clone)]
pub struct State {
    /// The metadata database.
    pub store: Store,
    /// The tasks' logs.
    pub logs: TaskLogs,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// What DAG files are read with.
    pub catalog: Arc<dyn Catalog>,
    /// What a DAG has if its file says nothing.
    pub defaults: Arc<Defaults>,
    /// What the scheduler's sweep has caught.
    pub sweep_caught: Arc<AtomicU64>,
    /// What calls of git servers are signed with.
    pub hooks: Arc<dyn HookSecrets>,
}

/// Serves until it is told to stop.
pub async fn serve(listener: TcpListener, state: State, stop: CancellationToken) {
    let served = axum::serve(listener, router::router(state)).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the web server has stopped");
    }
}
