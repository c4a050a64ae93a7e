//! When each attempt of a simulation was ready, began and ended, and what it waited for meanwhile.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Serialize, Serializer};
use windrose_core::attempt::{AttemptEnd, AttemptOutcome};
use windrose_core::ids::{AttemptId, TaskInstanceKey};
use windrose_core::time::Timestamp;

use super::stage::name_of;
use crate::admission::{Admission, Obstacle};
use crate::effect::Candidate;

/// One attempt. Instants count from the start of its run, in seconds or waves as the report says; an attempt of one wave
/// begins and ends in the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SimAttempt {
    /// The task instance: `load`, `load[3]`.
    pub task: String,
    /// Its try.
    #[serde(rename = "try")]
    pub try_number: u32,
    /// The pool it took slots of.
    pub pool: String,
    /// How many.
    pub slots: u32,
    /// When it was ready, and waited for slots.
    #[serde(serialize_with = "as_units")]
    pub ready: Timestamp,
    /// When it began.
    #[serde(serialize_with = "as_units")]
    pub started: Timestamp,
    /// When it was over.
    #[serde(serialize_with = "as_units")]
    pub ended: Timestamp,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// What kept it from beginning when it was ready: `pool narrow`, `max_active_tasks`, ….
    pub waited_for: Option<String>,
    #[serde(skip)]
    pub(super) key: TaskInstanceKey,
    #[serde(skip)]
    pub(super) position: usize,
}

impl SimAttempt {
    /// How long it held its slots: an attempt of one wave did for all of it.
    pub(super) fn length(&self, by_clock: bool) -> Duration {
        let wave = if by_clock { Duration::ZERO } else { Duration::from_secs(1) };
        self.ended.since(self.started) + wave
    }

    /// The same attempt on a clock that began earlier.
    pub(super) fn later(self, by: Duration) -> Self {
        Self { ready: self.ready.plus(by), started: self.started.plus(by), ended: self.ended.plus(by), ..self }
    }
}

/// Seconds, or waves, which are a second apart.
fn as_units<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    #[expect(clippy::cast_precision_loss, reason = "a simulation lasts a hundred years at most")]
    serializer.serialize_f64(at.as_micros() as f64 / 1e6)
}

/// Sees every attempt of all runs from the moment it is ready.
#[derive(Default)]
pub(super) struct Watch {
    ready: HashMap<TaskInstanceKey, Timestamp>,
    /// Offered since the last admission.
    fresh: Vec<TaskInstanceKey>,
    waits_for: HashMap<TaskInstanceKey, String>,
    begun: HashMap<AttemptId, SimAttempt>,
    over: Vec<SimAttempt>,
}

impl Watch {
    pub(super) fn offered(&mut self, now: Timestamp, candidate: &Candidate) {
        self.ready.insert(candidate.key.clone(), now);
        self.fresh.push(candidate.key.clone());
    }

    /// Asks once for each that was not admitted at its first chance.
    pub(super) fn note_obstacles(&mut self, admission: &Admission) {
        for key in std::mem::take(&mut self.fresh) {
            if let Some(obstacle) = admission.obstacles(&key).first() {
                self.waits_for.insert(key, word_of(obstacle));
            }
        }
    }

    pub(super) fn begun(&mut self, now: Timestamp, candidate: &Candidate, attempt: AttemptId) {
        let key = candidate.key.clone();
        let task = candidate.task();
        let seen = SimAttempt {
            task: name_of(&key),
            try_number: 0,
            pool: task.pool.clone(),
            slots: task.pool_slots.max(1),
            ready: self.ready.remove(&key).unwrap_or(now),
            started: now,
            ended: now,
            outcome: AttemptOutcome::Cancelled,
            waited_for: self.waits_for.remove(&key),
            key,
            position: candidate.position,
        };
        self.begun.insert(attempt, seen);
    }

    pub(super) fn ended(&mut self, now: Timestamp, end: &AttemptEnd) {
        if let Some(seen) = self.begun.remove(&end.attempt) {
            self.over.push(SimAttempt { ended: now, outcome: end.outcome, try_number: end.try_number, ..seen });
        }
    }

    /// What a task instance that never began waits for.
    pub(super) fn obstacle_of(&self, key: &TaskInstanceKey) -> Option<&String> {
        self.waits_for.get(key)
    }

    /// Every attempt, in the order of their ends.
    pub(super) fn into_attempts(self) -> Vec<SimAttempt> {
        self.over
    }
}

fn word_of(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::NoSuchPool { pool } | Obstacle::LargerThanPool { pool, .. } | Obstacle::PoolFull { pool, .. } => {
            format!("pool {pool}")
        }
        Obstacle::RunFull { .. } => "max_active_tasks".to_owned(),
        Obstacle::TaskFull { .. } => "max_active_tis".to_owned(),
        Obstacle::NoWorker { queue } => format!("a worker of queue {queue}"),
        Obstacle::DagPaused => "the DAG, which is paused".to_owned(),
        Obstacle::Turn => "its turn".to_owned(),
    }
}
