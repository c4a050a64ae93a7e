//! A task's own limits, `max_active_tis_per_dag` and `max_active_tis_per_dagrun`, and the candidates that they keep out.
//!
//! Those are parked outside the lanes. Of each run only the best one comes back when there is room, and the next one when
//! that one is taken or gone, so an end costs one look per run that waits, however many instances of it do.

use std::collections::BTreeMap;

use windrose_core::ids::{DagId, RunKey, TaskId};

use super::lane::Rank;
use super::{Admission, Place};
use crate::effect::Candidate;

/// A task of a DAG, in all its runs.
pub(super) type TaskKey = (DagId, TaskId);

/// The candidates of one task that its limits keep out.
pub(super) type Parked = BTreeMap<RunKey, BTreeMap<Rank, Candidate>>;

fn task_key(candidate: &Candidate) -> TaskKey {
    (candidate.dag.dag_id.clone(), candidate.key.task.clone())
}

fn is_limited(candidate: &Candidate) -> bool {
    let task = candidate.task();
    task.max_active_tis_per_dag.is_some() || task.max_active_tis_per_dagrun.is_some()
}

impl Admission {
    /// Adds an active instance of a task to its counts, or takes it out; either may let others come back.
    pub(super) fn count_task(&mut self, candidate: &Candidate, add: bool) {
        if !is_limited(candidate) {
            return;
        }
        let key = task_key(candidate);
        let counts = self.tasks.entry(key.clone()).or_default();
        let of_run = counts.entry(candidate.key.run).or_default();
        *of_run = if add { *of_run + 1 } else { of_run.saturating_sub(1) };
        if *of_run == 0 {
            counts.remove(&candidate.key.run);
        }
        if counts.is_empty() {
            self.tasks.remove(&key);
        }
        if add {
            self.unpark(&key, candidate.key.run);
        } else {
            let runs: Vec<RunKey> =
                self.parked.get(&key).into_iter().flat_map(|parked| parked.keys().copied()).collect();
            runs.into_iter().for_each(|run| self.unpark(&key, run));
        }
    }

    /// The limit that keeps this candidate out, if one does.
    pub(super) fn limit_reached(&self, candidate: &Candidate) -> Option<u32> {
        let task = candidate.task();
        let counts = is_limited(candidate).then(|| self.tasks.get(&task_key(candidate)));
        let counts = counts.flatten();
        let of_run = counts.and_then(|counts| counts.get(&candidate.key.run)).copied().unwrap_or(0);
        let per_run = task.max_active_tis_per_dagrun.filter(|limit| of_run >= *limit);
        per_run.or_else(|| {
            let of_dag =
                |limit: &u32| counts.is_some_and(|counts| counts.values().sum::<u32>() >= *limit) || *limit == 0;
            task.max_active_tis_per_dag.filter(of_dag)
        })
    }

    /// Takes a candidate out of the lanes until there is room for it.
    pub(super) fn park(&mut self, candidate: Candidate, rank: Rank) {
        let (key, run) = (task_key(&candidate), candidate.key.run);
        self.waiting.insert(candidate.key.clone(), Place::Parked(key.clone(), run, rank.clone()));
        self.parked.entry(key).or_default().entry(run).or_default().insert(rank, candidate);
    }

    /// A candidate of a limited task has left its lane without being taken: another one of its run may come.
    pub(super) fn left_lane(&mut self, candidate: &Candidate) {
        if is_limited(candidate) {
            self.unpark(&task_key(candidate), candidate.key.run);
        }
    }

    pub(super) fn take_parked(&mut self, key: &TaskKey, run: RunKey, rank: &Rank) {
        let Some(parked) = self.parked.get_mut(key) else { return };
        if let Some(of_run) = parked.get_mut(&run) {
            of_run.remove(rank);
            if of_run.is_empty() {
                parked.remove(&run);
            }
        }
        if parked.is_empty() {
            self.parked.remove(key);
        }
    }

    /// Lets the best parked candidate of a run back into its lane, if there is room for it.
    fn unpark(&mut self, key: &TaskKey, run: RunKey) {
        self.work += 1;
        let best = self.parked.get(key).and_then(|parked| parked.get(&run)?.first_key_value());
        let Some((rank, candidate)) = best.map(|(rank, candidate)| (rank.clone(), candidate.clone())) else { return };
        if self.limit_reached(&candidate).is_none() {
            self.take_parked(key, run, &rank);
            self.enqueue(candidate, false);
        }
    }
}
