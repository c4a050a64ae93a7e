//! The one place where errors become answers.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use windrose_store::StoreError;

/// Why a page cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    #[error("there is no {0}")]
    NotFound(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the log cannot be read: {0}")]
    Log(#[from] std::io::Error),
    #[error("the page cannot be made: {0}")]
    Page(#[from] minijinja::Error),
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::NotFound(_) | Self::Store(StoreError::NotFound { .. }) => StatusCode::NOT_FOUND,
            Self::Store(error) if error.is_retryable() => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) | Self::Log(_) | Self::Page(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status != StatusCode::NOT_FOUND {
            tracing::error!(error = %self, "a page cannot be shown");
        }
        let page = crate::pages::message_page(&self.to_string());
        (status, Html(page)).into_response()
    }
}
