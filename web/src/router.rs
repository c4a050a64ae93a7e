//! All routes on one page.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::{State, bundle_hooks, health, metrics, pages};

/// The routes of the web server.
pub(crate) fn router(state: State) -> Router {
    Router::new()
        .route("/", get(pages::dags))
        .route("/dags/{dag_id}", get(pages::dag))
        .route("/dags/{dag_id}/runs/{run_id}", get(pages::run))
        .route("/dags/{dag_id}/runs/{run_id}/tasks/{task_id}/{map_index}/tries/{try_number}", get(pages::log))
        .route(
            "/webhooks/bundles/{name}",
            post(bundle_hooks::pushed).layer(DefaultBodyLimit::max(bundle_hooks::MAX_BYTES)),
        )
        .route("/health", get(health::health))
        .route("/metrics", get(metrics::metrics))
        .fallback(pages::not_found)
        .with_state(state)
}
