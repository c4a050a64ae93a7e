//! Runs that were due while nobody looked, put into one: the newest of them, or one that stands for all.

use super::delta::Delta;
use super::error::TimetableError;
use super::{Bounds, DueRun, Timetable};
use crate::dag::Catchup;
use crate::run::DataInterval;
use crate::time::Timestamp;

/// How many runs are stepped over one by one after the jump to the newest missed one; the jump falls short of it where an
/// end date or several cron expressions meet.
const MOST_STEPS: usize = 1_000;

/// The next run: if several are due, the newest of them or their union.
pub(super) fn next_run(
    timetable: &Timetable,
    last: Option<DataInterval>,
    bounds: &Bounds,
    missed: Catchup,
    now: Timestamp,
) -> Result<Option<DueRun>, TimetableError> {
    if last.is_none() && bounds.earliest.is_none() {
        // Nothing can have been missed: the schedule has no beginning yet.
        return timetable.next_run(last, &Bounds { catchup: false, ..*bounds }, now);
    }
    let all = Bounds { catchup: true, ..*bounds };
    let Some(first) = timetable.next_run(last, &all, now)? else { return Ok(None) };
    // A start date that was moved on since the last run.
    let too_early = bounds.earliest.is_some_and(|earliest| first.logical_date.is_some_and(|at| at < earliest));
    let first = if too_early { timetable.next_run(None, &all, now)? } else { Some(first) };
    let Some(first) = first else { return Ok(None) };
    if first.run_after > now {
        return Ok(Some(first));
    }
    let newest = newest_due(timetable, first, bounds, now)?;
    Ok(Some(match (missed, first.data_interval, newest.data_interval) {
        (Catchup::Collapse, Some(from), Some(to)) => {
            DueRun { run_after: newest.run_after, ..DueRun::over(DataInterval { start: from.start, end: to.end }) }
        }
        _ => newest,
    }))
}

/// The newest run that is due, at or after `first`, which is.
fn newest_due(timetable: &Timetable, first: DueRun, bounds: &Bounds, now: Timestamp) -> Result<DueRun, TimetableError> {
    let near = jump(timetable, first, bounds, now)?;
    let mut newest = near.filter(|run| run.run_after <= now && run.run_after > first.run_after).unwrap_or(first);
    let all = Bounds { catchup: true, ..*bounds };
    for _ in 0..MOST_STEPS {
        match timetable.next_run(newest.data_interval, &all, now)? {
            Some(next) if next.run_after <= now && next.run_after > newest.run_after => newest = next,
            _ => break,
        }
    }
    Ok(newest)
}

/// A run near the newest that is due, without a look at all those before it.
fn jump(
    timetable: &Timetable,
    first: DueRun,
    bounds: &Bounds,
    now: Timestamp,
) -> Result<Option<DueRun>, TimetableError> {
    let until = bounds.latest.map_or(now, |latest| now.min(latest));
    match timetable {
        Timetable::Null | Timetable::Once | Timetable::Continuous => Ok(None),
        Timetable::CronTrigger(_) | Timetable::MultipleCronTrigger(_) | Timetable::CronDataInterval(_) => {
            timetable.next_run(first.data_interval, &Bounds { catchup: false, ..*bounds }, until)
        }
        // Without catchup Airflow leaves the grid of a distance; what was missed lies on it.
        Timetable::DeltaTrigger { delta, .. } | Timetable::DeltaDataInterval(delta) => {
            steps(*delta, first, until).transpose()
        }
    }
}

/// `first`, moved on by as many whole distances as fit.
fn steps(delta: Delta, first: DueRun, until: Timestamp) -> Option<Result<DueRun, TimetableError>> {
    let interval = first.data_interval?;
    let by = delta.whole_steps(first.run_after, until)?;
    let moved = |at| by.after(at);
    Some(moved(interval.start).and_then(|start| Ok(DueRun::over(DataInterval { start, end: moved(interval.end)? }))))
}
