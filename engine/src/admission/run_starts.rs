//! Which queued runs may start: `max_active_runs`.

use std::collections::HashMap;

use windrose_core::ids::{DagId, RunKey};
use windrose_core::run_state::RunType;
use windrose_core::time::Timestamp;

/// A run that waits for a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedRun {
    /// Which.
    pub run: RunKey,
    /// Its DAG.
    pub dag_id: DagId,
    /// Runs of a backfill come after all others. They are made only when there is a place for them under the backfill's own
    /// limit, and take none of their DAG's.
    pub run_type: RunType,
    /// Not before this instant; earlier goes first.
    pub run_after: Timestamp,
    /// How many runs of its DAG may be running at once.
    pub max_active_runs: u32,
}

/// The runs that may start now, in order. `running` counts the running runs by DAG, those of
/// backfills left out.
#[must_use]
pub fn runs_to_start(now: Timestamp, queued: &[QueuedRun], running: &HashMap<DagId, u32>) -> Vec<RunKey> {
    let mut order: Vec<&QueuedRun> = queued.iter().filter(|run| run.run_after <= now).collect();
    order.sort_by_key(|run| (run.run_type == RunType::Backfill, run.run_after, run.run));
    let mut started: HashMap<&DagId, u32> = HashMap::new();
    let mut starts = Vec::new();
    for run in order {
        if run.run_type == RunType::Backfill {
            starts.push(run.run);
            continue;
        }
        let new = started.entry(&run.dag_id).or_default();
        if running.get(&run.dag_id).copied().unwrap_or(0) + *new < run.max_active_runs {
            *new += 1;
            starts.push(run.run);
        }
    }
    starts
}

/// Why a queued run does not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartObstacle {
    /// It is not to start before this instant.
    NotDue {
        /// When.
        at: Timestamp,
    },
    /// As many runs of its DAG are running, or go before it, as `max_active_runs` allows.
    RunsFull {
        /// The limit.
        max_active_runs: u32,
        /// How many other runs of its DAG are queued, due, and go before it.
        before: usize,
    },
}

/// What keeps this run from starting: none if it starts now.
#[must_use]
pub fn start_obstacle(
    now: Timestamp,
    run: &QueuedRun,
    queued: &[QueuedRun],
    running: &HashMap<DagId, u32>,
) -> Option<StartObstacle> {
    if run.run_after > now {
        return Some(StartObstacle::NotDue { at: run.run_after });
    }
    if runs_to_start(now, queued, running).contains(&run.run) {
        return None;
    }
    let rank = |run: &QueuedRun| (run.run_type == RunType::Backfill, run.run_after, run.run);
    let before = queued.iter().filter(|other| other.dag_id == run.dag_id && rank(other) < rank(run)).count();
    Some(StartObstacle::RunsFull { max_active_runs: run.max_active_runs, before })
}
