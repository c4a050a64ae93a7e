//! How long a failed task waits before its next try: Airflow's arithmetic, which is that of
//! `TaskInstance.next_retry_datetime`.

use std::time::Duration;

use crate::dag::Task;
use crate::jitter::hash_modulo;
use crate::python_text::datetime_str;
use crate::time::Timestamp;

/// No delay that grows becomes longer than this, in seconds (Airflow's `MAX_RETRY_DELAY`).
const LONGEST_SECONDS: u64 = 24 * 60 * 60;

/// What a task says about the time between two tries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// After the first try, and after every try if the delay does not grow.
    pub delay: Duration,
    /// The factor by which it grows. `None`, 0, 1 and negative numbers keep it constant.
    pub multiplier: Option<f64>,
    /// The longest delay; it only limits one that grows, and zero is no limit, as in Airflow.
    pub max_delay: Option<Duration>,
}

impl RetryPolicy {
    /// The policy of a task.
    #[must_use]
    pub const fn of(task: &Task) -> Self {
        Self { delay: task.retry_delay, multiplier: task.retry_exponential_backoff, max_delay: task.max_retry_delay }
    }
}

/// Which try failed: what the jitter is made of, so that the same try always waits equally long.
#[derive(Debug, Clone, Copy)]
pub struct FailedTry<'a> {
    /// The DAG.
    pub dag_id: &'a str,
    /// The task.
    pub task_id: &'a str,
    /// The run's logical date, if it has one.
    pub logical_date: Option<Timestamp>,
    /// 1 for the first try.
    pub try_number: u32,
}

/// The wait after this try. A constant delay is exact; one that grows lies between the delay times
/// multiplier^(try − 1), rounded up to whole seconds, and twice that, and is at most `max_delay` and 24 hours.
#[must_use]
pub fn retry_delay(policy: &RetryPolicy, failed: &FailedTry<'_>) -> Duration {
    let Some(multiplier) = policy.multiplier.filter(|&m| m > 0.0 && (m - 1.0).abs() > f64::EPSILON) else {
        return policy.delay;
    };
    let exponent = f64::from(failed.try_number.saturating_sub(1));
    let shortest = (policy.delay.as_secs_f64() * multiplier.powf(exponent)).ceil().max(1.0);
    let seconds = match whole_seconds(shortest) {
        Some(shortest) => (shortest + hash_modulo(&name_of(failed), shortest)).min(LONGEST_SECONDS),
        None => LONGEST_SECONDS,
    };
    let delay = Duration::from_secs(seconds);
    policy.max_delay.filter(|longest| !longest.is_zero()).map_or(delay, |longest| delay.min(longest))
}

/// A whole number of seconds below the limit; `None` if it is at or beyond it, infinite or not a number.
fn whole_seconds(seconds: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1 and below 86,400")]
    (seconds < LONGEST_SECONDS as f64).then_some(seconds as u64)
}

fn name_of(failed: &FailedTry<'_>) -> String {
    let date = failed.logical_date.map_or_else(|| "None".to_owned(), |at| datetime_str(&at.to_utc().fixed_offset()));
    format!("{}#{}#{date}#{}", failed.dag_id, failed.task_id, failed.try_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growing(seconds: u64) -> RetryPolicy {
        RetryPolicy { delay: Duration::from_secs(seconds), multiplier: Some(2.0), max_delay: None }
    }

    fn failed(try_number: u32) -> FailedTry<'static> {
        FailedTry { dag_id: "d", task_id: "t", logical_date: Some(Timestamp::from_micros(0)), try_number }
    }

    #[test]
    fn the_same_try_always_waits_equally_long() {
        assert_eq!(retry_delay(&growing(60), &failed(3)), retry_delay(&growing(60), &failed(3)));
    }

    #[test]
    fn the_jitter_is_the_one_airflow_computes() {
        // Python: 240 + int(hashlib.sha1(b"d#t#1970-01-01 00:00:00+00:00#3").hexdigest(), 16) % 240
        assert_eq!(retry_delay(&growing(60), &failed(3)), Duration::from_secs(410));
    }

    #[test]
    fn absurd_tries_and_multipliers_wait_a_day() {
        assert_eq!(retry_delay(&growing(60), &failed(u32::MAX)), Duration::from_secs(86_400));
        let policy = RetryPolicy { multiplier: Some(f64::MAX), ..growing(60) };
        assert_eq!(retry_delay(&policy, &failed(9)), Duration::from_secs(86_400));
    }

    #[test]
    fn a_multiplier_that_is_not_a_number_keeps_the_delay() {
        let policy = RetryPolicy { multiplier: Some(f64::NAN), ..growing(60) };
        assert_eq!(retry_delay(&policy, &failed(9)), Duration::from_secs(60));
    }
}
