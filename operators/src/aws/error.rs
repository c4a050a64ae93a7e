//! What went wrong in a call to AWS, as one type whatever the service.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use windrose_core::cause::Cause;

use super::no_credentials::{NO_CREDENTIALS, none_found};
use crate::error::TaskError;

/// A call that failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", self.cause().sentence())]
pub struct AwsError {
    /// `glue`, `s3`, `redshift-data`: botocore's names.
    pub service: String,
    /// `StartJobRun`.
    pub operation: String,
    /// AWS's code; the HTTP status if there is none; `DispatchFailure` and the like for failures on the way.
    pub code: String,
    /// AWS's text.
    pub message: String,
    /// For AWS's support.
    pub request_id: Option<String>,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Who called.
    pub identity: String,
    /// Where S3 says that the bucket lives.
    pub bucket_region: Option<String>,
}

impl AwsError {
    /// Reads the SDK's error.
    pub fn new<E>(service: &str, operation: &str, identity: &str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let raw = error.raw_response();
        let (code, message) = match error {
            SdkError::ServiceError(e) => {
                let meta = e.err().meta();
                (meta.code().map(str::to_owned), meta.message().map(str::to_owned))
            }
            SdkError::TimeoutError(_) => (Some("TimeoutError".to_owned()), None),
            SdkError::DispatchFailure(e) if e.is_timeout() => (Some("TimeoutError".to_owned()), None),
            SdkError::DispatchFailure(_) => (Some("DispatchFailure".to_owned()), None),
            SdkError::ResponseError(_) => (None, None),
            _ => (Some("ConstructionFailure".to_owned()), None),
        };
        let found = Self {
            service: service.to_owned(),
            operation: operation.to_owned(),
            code: String::new(),
            message: String::new(),
            request_id: raw.and_then(request_id),
            status: raw.map(|r| r.status().as_u16()),
            identity: identity.to_owned(),
            bucket_region: raw.and_then(|r| r.headers().get("x-amz-bucket-region")).map(str::to_owned),
        };
        found.complete(code, message, error)
    }

    fn complete(mut self, code: Option<String>, message: Option<String>, error: &(dyn Error + 'static)) -> Self {
        for link in chain(error) {
            // The role could not be taken on: that call is the one to report.
            if let Some(inner) = link.downcast_ref::<Self>() {
                return inner.clone();
            }
            if link.downcast_ref::<CredentialsError>().is_some_and(none_found) {
                // The session, which knows the connection, says more.
                self.code = NO_CREDENTIALS.to_owned();
                self.message = "Unable to locate credentials.".to_owned();
                return self;
            }
        }
        self.code = code.unwrap_or_else(|| self.status.map_or_else(|| "ResponseError".to_owned(), code_of_status));
        self.message = message.unwrap_or_else(|| match self.status {
            // The answer to a HEAD has no body.
            Some(400) => "Bad Request".to_owned(),
            Some(403) => "Forbidden".to_owned(),
            Some(404) => "Not Found".to_owned(),
            _ => causes(error),
        });
        if self.code.contains("ExpiredToken") {
            self.message.push_str(" Renew the session token in the connection, or let it name a role instead.");
        }
        self
    }

    /// True if AWS asked to slow down.
    #[must_use]
    pub fn throttled(&self) -> bool {
        self.status == Some(429) || is_throttling(&self.code)
    }

    /// True if this is AWS's code for it.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.code == code
    }

    /// Adds a sentence for the person who reads it.
    #[must_use]
    pub fn with_hint(mut self, hint: &str) -> Self {
        self.message = format!("{} {hint}", self.message.trim_end());
        self
    }

    /// The typed cause.
    #[must_use]
    pub fn cause(&self) -> Cause {
        Cause::Aws {
            service: self.service.clone(),
            operation: self.operation.clone(),
            code: self.code.clone(),
            message: self.message.clone(),
            request_id: self.request_id.clone(),
            identity: Some(self.identity.clone()),
            throttled: self.throttled(),
        }
    }
}

impl From<AwsError> for TaskError {
    fn from(error: AwsError) -> Self {
        Self::retryable(error.cause())
    }
}

fn is_throttling(code: &str) -> bool {
    matches!(
        code,
        "SlowDown"
            | "BandwidthLimitExceeded"
            | "LimitExceededException"
            | "PriorRequestNotComplete"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "TooManyRequestsException"
            | "TransactionInProgressException"
            | "EC2ThrottledException"
    ) || code.starts_with("Throttl")
        || code.starts_with("RequestThrottled")
}

fn request_id(response: &HttpResponse) -> Option<String> {
    let headers = response.headers();
    headers.get("x-amzn-requestid").or_else(|| headers.get("x-amz-request-id")).map(str::to_owned)
}

/// The code that AWS would have given with this status.
fn code_of_status(status: u16) -> String {
    match status {
        429 => "TooManyRequestsException".to_owned(),
        500 => "InternalFailure".to_owned(),
        502 => "BadGateway".to_owned(),
        503 => "ServiceUnavailable".to_owned(),
        504 => "GatewayTimeout".to_owned(),
        other => other.to_string(),
    }
}

/// An error, its source, that one's source, and so on.
pub(super) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |e: &&'a (dyn Error + 'static)| (*e).source())
}

fn causes(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    for link in chain(error) {
        let text = link.to_string();
        if texts.last() != Some(&text) {
            texts.push(text);
        }
    }
    texts.join(": ")
}
