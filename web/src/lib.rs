//! The web server: plain read-only pages of DAGs, runs, task instances and logs, and `/health`.
//!
//! There is no sign-in yet, so whoever serves it binds to loopback only. Nothing here changes anything.

mod error;
mod health;
mod pages;
mod router;

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use windrose_core::time::Clock;
use windrose_store::Store;
use windrose_store::task_log::TaskLogs;

/// What the pages are made from.
#[derive(Clone)]
pub struct State {
    /// The metadata database.
    pub store: Store,
    /// The tasks' logs.
    pub logs: TaskLogs,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

/// Serves until it is told to stop.
pub async fn serve(listener: TcpListener, state: State, stop: CancellationToken) {
    let served = axum::serve(listener, router::router(state)).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the web server has stopped");
    }
}
