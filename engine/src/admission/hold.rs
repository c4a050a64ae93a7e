//! What admitted task instances hold, and against which limits that counts.

use super::Admission;
use crate::effect::Candidate;

/// An admitted task instance.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    pub(super) candidate: Candidate,
    pub(super) deferred: bool,
}

impl Hold {
    pub(super) fn pool_slots(&self, include_deferred: bool) -> i64 {
        let counted = !self.deferred || include_deferred;
        if counted { i64::from(self.candidate.task().pool_slots.max(1)) } else { 0 }
    }
}

impl Admission {
    /// Adds a hold to every count it belongs to, or takes it out again.
    pub(super) fn count(&mut self, hold: &Hold, add: bool) {
        let task = hold.candidate.task();
        if let Some(pool) = self.pools.get_mut(&task.pool) {
            let slots = hold.pool_slots(pool.include_deferred);
            pool.used += if add { slots } else { -slots };
        }
        // Deferred ones are not active, as in Airflow's concurrency map.
        if hold.deferred {
            return;
        }
        let step = |count: &mut u32| *count = if add { *count + 1 } else { count.saturating_sub(1) };
        let run = hold.candidate.key.run;
        step(&mut self.runs.entry(run).or_default().active);
        self.refresh_run(run);
        self.forget_run_if_idle(run);
        self.count_task(&hold.candidate, add);
    }
}
