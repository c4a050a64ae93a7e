//! How long a sensor waits between two looks: the arithmetic of Airflow's `BaseSensorOperator`.

use std::time::Duration;

use crate::dag::SensorSettings;
use crate::jitter::hash_modulo;
use crate::time::Timestamp;

/// Which look of which sensor: what the jitter is made of.
#[derive(Debug, Clone, Copy)]
pub struct PokeName<'a> {
    /// The DAG.
    pub dag_id: &'a str,
    /// The task.
    pub task_id: &'a str,
    /// When this try was first looked at.
    pub first_poke_at: Timestamp,
}

/// The wait after look number `poke_count` (1 for the first), `elapsed` after the first look.
///
/// Without back-off it is `poke_interval`. With it, it lies between `poke_interval` × 2^(count − 2), at least one
/// second, and twice that, in whole seconds, and never reaches beyond the timeout. `max_wait` limits both.
#[must_use]
pub fn poke_interval(settings: &SensorSettings, name: &PokeName<'_>, poke_count: u32, elapsed: Duration) -> Duration {
    if !settings.exponential_backoff {
        return settings.poke_interval;
    }
    let left = settings.timeout.saturating_sub(Duration::from_secs(elapsed.as_secs()));
    let exponent = f64::from(poke_count.max(1)) - 2.0;
    // A float converts to an integer by cutting off and saturating, which is what is wanted here.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is never negative")]
    let shortest = ((settings.poke_interval.as_secs_f64() * exponent.exp2()) as u64).max(1);
    let text = format!("{}#{}#{}#{poke_count}", name.dag_id, name.task_id, name.first_poke_at);
    let grown = Duration::from_secs(shortest.saturating_add(hash_modulo(&text, shortest))).min(left);
    settings.max_wait.map_or(grown, |longest| grown.min(longest))
}
