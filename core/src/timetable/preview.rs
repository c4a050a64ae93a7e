//! A look ahead, for people.

use super::error::TimetableError;
use super::{Bounds, DueRun, Timetable};
use crate::run::DataInterval;
use crate::time::Timestamp;

/// The next `count` runs, as far as there are any; nothing is created.
///
/// # Errors
/// If the very first cannot be found. A later error ends the list.
pub fn preview(
    timetable: &Timetable,
    bounds: &Bounds,
    last: Option<DataInterval>,
    now: Timestamp,
    count: usize,
) -> Result<Vec<DueRun>, TimetableError> {
    let mut runs: Vec<DueRun> = Vec::new();
    let mut last = last;
    while runs.len() < count {
        let next = match timetable.next_run(last, bounds, now) {
            Err(error) if runs.is_empty() => return Err(error),
            Ok(Some(run)) if runs.last() != Some(&run) => run,
            _ => break,
        };
        last = next.data_interval;
        runs.push(next);
    }
    Ok(runs)
}
