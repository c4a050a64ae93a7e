//! `/metrics`: numbers for Prometheus.

use std::sync::atomic::Ordering;

use axum::extract::State as FromState;
use axum::http::header::{CONTENT_TYPE, HeaderName};

use crate::State;

/// In Prometheus' text format.
pub(crate) async fn metrics(FromState(state): FromState<State>) -> ([(HeaderName, &'static str); 1], String) {
    let caught = state.sweep_caught.load(Ordering::Relaxed);
    let text = format!(
        "# HELP windrose_sweep_caught_total Changes that no wake-up told of and the sweep found; zero in a healthy system.\n\
         # TYPE windrose_sweep_caught_total counter\n\
         windrose_sweep_caught_total {caught}\n"
    );
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
