//! Runs at the ticks themselves (Airflow's `CronTriggerTimetable`, `MultipleCronTriggerTimetable` and
//! `DeltaTriggerTimetable`).

use super::cron::Cron;
use super::delta::Delta;
use super::error::TimetableError;
use super::ticks::Ticks;
use super::{Bounds, DueRun};
use crate::run::DataInterval;
use crate::time::Timestamp;

/// What the first run of a DAG without `start_date` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunImmediately {
    /// The next tick; or the last one, if it is not longer ago than five minutes or a tenth of the time between the two.
    /// (Airflow's `False`; its documentation says that it waits, its code does this.)
    #[default]
    IfRecent,
    /// The last tick.
    Always,
    /// The last tick if it is not longer ago than this many microseconds, else the next one.
    Within(i64),
}

/// A cron expression whose ticks are runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronTrigger {
    /// When.
    pub cron: Cron,
    /// How long the data interval is that ends with the tick.
    pub interval: Delta,
    /// The first run of a DAG without `start_date`.
    pub run_immediately: RunImmediately,
}

impl CronTrigger {
    /// Runs at the ticks, each for an interval without length.
    #[must_use]
    pub const fn new(cron: Cron) -> Self {
        Self { cron, interval: Delta::ZERO, run_immediately: RunImmediately::IfRecent }
    }

    pub(super) fn next_run(
        &self,
        last: Option<DataInterval>,
        bounds: &Bounds,
        now: Timestamp,
    ) -> Result<Option<DueRun>, TimetableError> {
        let at = next_tick(&self.cron, || self.first_tick(now), last, bounds, now)?;
        due_at(at, self.interval, bounds)
    }

    pub(super) fn manual_interval(&self, run_after: Timestamp) -> Result<DataInterval, TimetableError> {
        Ok(DataInterval { start: self.interval.before(run_after)?, end: run_after })
    }

    fn first_tick(&self, now: Timestamp) -> Result<Timestamp, TimetableError> {
        let past = self.cron.align_to_prev(now)?;
        let next = self.cron.align_to_next(now)?;
        let micros = |from: Timestamp, to: Timestamp| to.as_micros() - from.as_micros();
        let recent = match self.run_immediately {
            RunImmediately::Always => return Ok(past),
            RunImmediately::Within(micros) => micros,
            RunImmediately::IfRecent => (micros(past, next) / 10).max(300_000_000),
        };
        Ok(if micros(past, now) <= recent { past } else { next })
    }
}

/// Of several triggers, the one whose run comes first; without catchup the newest of those that are due already, so that
/// as many as possible are passed over.
pub(super) fn first_of(
    triggers: &[CronTrigger],
    last: Option<DataInterval>,
    bounds: &Bounds,
    now: Timestamp,
) -> Result<Option<DueRun>, TimetableError> {
    let mut first: Option<(i64, DueRun)> = None;
    for trigger in triggers {
        let Some(run) = trigger.next_run(last, bounds, now)? else { continue };
        let at = run.logical_date.unwrap_or(run.run_after).as_micros();
        let rank = if !bounds.catchup && at <= now.as_micros() { -at } else { at };
        if first.as_ref().is_none_or(|(best, _)| rank < *best) {
            first = Some((rank, run));
        }
    }
    Ok(first.map(|(_, run)| run))
}

pub(super) fn next_run_of_delta(
    delta: Delta,
    interval: Delta,
    last: Option<DataInterval>,
    bounds: &Bounds,
    now: Timestamp,
) -> Result<Option<DueRun>, TimetableError> {
    let at = next_tick(&delta, || Ok(now), last, bounds, now)?;
    due_at(at, interval, bounds)
}

fn next_tick(
    ticks: &impl Ticks,
    first: impl FnOnce() -> Result<Timestamp, TimetableError>,
    last: Option<DataInterval>,
    bounds: &Bounds,
    now: Timestamp,
) -> Result<Timestamp, TimetableError> {
    let earliest = bounds.earliest.map(|earliest| ticks.align_to_next(earliest));
    let following = last.map(|last| ticks.next_after(last.end));
    if bounds.catchup {
        return following.or(earliest).unwrap_or_else(first);
    }
    // `first` counts only for a DAG that has neither runs nor a start date.
    let begin = match (following, &earliest) {
        (Some(following), _) => Some(following?),
        (None, None) => Some(first()?),
        (None, Some(_)) => None,
    };
    let newest = ticks.align_to_prev(now)?;
    Ok(newest.max(begin.unwrap_or(newest)).max(earliest.transpose()?.unwrap_or(newest)))
}

fn due_at(at: Timestamp, interval: Delta, bounds: &Bounds) -> Result<Option<DueRun>, TimetableError> {
    if bounds.latest.is_some_and(|latest| latest < at) {
        return Ok(None);
    }
    Ok(Some(DueRun::over(DataInterval { start: interval.before(at)?, end: at })))
}
