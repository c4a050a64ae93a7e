//! How a sensor waits.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a sensor waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SensorMode {
    /// The attempt stays and keeps its slot.
    #[default]
    Poke,
    /// The attempt ends after each look and gives everything back.
    Reschedule,
    /// The attempt stays and gives its slot back.
    Deferred,
}

/// The fields that every sensor has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SensorSettings {
    /// How it waits.
    pub mode: SensorMode,
    /// Between two looks.
    pub poke_interval: Duration,
    /// How long in all.
    pub timeout: Duration,
    /// True if the file said so, false if it is the default.
    pub timeout_given: bool,
    /// A timeout skips the task instead of failing it.
    pub soft_fail: bool,
    /// The distance between looks grows.
    pub exponential_backoff: bool,
    /// The longest distance.
    pub max_wait: Option<Duration>,
    /// An exception in a look is logged, and the sensor goes on waiting.
    pub silent_fail: bool,
    /// An exception in a look skips the task.
    pub never_fail: bool,
}

/// Airflow's defaults.
impl Default for SensorSettings {
    fn default() -> Self {
        Self {
            mode: SensorMode::Poke,
            poke_interval: Duration::from_secs(60),
            timeout: Duration::from_secs(7 * 24 * 3600),
            timeout_given: false,
            soft_fail: false,
            exponential_backoff: false,
            max_wait: None,
            silent_fail: false,
            never_fail: false,
        }
    }
}
