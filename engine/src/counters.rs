//! How the upstream task instances of one task ended, as numbers: kept up to date edge by edge, so that a trigger rule
//! never looks at the tasks themselves.

use windrose_core::task_state::FinalState;

/// Upstream task instances by final state. Those that are not in any are unfinished.
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

    /// So many more upstream task instances, unfinished so far.
    pub const fn add_unfinished(&mut self, count: u32, is_setup: bool) {
        self.total += count;
        self.setups += if is_setup { count } else { 0 };
    }

    /// These and those.
    #[must_use]
    pub const fn plus(self, other: &Self) -> Self {
        Self {
            total: self.total + other.total,
            success: self.success + other.success,
            failed: self.failed + other.failed,
            upstream_failed: self.upstream_failed + other.upstream_failed,
            skipped: self.skipped + other.skipped,
            removed: self.removed + other.removed,
            setups: self.setups + other.setups,
            setups_success: self.setups_success + other.setups_success,
            setups_skipped: self.setups_skipped + other.setups_skipped,
        }
    }

    /// So many of them are gone, in whatever state they were counted as unfinished.
    pub const fn forget(&mut self, count: u32, is_setup: bool) {
        self.total -= count;
        self.setups -= if is_setup { count } else { 0 };
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
