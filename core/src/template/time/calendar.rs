//! Calendar arithmetic on wall clocks.

use chrono::{Datelike, Duration, Months, NaiveDate, NaiveDateTime, NaiveTime};
use minijinja::Error;

use crate::template::value::refused;

/// Years and months, then everything of fixed length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::template) struct Shift {
    pub(super) months: i64,
    pub(super) days: i64,
    pub(super) micros: i64,
}

fn out_of_range() -> Error {
    refused("the date is out of range: years 1 to 9999 are possible")
}

/// Moves a wall clock. A day that the target month does not have becomes its last one.
pub(super) fn shifted(at: NaiveDateTime, by: Shift) -> Result<NaiveDateTime, Error> {
    let months = u32::try_from(by.months.unsigned_abs()).map_err(|_| out_of_range())?;
    let moved = if by.months < 0 {
        at.checked_sub_months(Months::new(months))
    } else {
        at.checked_add_months(Months::new(months))
    };
    let days = Duration::try_days(by.days).ok_or_else(out_of_range)?;
    let moved = moved
        .and_then(|at| at.checked_add_signed(days))
        .and_then(|at| at.checked_add_signed(Duration::microseconds(by.micros)));
    moved.filter(|at| (1..=9999).contains(&at.year())).ok_or_else(out_of_range)
}

/// The first instant of the unit that holds `at`.
pub(super) fn start_of(unit: &str, at: NaiveDateTime) -> Result<NaiveDateTime, Error> {
    let (date, time) = (at.date(), at.time());
    let clock = |h, m, s| NaiveTime::from_hms_opt(h, m, s).unwrap_or_default();
    use chrono::Timelike;
    let midnight = |date: Option<NaiveDate>| date.map(|date| date.and_time(NaiveTime::MIN)).ok_or_else(out_of_range);
    match unit {
        "second" => Ok(date.and_time(clock(time.hour(), time.minute(), time.second()))),
        "minute" => Ok(date.and_time(clock(time.hour(), time.minute(), 0))),
        "hour" => Ok(date.and_time(clock(time.hour(), 0, 0))),
        "day" => midnight(Some(date)),
        "week" => midnight(date.checked_sub_days(chrono::Days::new(u64::from(date.weekday().num_days_from_monday())))),
        "month" => midnight(date.with_day(1)),
        "year" => midnight(NaiveDate::from_ymd_opt(date.year(), 1, 1)),
        "decade" => midnight(NaiveDate::from_ymd_opt(date.year() - date.year().rem_euclid(10), 1, 1)),
        "century" => midnight(NaiveDate::from_ymd_opt(date.year() - 1 - (date.year() - 1).rem_euclid(100) + 1, 1, 1)),
        other => Err(refused(format!(
            "'{other}' is not a unit; second, minute, hour, day, week, month, year, decade and century are"
        ))),
    }
}

/// The last microsecond of the unit that holds `at`.
pub(super) fn end_of(unit: &str, at: NaiveDateTime) -> Result<NaiveDateTime, Error> {
    let length = match unit {
        "second" => Shift { micros: 1_000_000, ..Shift::default() },
        "minute" => Shift { micros: 60_000_000, ..Shift::default() },
        "hour" => Shift { micros: 3_600_000_000, ..Shift::default() },
        "day" => Shift { days: 1, ..Shift::default() },
        "week" => Shift { days: 7, ..Shift::default() },
        "month" => Shift { months: 1, ..Shift::default() },
        "year" => Shift { months: 12, ..Shift::default() },
        "decade" => Shift { months: 120, ..Shift::default() },
        _ => Shift { months: 1200, ..Shift::default() },
    };
    let next = shifted(start_of(unit, at)?, length)?;
    shifted(next, Shift { micros: -1, ..Shift::default() })
}

/// How many days the month of `date` has.
pub(super) fn days_in_month(date: NaiveDate) -> u32 {
    let first = date.with_day(1).unwrap_or(date);
    let next = first.checked_add_months(Months::new(1)).unwrap_or(first);
    u32::try_from((next - first).num_days()).unwrap_or(31)
}
