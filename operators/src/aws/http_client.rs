//! The HTTP clients. All sessions with the same trust and proxies share one, and with it its pool of connections.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

/// What makes two clients different.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct HttpSettings {
    /// File with the certificates to trust instead of the system's.
    pub ca_bundle: Option<String>,
    /// Proxy for `http:` and for `https:` endpoints.
    pub proxies: Option<(Option<String>, Option<String>)>,
}

static CLIENTS: LazyLock<Mutex<HashMap<HttpSettings, SharedHttpClient>>> = LazyLock::new(Mutex::default);

/// The client with these settings.
///
/// # Errors
/// A sentence: the file with the certificates cannot be read, or a proxy is not a URL.
pub fn http_client(settings: &HttpSettings) -> Result<SharedHttpClient, String> {
    let mut clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(client) = clients.get(settings) {
        return Ok(client.clone());
    }
    let client = build(settings)?;
    clients.insert(settings.clone(), client.clone());
    Ok(client)
}

fn build(settings: &HttpSettings) -> Result<SharedHttpClient, String> {
    let tls = Provider::Rustls(CryptoMode::Ring);
    let trust = match &settings.ca_bundle {
        Some(path) => {
            let pem = std::fs::read(path)
                .map_err(|e| format!("the certificates named by `verify`, '{path}', cannot be read: {e}"))?;
            TrustStore::empty().with_pem_certificate(pem)
        }
        None => TrustStore::default(),
    };
    let context = TlsContext::builder()
        .with_trust_store(trust)
        .build()
        .map_err(|e| format!("the certificates named by `verify` cannot be used: {e}"))?;
    let Some((http, https)) = &settings.proxies else {
        return Ok(Builder::new().tls_provider(tls).tls_context(context).build_https());
    };
    let proxy = match (http, https) {
        (Some(http), Some(https)) if http == https => ProxyConfig::all(https.as_str()),
        (None, Some(https)) => ProxyConfig::https(https.as_str()),
        (Some(http), None) => ProxyConfig::http(http.as_str()),
        (None, None) => Ok(ProxyConfig::disabled()),
        (Some(_), Some(_)) => {
            return Err("different proxies for http and https in one client are not supported yet".to_owned());
        }
    }
    .map_err(|_| "a proxy in `config_kwargs.proxies` is not a URL".to_owned())?;
    Ok(Builder::new().build_with_connector_fn(move |timeouts, components| {
        let mut builder = Connector::builder();
        builder.set_connector_settings(timeouts.cloned());
        builder.set_sleep_impl(components.and_then(|c| c.sleep_impl()));
        builder.set_proxy_config(Some(proxy.clone()));
        builder.tls_provider(tls.clone()).tls_context(context.clone()).build()
    }))
}
