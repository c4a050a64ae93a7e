//! Runs for the time between two ticks, made when it is over (Airflow's `CronDataIntervalTimetable` and
//! `DeltaDataIntervalTimetable`).

use super::error::TimetableError;
use super::ticks::Ticks;
use super::{Bounds, DueRun};
use crate::run::DataInterval;
use crate::time::Timestamp;

pub(super) fn next_run(
    ticks: &impl Ticks,
    last: Option<DataInterval>,
    bounds: &Bounds,
    now: Timestamp,
) -> Result<Option<DueRun>, TimetableError> {
    let earliest = if bounds.catchup {
        bounds.earliest.map(|earliest| ticks.align_to_next(earliest)).transpose()?
    } else {
        Some(ticks.newest_interval_start(bounds.earliest, now)?)
    };
    let start = match (last, earliest) {
        (None, None) => return Ok(None),
        (None, Some(earliest)) => earliest,
        (Some(last), earliest) => following(ticks, last, earliest)?,
    };
    if bounds.latest.is_some_and(|latest| start > latest) {
        return Ok(None);
    }
    Ok(Some(DueRun::over(DataInterval { start, end: ticks.next_after(start)? })))
}

/// Where the interval after `last` starts. Aligned, because another schedule may have made the last run; one step on, if
/// that leads back to a run that exists.
fn following(ticks: &impl Ticks, last: DataInterval, earliest: Option<Timestamp>) -> Result<Timestamp, TimetableError> {
    let aligned = ticks.align_to_prev(last.end)?;
    let start = earliest.map_or(aligned, |earliest| aligned.max(earliest));
    if start > last.start {
        return Ok(start);
    }
    let start = ticks.next_after(start)?;
    if start > last.start { Ok(start) } else { Err(TimetableError::DidNotAdvance { after: last.start }) }
}

/// The last interval that is over at `run_after`.
pub(super) fn last_complete(ticks: &impl Ticks, run_after: Timestamp) -> Result<DataInterval, TimetableError> {
    let end = ticks.align_to_prev(run_after)?;
    Ok(DataInterval { start: ticks.last_before(end)?, end })
}
