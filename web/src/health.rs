//! `/health`: is the database there?

use axum::Json;
use axum::extract::State as FromState;
use axum::http::StatusCode;
use serde::Serialize;

use crate::State;

#[derive(Serialize)]
pub(crate) struct Health {
    status: &'static str,
    version: &'static str,
    database: Database,
}

#[derive(Serialize)]
struct Database {
    status: &'static str,
    location: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// 200 if the process can do its work, else 503 with the reason.
pub(crate) async fn health(FromState(state): FromState<State>) -> (StatusCode, Json<Health>) {
    let problem = state.store.pools().await.err().map(|error| error.to_string());
    let (code, status) = match problem {
        None => (StatusCode::OK, "healthy"),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
    };
    let database = Database { status, location: state.store.location(), problem };
    (code, Json(Health { status, version: env!("CARGO_PKG_VERSION"), database }))
}
