//! How the upstream tasks of one task ended, as numbers: kept up to date edge by edge, so that a trigger rule never
//! looks at the tasks themselves.

use windrose_core::task_state::FinalState;

/// Upstream tasks by final state. Those that are not in any are unfinished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UpstreamCounts {
    /// All of them.
    pub total: u32,
    /// Those that succeeded.
    pub success: u32,
    /// Those that failed.
    pub failed: u32,
    /// Those that were not run because what they need failed.
    pub upstream_failed: u32,
    /// Those that were left out.
    pub skipped: u32,
    /// Those that the DAG no longer holds.
    pub removed: u32,
    /// Those among all that are setups.
    pub setups: u32,
    /// Setups that succeeded.
    pub setups_success: u32,
    /// Setups that were left out.
    pub setups_skipped: u32,
}

impl UpstreamCounts {
    /// How many have a final state.
    #[must_use]
    pub const fn done(&self) -> u32 {
        self.success + self.failed + self.upstream_failed + self.skipped + self.removed
    }

    /// Whether all have a final state.
    #[must_use]
    pub const fn all_done(&self) -> bool {
        self.done() >= self.total
    }

    /// One more upstream task, unfinished so far.
    pub const fn expect(&mut self, is_setup: bool) {
        self.total += 1;
        self.setups += is_setup as u32;
    }

    /// One of them has ended so.
    pub fn add(&mut self, end: FinalState, is_setup: bool) {
        for count in self.columns(end, is_setup).into_iter().flatten() {
            *count += 1;
        }
    }

    /// One of them that had ended so is to be decided again.
    pub fn remove(&mut self, end: FinalState, is_setup: bool) {
        for count in self.columns(end, is_setup).into_iter().flatten() {
            *count -= 1;
        }
    }

    const fn columns(&mut self, end: FinalState, is_setup: bool) -> [Option<&mut u32>; 2] {
        match end {
            FinalState::Success if is_setup => [Some(&mut self.success), Some(&mut self.setups_success)],
            FinalState::Success => [Some(&mut self.success), None],
            FinalState::Skipped if is_setup => [Some(&mut self.skipped), Some(&mut self.setups_skipped)],
            FinalState::Skipped => [Some(&mut self.skipped), None],
            FinalState::Failed => [Some(&mut self.failed), None],
            FinalState::UpstreamFailed => [Some(&mut self.upstream_failed), None],
            FinalState::Removed => [Some(&mut self.removed), None],
        }
    }
}
