//! The calendar that schedules live in: Python's years 1 to 9999, the wall clock of a zone, and what happens where it
//! jumps.

use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};

use super::error::TimetableError;
use crate::time::Timestamp;

/// The calendar form of an instant. A day at each end of the calendar is left out, so that any zone can show it.
pub(super) fn to_calendar(at: Timestamp) -> Result<DateTime<Utc>, TimetableError> {
    checked(DateTime::from_timestamp_micros(at.as_micros())).map(|_| at.to_utc())
}

/// An instant, if it came out within the calendar.
pub(super) fn checked(at: Option<DateTime<Utc>>) -> Result<Timestamp, TimetableError> {
    let inside = |at: &DateTime<Utc>| {
        let next = at.checked_add_days(Days::new(1));
        let previous = at.checked_sub_days(Days::new(1));
        next.is_some_and(|at| at.year() <= 9999) && previous.is_some_and(|at| at.year() >= 1)
    };
    at.filter(inside).map(Timestamp::from).ok_or(TimetableError::OutOfRange)
}

/// An instant moved by microseconds.
pub(super) fn shifted(at: Timestamp, micros: i64) -> Result<Timestamp, TimetableError> {
    checked(to_calendar(at)?.checked_add_signed(TimeDelta::microseconds(micros)))
}

/// What a clock on a wall in this zone shows.
pub(super) fn wall_clock(at: Timestamp, zone: Tz) -> Result<NaiveDateTime, TimetableError> {
    Ok(to_calendar(at)?.with_timezone(&zone).naive_local())
}

/// The instant at which the wall clock shows `wall`, as Airflow chooses it: the second one of two if it shows it twice;
/// if it never does, the instant at which it would have, had it not jumped.
pub(crate) fn instant(wall: NaiveDateTime, zone: Tz) -> Result<Timestamp, TimetableError> {
    let at = match zone.from_local_datetime(&wall) {
        LocalResult::Single(at) | LocalResult::Ambiguous(_, at) => Some(at.with_timezone(&Utc)),
        LocalResult::None => GapInfo::new(&wall, &zone).and_then(|gap| {
            let (_, before) = gap.begin?;
            let offset = chrono::Offset::fix(&before).local_minus_utc();
            Some(wall.checked_sub_signed(TimeDelta::seconds(i64::from(offset)))?.and_utc())
        }),
    };
    checked(at)
}
