//! How an attempt ended.

use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::ids::{AttemptId, TaskInstanceKey};
use crate::time::Timestamp;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptEnd {
    /// Whose.
    pub key: TaskInstanceKey,
    /// Which.
    pub attempt: AttemptId,
    /// Its try.
    pub try_number: u32,
    /// How.
    pub outcome: AttemptOutcome,
    /// Why, if it did not end well.
    pub cause: Option<Cause>,
    /// When the operator began, if it did.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Timestamp,
}

/// The word for how an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The work is done.
    Success,
    /// It failed for good.
    Failed,
    /// It failed, and another try follows.
    UpForRetry,
    /// A sensor looked, and will look again.
    UpForReschedule,
    /// Its code asked to be skipped.
    Skipped,
    /// Its process is gone.
    Lost,
    /// A person or a rule took the task instance away from it.
    Cancelled,
}

impl AttemptOutcome {
    /// The word, as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::UpForRetry => "up_for_retry",
            Self::UpForReschedule => "up_for_reschedule",
            Self::Skipped => "skipped",
            Self::Lost => "lost",
            Self::Cancelled => "cancelled",
        }
    }
}
