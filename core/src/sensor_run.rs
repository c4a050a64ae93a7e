//! What a sensor does after a look at its condition: [`after_poke`], the rules of Airflow's
//! `BaseSensorOperator.execute` without the waiting itself.

use std::time::Duration;

use crate::dag::{SensorMode, SensorSettings};
use crate::poke_interval::{PokeName, poke_interval};

/// How a look at the condition ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PokeResult {
    /// The condition holds.
    Done,
    /// It does not hold yet.
    NotYet,
    /// The look failed in a way that may pass.
    Error,
    /// The look failed, and trying again is pointless (Airflow's `AirflowFailException`).
    FatalError,
    /// The look was cut off by `execution_timeout`.
    ExecutionTimeout,
    /// The sensor's own code asked for the task to be skipped.
    Skip,
}

/// Why a sensor skips its task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SkipReason {
    /// Its own code asked for it.
    Asked,
    /// It failed or timed out, and `soft_fail` is set.
    SoftFail,
    /// It failed, and `never_fail` is set.
    NeverFail,
}

/// Why a sensor fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailReason {
    /// The condition did not hold within `timeout`. Never retried.
    Timeout,
    /// What the look reported.
    Poke,
}

/// What to do after a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SensorStep {
    /// The task is done.
    Succeed,
    /// The task is skipped.
    Skip(SkipReason),
    /// The task fails.
    Fail {
        /// Why.
        reason: FailReason,
        /// True if it is tried again while tries remain.
        retry: bool,
    },
    /// Wait, then look again within this attempt.
    Sleep(Duration),
    /// End the attempt, and look again in a new one after this time.
    Reschedule(Duration),
}

/// Decides what follows look number `poke_count` of this try (1 for the first), which ended `elapsed` after the try's
/// first look began.
///
/// The condition is asked before the clock: a look that finds it succeeds however late it is. The timeout is passed
/// when more time than it has gone by, and it is judged only after a look, as in Airflow.
#[must_use]
pub fn after_poke(
    settings: &SensorSettings,
    name: &PokeName<'_>,
    poke_count: u32,
    elapsed: Duration,
    result: PokeResult,
) -> SensorStep {
    match result {
        PokeResult::Done => return SensorStep::Succeed,
        PokeResult::Skip => return SensorStep::Skip(SkipReason::Asked),
        PokeResult::FatalError | PokeResult::ExecutionTimeout => {
            return failed_for_good(settings, result == PokeResult::ExecutionTimeout);
        }
        PokeResult::Error if settings.silent_fail => {}
        PokeResult::Error if settings.never_fail => return SensorStep::Skip(SkipReason::NeverFail),
        // `soft_fail` does not soften an ordinary error.
        PokeResult::Error => return SensorStep::Fail { reason: FailReason::Poke, retry: true },
        PokeResult::NotYet => {}
    }
    if elapsed > settings.timeout {
        return if settings.soft_fail {
            SensorStep::Skip(SkipReason::SoftFail)
        } else {
            SensorStep::Fail { reason: FailReason::Timeout, retry: false }
        };
    }
    let wait = poke_interval(settings, name, poke_count, elapsed);
    match settings.mode {
        SensorMode::Poke | SensorMode::Deferred => SensorStep::Sleep(wait),
        SensorMode::Reschedule => SensorStep::Reschedule(wait),
    }
}

/// Errors that `silent_fail` does not silence.
const fn failed_for_good(settings: &SensorSettings, retry: bool) -> SensorStep {
    if settings.soft_fail {
        SensorStep::Skip(SkipReason::SoftFail)
    } else if settings.never_fail {
        SensorStep::Skip(SkipReason::NeverFail)
    } else {
        SensorStep::Fail { reason: FailReason::Poke, retry }
    }
}
