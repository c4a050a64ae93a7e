//! When a poll of remote work fails: which errors pass by themselves, and how long to wait before asking again.

use std::time::Duration;

use windrose_core::cause::Cause;

use crate::error::TaskError;

/// No pause is longer.
const LONGEST: Duration = Duration::from_secs(300);

/// Expired credentials may be renewed by whoever provides them, but not every kind is: so often in a row, then it is
/// a failure.
const CREDENTIAL_TRIES: u32 = 8;

/// Codes of errors that pass: overload and trouble on AWS's side (the list of Airflow's waiters), and on the way.
const PASSING: [&str; 30] = [
    "BadGateway",
    "ConnectionError",
    "ConnectorError",
    "DispatchFailure",
    "EC2ThrottledException",
    "EndpointConnectionError",
    "GatewayTimeout",
    "HttpTimeout",
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "InternalServerException",
    "InternalServiceException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ResponseError",
    "ServerException",
    "ServiceException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "SlowDown",
    "TimeoutError",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

/// The patience of one poll: it is new for each, so only errors in a row add up.
#[derive(Debug, Clone)]
pub struct PollPatience {
    base: Duration,
    failures: u32,
    credential_failures: u32,
}

impl PollPatience {
    /// For work that is polled at this interval.
    #[must_use]
    pub fn new(poll_interval: Duration) -> Self {
        Self { base: poll_interval.clamp(Duration::from_secs(1), LONGEST), failures: 0, credential_failures: 0 }
    }

    /// How long to wait after this error before asking again, doubling up to five minutes; `None` if the error does
    /// not pass. `random` is between 0 and 1 and spreads the pauses over their upper half.
    #[must_use]
    pub fn after(&mut self, error: &TaskError, random: f64) -> Option<Duration> {
        match passes(error) {
            Passes::Never => return None,
            Passes::Perhaps if self.credential_failures >= CREDENTIAL_TRIES => return None,
            Passes::Perhaps => self.credential_failures += 1,
            Passes::Surely => {}
        }
        let full = self.base.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        Some(full.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0))
    }
}

enum Passes {
    Surely,
    Perhaps,
    Never,
}

fn passes(error: &TaskError) -> Passes {
    let TaskError::Failed { cause: Cause::Aws { code, throttled, .. }, .. } = error else { return Passes::Never };
    if *throttled || PASSING.contains(&code.as_str()) || code.starts_with("Throttling") {
        Passes::Surely
    } else if matches!(code.as_str(), "ExpiredToken" | "ExpiredTokenException" | "RequestExpired") {
        Passes::Perhaps
    } else {
        Passes::Never
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aws(code: &str, throttled: bool) -> TaskError {
        TaskError::retryable(Cause::Aws {
            service: "glue".to_owned(),
            operation: "GetJobRun".to_owned(),
            code: code.to_owned(),
            message: String::new(),
            request_id: None,
            identity: None,
            throttled,
        })
    }

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let mut patience = PollPatience::new(Duration::from_secs(6));
        let pauses: Vec<_> =
            (0..8).map(|_| patience.after(&aws("ThrottlingException", true), 1.0).unwrap().as_secs()).collect();
        assert_eq!(pauses, [6, 12, 24, 48, 96, 192, 300, 300]);
    }

    #[test]
    fn jitter_keeps_at_least_half_of_a_pause() {
        let mut patience = PollPatience::new(Duration::from_secs(10));
        assert_eq!(patience.after(&aws("InternalFailure", false), 0.0), Some(Duration::from_secs(5)));
    }

    #[test]
    fn a_refusal_ends_the_patience_at_once() {
        let mut patience = PollPatience::new(Duration::from_secs(6));
        assert_eq!(patience.after(&aws("AccessDeniedException", false), 1.0), None);
        assert_eq!(patience.after(&TaskError::failed("no"), 1.0), None);
    }

    #[test]
    fn expired_credentials_are_waited_for_only_so_long() {
        let mut patience = PollPatience::new(Duration::from_secs(6));
        let waited = std::iter::from_fn(|| patience.after(&aws("ExpiredTokenException", false), 1.0)).count();
        assert_eq!(waited, CREDENTIAL_TRIES as usize);
    }
}
