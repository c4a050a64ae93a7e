//! The one place that reads the clock.

use windrose_core::time::{Clock, Timestamp};

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        chrono::Utc::now().into()
    }
}

/// The present instant.
pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}
