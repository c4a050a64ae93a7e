//! How an operator says that it did not succeed.

use windrose_core::cause::Cause;

/// Anything but success. Whatever happens inside an operator becomes one of these, at the place where it is known best.
#[derive(Debug, Clone, thiserror::Error)]
pub enum TaskError {
    /// The attempt failed.
    #[error("{}", cause.sentence())]
    Failed {
        /// Why.
        cause: Cause,
        /// False if trying again is pointless (Airflow's `AirflowFailException`).
        retry: bool,
    },
    /// The task asks to be skipped.
    #[error("skipped: {reason}")]
    Skip {
        /// Why.
        reason: String,
    },
    /// The attempt was told to stop, and has.
    #[error("cancelled")]
    Cancelled,
    /// A sensor in reschedule mode gives everything back until then.
    #[error("to be looked at again at {at}")]
    Reschedule {
        /// When to look again.
        at: windrose_core::time::Timestamp,
    },
}

impl TaskError {
    /// A failure that the retry policy may answer.
    #[must_use]
    pub fn retryable(cause: Cause) -> Self {
        Self::Failed { cause, retry: true }
    }

    /// A failure that another try cannot mend.
    #[must_use]
    pub fn fatal(cause: Cause) -> Self {
        Self::Failed { cause, retry: false }
    }

    /// The task's own verdict that it failed, in its own words.
    #[must_use]
    pub fn failed(message: impl Into<String>) -> Self {
        Self::retryable(Cause::Failed { message: message.into() })
    }
}
