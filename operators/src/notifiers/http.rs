//! One POST. The address of a webhook is a secret, so it is in no error.

use std::sync::LazyLock;
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::Value;

use crate::error::TaskError;

/// How long a server may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// So much of an answer is shown.
const SHOWN: usize = 200;

static CONNECTOR: LazyLock<Connector> =
    LazyLock::new(|| Connector::builder().tls_provider(Provider::Rustls(CryptoMode::Ring)).build());

/// Posts JSON; the answer's body if its status says success.
pub(super) async fn post_json(url: &str, headers: &[(String, String)], json: &Value) -> Result<String, TaskError> {
    let parsed = url::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(host) = parsed.as_ref().and_then(url::Url::host_str).map(str::to_owned) else {
        return Err(TaskError::failed("The address to post to is no URL; it begins with https:// or http://."));
    };
    let mut request = HttpRequest::new(SdkBody::from(json.to_string()));
    let wrong =
        |what: &str| TaskError::failed(format!("The {what} of the request to {host} cannot be used; correct it."));
    request.set_method("POST").map_err(|_| wrong("method"))?;
    request.set_uri(url).map_err(|_| wrong("address"))?;
    let json_type = ("content-type".to_owned(), "application/json".to_owned());
    let given = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    for (name, value) in headers.iter().chain((!given).then_some(&json_type)) {
        let name = name.to_ascii_lowercase();
        request.headers_mut().try_insert(name, value.clone()).map_err(|_| wrong("headers"))?;
    }
    let calling = async {
        let answer = CONNECTOR.call(request).await.map_err(|error| {
            let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
            TaskError::failed(format!("{host} cannot be reached: {why}"))
        })?;
        let status = answer.status();
        let body = ByteStream::new(answer.into_body()).collect().await;
        let body = body.map(|bytes| String::from_utf8_lossy(&bytes.into_bytes()).into_owned()).unwrap_or_default();
        if status.is_success() {
            return Ok(body);
        }
        let shown: String = body.chars().take(SHOWN).collect();
        Err(TaskError::failed(format!("{host} answered with status {}: {shown}", status.as_u16())))
    };
    tokio::time::timeout(TIMEOUT, calling)
        .await
        .unwrap_or_else(|_| Err(TaskError::failed(format!("{host} did not answer within {} s", TIMEOUT.as_secs()))))
}
