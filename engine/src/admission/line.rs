//! For people: who holds what a candidate waits for, and how many go before it.

use windrose_core::ids::TaskInstanceKey;

use super::{Admission, Obstacle, Place};
use crate::effect::Candidate;

/// Where a candidate stands in the line for its pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The pool.
    pub pool: String,
    /// Slots in use.
    pub used: i64,
    /// Slots in all; −1 is unlimited.
    pub slots: i64,
    /// 1 goes first. Those of paused DAGs, and those that their task's own limit keeps out, stand in no line.
    pub place: usize,
    /// How many stand in it.
    pub length: usize,
}

impl Admission {
    /// The line in which a waiting task instance stands; none if it does not wait, its own limit keeps it out, or its pool
    /// does not exist.
    #[must_use]
    pub fn line(&self, key: &TaskInstanceKey) -> Option<Line> {
        let Some(Place::Lane(own, rank)) = self.waiting.get(key) else { return None };
        let pool = self.pools.get(&own.pool)?;
        let in_line = self
            .lanes
            .iter()
            .filter(|(id, _)| id.pool == own.pool)
            .flat_map(|(_, lane)| &lane.candidates)
            .filter(|(_, candidate)| !self.paused.contains(&candidate.dag.dag_id));
        let (mut before, mut length) = (0, 0);
        for (other, _) in in_line {
            length += 1;
            before += usize::from(other < rank);
        }
        Some(Line { pool: own.pool.clone(), used: pool.used, slots: pool.slots, place: before + 1, length })
    }

    /// The task instances that hold what this one lacks, in the order of their keys.
    #[must_use]
    pub fn holders(&self, key: &TaskInstanceKey, obstacle: &Obstacle) -> Vec<TaskInstanceKey> {
        let holds = |candidate: &Candidate, deferred: bool| match obstacle {
            Obstacle::PoolFull { pool, .. } => {
                let counts = self.pools.get(pool).is_some_and(|pool| pool.include_deferred);
                candidate.task().pool == *pool && (!deferred || counts)
            }
            Obstacle::RunFull { .. } => candidate.key.run == key.run && !deferred,
            Obstacle::TaskFull { .. } => candidate.key.task == key.task && !deferred,
            Obstacle::NoSuchPool { .. }
            | Obstacle::LargerThanPool { .. }
            | Obstacle::NoWorker { .. }
            | Obstacle::DagPaused
            | Obstacle::Turn => false,
        };
        let dag = self.candidate(key).map(|candidate| candidate.dag.dag_id.clone());
        let same_dag = |candidate: &Candidate| {
            !matches!(obstacle, Obstacle::TaskFull { .. }) || Some(&candidate.dag.dag_id) == dag.as_ref()
        };
        let held = self.held.values().filter(|hold| holds(&hold.candidate, hold.deferred) && same_dag(&hold.candidate));
        let mut keys: Vec<_> = held.map(|hold| hold.candidate.key.clone()).filter(|other| other != key).collect();
        keys.sort_unstable();
        keys
    }

    pub(super) fn candidate(&self, key: &TaskInstanceKey) -> Option<&Candidate> {
        match self.waiting.get(key)? {
            Place::Lane(id, rank) => self.lanes.get(id)?.candidates.get(rank),
            Place::Unserved(queue, rank) => self.unserved.get(queue)?.get(rank),
            Place::Parked(task, run, rank) => self.parked.get(task)?.get(run)?.get(rank),
        }
    }
}
