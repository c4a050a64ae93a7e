//! What cron expressions and fixed distances have in common: a sequence of instants.

use super::error::TimetableError;
use crate::time::Timestamp;

/// A sequence of instants without end in either direction.
pub(super) trait Ticks {
    /// The first tick later than `from`.
    fn next_after(&self, from: Timestamp) -> Result<Timestamp, TimetableError>;

    /// The last tick earlier than `from`.
    fn last_before(&self, from: Timestamp) -> Result<Timestamp, TimetableError>;

    /// `at` if it is a tick, else the first one later.
    fn align_to_next(&self, at: Timestamp) -> Result<Timestamp, TimetableError>;

    /// `at` if it is a tick, else the last one earlier.
    fn align_to_prev(&self, at: Timestamp) -> Result<Timestamp, TimetableError>;

    /// Where the newest data interval that a run can stand for begins: what is left of the past without catchup.
    fn newest_interval_start(&self, earliest: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, TimetableError>;
}
