//! Lanes: the candidates of one run that want the same number of slots of the same pool, best first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use windrose_core::ids::{RunKey, TaskInstanceKey};
use windrose_core::time::Timestamp;

use super::{Admission, Place};
use crate::effect::Candidate;

/// Where a candidate waits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LaneId {
    pub(super) pool: String,
    pub(super) slots: u32,
    pub(super) run: RunKey,
}

/// What candidates are sorted by; the smallest goes first. A deferred attempt that goes on comes before new ones: its work
/// has begun, and it keeps a worker busy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    fresh: bool,
    weight: Reverse<i64>,
    run_date: Timestamp,
    run: RunKey,
    position: usize,
    map_index: i32,
}

impl Rank {
    pub(super) fn of(candidate: &Candidate, resumes: bool) -> Self {
        Self {
            fresh: !resumes,
            weight: Reverse(candidate.weight),
            run_date: candidate.run_date,
            run: candidate.key.run,
            position: candidate.position,
            map_index: candidate.key.map_index,
        }
    }

    pub(super) const fn resumes(&self) -> bool {
        !self.fresh
    }
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) candidates: BTreeMap<Rank, Candidate>,
    /// What the pool has as this lane's head.
    head: Option<Rank>,
}

impl Admission {
    pub(super) fn enqueue(&mut self, candidate: Candidate, resumes: bool) {
        let task = candidate.task();
        let counted = resumes && self.pools.get(&task.pool).is_some_and(|pool| pool.include_deferred);
        // Zero slots would escape every limit; validation refuses it. One that goes on and was counted wants no more.
        let slots = if counted { 0 } else { task.pool_slots.max(1) };
        let rank = Rank::of(&candidate, resumes);
        if !resumes && !self.is_served(&task.queue) {
            return self.set_aside(candidate, rank);
        }
        let id = LaneId { pool: task.pool.clone(), slots, run: candidate.key.run };
        self.waiting.insert(candidate.key.clone(), Place::Lane(id.clone(), rank.clone()));
        self.lanes.entry(id.clone()).or_default().candidates.insert(rank, candidate);
        self.runs.entry(id.run).or_default().lanes.insert(id.clone());
        self.refresh_head(&id);
    }

    /// Takes a candidate out of its lane; true with it if it resumes.
    pub(super) fn take(&mut self, id: &LaneId, rank: &Rank) -> Option<(Candidate, bool)> {
        let candidate = self.lanes.get_mut(id)?.candidates.remove(rank)?;
        self.refresh_head(id);
        Some((candidate, rank.resumes()))
    }

    /// The best candidate of all that fits in its pool and its run.
    pub(super) fn best(&self, new_attempts: bool) -> Option<(LaneId, Rank)> {
        let (name, (slots, rank, run)) = self
            .pools
            .iter()
            .filter_map(|(name, pool)| Some((name, pool.best(new_attempts)?)))
            .min_by(|a, b| a.1.1.cmp(b.1.1))?;
        Some((LaneId { pool: name.clone(), slots, run }, rank.clone()))
    }

    pub(super) fn refresh_run(&mut self, run: RunKey) {
        let lanes: Vec<LaneId> = self.runs.get(&run).into_iter().flat_map(|r| r.lanes.iter().cloned()).collect();
        for id in lanes {
            self.refresh_head(&id);
        }
    }

    pub(super) fn refresh_heads_of_pool(&mut self, name: &str) {
        let lanes: Vec<LaneId> = self.lanes.keys().filter(|id| id.pool == name).cloned().collect();
        for id in lanes {
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.head = None;
            }
            self.refresh_head(&id);
        }
    }

    /// Makes the pool's view of a lane true: its first candidate if the run has room for it, else nothing.
    fn refresh_head(&mut self, id: &LaneId) {
        self.work += 1;
        let Some(lane) = self.lanes.get(id) else { return };
        let wanted =
            lane.candidates.first_key_value().filter(|(_, c)| self.run_has_room(c)).map(|(rank, _)| rank.clone());
        let empty = lane.candidates.is_empty();
        let Some(lane) = self.lanes.get_mut(id) else { return };
        if let Some(pool) = self.pools.get_mut(&id.pool) {
            let heads = pool.heads.entry(id.slots).or_default();
            if let Some(old) = lane.head.take() {
                heads.remove(&(old, id.run));
            }
            if let Some(new) = &wanted {
                heads.insert((new.clone(), id.run));
            }
            if heads.is_empty() {
                pool.heads.remove(&id.slots);
            }
            lane.head = wanted;
        }
        if empty {
            self.lanes.remove(id);
            if let Some(run) = self.runs.get_mut(&id.run) {
                run.lanes.remove(id);
            }
        }
        self.forget_run_if_idle(id.run);
    }

    fn run_has_room(&self, candidate: &Candidate) -> bool {
        self.active_in_run(candidate.key.run) < candidate.dag.max_active_tasks
            && !self.paused.contains(&candidate.dag.dag_id)
    }

    pub(super) fn forget_run_if_idle(&mut self, run: RunKey) {
        if self.runs.get(&run).is_some_and(|r| r.active == 0 && r.lanes.is_empty()) {
            self.runs.remove(&run);
        }
    }

    /// Whether this task instance waits.
    #[must_use]
    pub fn is_waiting(&self, key: &TaskInstanceKey) -> bool {
        self.waiting.contains_key(key)
    }
}
