//! A pool: its slots, and the heads of the lanes that want them.

use std::collections::{BTreeMap, BTreeSet};

use windrose_core::ids::RunKey;

use super::Obstacle;
use super::lane::Rank;

/// Slots with a name.
#[derive(Debug, Default)]
pub(super) struct Pool {
    /// −1 is unlimited.
    pub(super) slots: i64,
    pub(super) include_deferred: bool,
    pub(super) used: i64,
    /// By slots wanted: the best candidate of each run that has room.
    pub(super) heads: BTreeMap<u32, BTreeSet<(Rank, RunKey)>>,
}

impl Pool {
    pub(super) const fn free(&self) -> i64 {
        if self.slots < 0 { i64::MAX } else { self.slots - self.used }
    }

    /// The best candidate that fits; those that resume come first in order.
    pub(super) fn best(&self, new_attempts: bool) -> Option<(u32, &Rank, RunKey)> {
        let free = self.free();
        self.heads
            .iter()
            .take_while(|&(&wanted, _)| i64::from(wanted) <= free.max(0))
            .filter_map(|(&wanted, heads)| heads.first().map(|(rank, run)| (wanted, rank, *run)))
            .filter(|(_, rank, _)| new_attempts || rank.resumes())
            .min_by(|a, b| a.1.cmp(b.1))
    }

    pub(super) fn obstacle(&self, name: &str, wanted: u32) -> Option<Obstacle> {
        let pool = name.to_owned();
        if self.slots >= 0 && i64::from(wanted) > self.slots {
            return Some(Obstacle::LargerThanPool { pool, wanted, slots: self.slots });
        }
        let free = self.free();
        (i64::from(wanted) > free).then_some(Obstacle::PoolFull { pool, wanted, free })
    }
}
