//! What admitted task instances hold, and against which limits that counts.

use windrose_core::ids::{DagId, TaskId};

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

/// How many instances of this task may be active; a run has one instance of a task, so a limit per run is met unless it
/// is zero.
pub(super) fn task_limit(candidate: &Candidate) -> Option<u32> {
    let task = candidate.task();
    match task.max_active_tis_per_dagrun {
        Some(0) => Some(0),
        _ => task.max_active_tis_per_dag,
    }
}

fn task_key(candidate: &Candidate) -> (DagId, TaskId) {
    (candidate.dag.dag_id.clone(), candidate.key.task.clone())
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
        if task_limit(&hold.candidate).is_some() {
            let key = task_key(&hold.candidate);
            step(self.tasks.entry(key.clone()).or_default());
            if !add {
                for candidate in self.parked.remove(&key).unwrap_or_default() {
                    self.enqueue(candidate, false);
                }
            }
        }
    }

    pub(super) fn task_limit_reached(&self, candidate: &Candidate) -> Option<(DagId, TaskId)> {
        let limit = task_limit(candidate)?;
        let key = task_key(candidate);
        (self.tasks.get(&key).copied().unwrap_or(0) >= limit).then_some(key)
    }
}
