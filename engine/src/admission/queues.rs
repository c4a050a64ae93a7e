//! Which queues have workers. A candidate of any other one is set aside until there is a worker for it, and stands in
//! nobody's way.

use std::collections::BTreeSet;

use super::lane::Rank;
use super::{Admission, Place};
use crate::effect::Candidate;

impl Admission {
    /// Says which queues have workers; `None` is all of them.
    pub fn set_queues(&mut self, served: Option<BTreeSet<String>>) {
        self.served = served;
        let of_no_worker = |candidate: &Candidate| !self.is_served(&candidate.task().queue);
        let in_lanes = self.lanes.values().flat_map(|lane| &lane.candidates);
        let leave = in_lanes.filter(|(rank, candidate)| !rank.resumes() && of_no_worker(candidate));
        let mut moved: Vec<Candidate> = leave.map(|(_, candidate)| candidate.clone()).collect();
        let aside = self.unserved.iter().filter(|(queue, _)| self.is_served(queue));
        moved.extend(aside.flat_map(|(_, candidates)| candidates.values().cloned()));
        for candidate in moved {
            self.offer(candidate);
        }
    }

    pub(super) fn is_served(&self, queue: &str) -> bool {
        self.served.as_ref().is_none_or(|served| served.contains(queue))
    }

    pub(super) fn set_aside(&mut self, candidate: Candidate, rank: Rank) {
        let queue = candidate.task().queue.clone();
        self.waiting.insert(candidate.key.clone(), Place::Unserved(queue.clone(), rank.clone()));
        self.unserved.entry(queue).or_default().insert(rank, candidate);
    }

    pub(super) fn take_unserved(&mut self, queue: &str, rank: &Rank) {
        if let Some(candidates) = self.unserved.get_mut(queue) {
            candidates.remove(rank);
            if candidates.is_empty() {
                self.unserved.remove(queue);
            }
        }
    }
}
