//! A client for the pages of tests.

#![allow(clippy::expect_used, reason = "helpers of tests")]

/// A client that uses no proxy.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn http_client() -> reqwest::Client {
    // The workspace's reqwest brings no cryptography of its own. A second call finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("an HTTP client")
}
