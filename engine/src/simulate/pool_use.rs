//! How full the pools of a simulation were, and how long tasks waited for them.

use serde::Serialize;
use windrose_core::time::Timestamp;

use super::attempts::SimAttempt;

/// A pool that attempts of a simulation took slots of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SimPoolUse {
    /// Its name.
    pub pool: String,
    /// Its slots; none if it is unlimited.
    pub slots: Option<i64>,
    /// The most slots that were in use at once.
    pub peak: i64,
    /// The slots in use on average, from the first attempt's start to the last one's end.
    pub average: f64,
    /// How many attempts waited for it.
    pub waited: usize,
    /// How long, all of them together, in seconds or waves.
    pub waiting: f64,
}

/// The use of one pool by these attempts.
pub(super) fn pool_use(pool: &str, slots: i64, attempts: &[SimAttempt], by_clock: bool) -> SimPoolUse {
    let of_pool = || attempts.iter().filter(|attempt| attempt.pool == pool);
    let mut changes: Vec<(Timestamp, i64)> = of_pool()
        .flat_map(|attempt| {
            let slots = i64::from(attempt.slots);
            [(attempt.started, slots), (attempt.started.plus(attempt.length(by_clock)), -slots)]
        })
        .collect();
    // What ends makes room for what begins at the same instant.
    changes.sort_unstable();
    let (mut used, mut peak) = (0, 0);
    for (_, change) in &changes {
        used += change;
        peak = peak.max(used);
    }
    let busy: f64 = of_pool().map(|attempt| attempt.length(by_clock).as_secs_f64() * f64::from(attempt.slots)).sum();
    let span = changes.first().zip(changes.last()).map_or(0.0, |(first, last)| last.0.since(first.0).as_secs_f64());
    let reason = format!("pool {pool}");
    let waited: Vec<f64> = of_pool()
        .filter(|attempt| attempt.waited_for.as_ref() == Some(&reason))
        .map(|attempt| attempt.started.since(attempt.ready).as_secs_f64())
        .collect();
    SimPoolUse {
        pool: pool.to_owned(),
        slots: (slots >= 0).then_some(slots),
        peak,
        average: if span > 0.0 { busy / span } else { 0.0 },
        waited: waited.len(),
        waiting: waited.iter().fold(0.0, |sum, waited| sum + waited),
    }
}
