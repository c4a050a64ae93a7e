//! What a git server calls after a push, so that a bundle need not wait until it is asked again.
//!
//! `POST /webhooks/bundles/NAME`, signed as GitHub and Gitea do (`X-Hub-Signature-256`) or with GitLab's token
//! (`X-Gitlab-Token`). What it says is not looked at: the bundle is asked for news, and that is all a caller can bring about.

use async_trait::async_trait;
use axum::body::Bytes;
use axum::extract::{Path, State as FromState};
use axum::http::{HeaderMap, StatusCode};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use windrose_store::Topic;

use crate::State;

/// The longest message; GitHub sends 25 MiB at most.
pub(crate) const MAX_BYTES: usize = 26 << 20;

/// The secrets that callers share with bundles.
#[async_trait]
pub trait HookSecrets: Send + Sync {
    /// The secret of a bundle; `None` if it takes no calls.
    ///
    /// # Errors
    /// A sentence that says why it cannot be had; it is logged, not sent.
    async fn secret(&self, bundle: &str) -> Result<Option<String>, String>;
}

/// Takes a call.
pub(crate) async fn pushed(
    FromState(state): FromState<State>,
    Path(bundle): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let secret = match state.hooks.secret(&bundle).await {
        Ok(Some(secret)) => secret,
        Ok(None) => return (StatusCode::NOT_FOUND, "there is no bundle of that name that takes calls\n"),
        Err(error) => {
            tracing::error!(bundle, error, "the secret of a webhook cannot be had");
            return (StatusCode::SERVICE_UNAVAILABLE, "the secret cannot be looked up; see the server's log\n");
        }
    };
    if !is_signed(&secret, &headers, &body) {
        tracing::warn!(bundle, "a call of a webhook is not signed with its secret");
        return (StatusCode::UNAUTHORIZED, "the signature or token is wrong\n");
    }
    match state.store.notify(Topic::Bundles).await {
        Ok(()) => (StatusCode::ACCEPTED, "the bundle is asked for news\n"),
        Err(error) => {
            tracing::error!(bundle, %error, "a call of a webhook cannot be passed on");
            (StatusCode::SERVICE_UNAVAILABLE, "the database is away; try again\n")
        }
    }
}

fn is_signed(secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    if let Some(signature) = headers.get("x-hub-signature-256").and_then(|value| value.to_str().ok()) {
        let Some(signature) = signature.strip_prefix("sha256=").and_then(|text| hex::decode(text).ok()) else {
            return false;
        };
        mac.update(body);
        return mac.verify_slice(&signature).is_ok();
    }
    let Some(token) = headers.get("x-gitlab-token") else { return false };
    // Compared as authentication codes, so that the time it takes says nothing.
    mac.update(secret.as_bytes());
    let wanted = mac.finalize().into_bytes();
    let Ok(mut given) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    given.update(token.as_bytes());
    given.verify_slice(&wanted).is_ok()
}
