//! Spans of time in words, as pendulum says them in English.
//!
//! Source: pendulum's `Interval.in_words` and `DifferenceFormatter`.

use chrono::{Datelike, Months, NaiveDateTime, Timelike};

/// A span in calendar units, each smaller than the next greater one.
struct Parts {
    years: i64,
    months: i64,
    weeks: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
    micros: i64,
}

/// From the earlier to the later wall clock, whole months first.
fn parts(earlier: NaiveDateTime, later: NaiveDateTime) -> Parts {
    let month = |at: NaiveDateTime| i64::from(at.year()) * 12 + i64::from(at.month());
    let moved = |months: i64| earlier.checked_add_months(Months::new(u32::try_from(months.max(0)).unwrap_or_default()));
    let mut months = month(later) - month(earlier);
    if moved(months).is_none_or(|at| at > later) {
        months -= 1;
    }
    let rest = later - moved(months).unwrap_or(earlier);
    let seconds = rest.num_seconds();
    Parts {
        years: months / 12,
        months: months % 12,
        weeks: seconds / 604_800,
        days: seconds / 86_400 % 7,
        hours: seconds / 3_600 % 24,
        minutes: seconds / 60 % 60,
        seconds: seconds % 60,
        micros: i64::from(rest.subsec_nanos()) / 1_000,
    }
}

fn counted(count: i64, unit: &str) -> String {
    format!("{count} {unit}{}", if count.abs() == 1 { "" } else { "s" })
}

/// `in_words()`: "2 weeks 3 days 1 hour".
pub(super) fn in_words(start: NaiveDateTime, end: NaiveDateTime) -> String {
    let sign = if end < start { -1 } else { 1 };
    let parts = parts(start.min(end), start.max(end));
    let units = [
        (parts.years, "year"),
        (parts.months, "month"),
        (parts.weeks, "week"),
        (parts.days, "day"),
        (parts.hours, "hour"),
        (parts.minutes, "minute"),
        (parts.seconds, "second"),
    ];
    let named: Vec<String> =
        units.into_iter().filter(|(count, _)| *count != 0).map(|(count, unit)| counted(sign * count, unit)).collect();
    match (named.is_empty(), parts.micros) {
        (false, _) => named.join(" "),
        (true, 0) => "0 microseconds".to_owned(),
        (true, micros) => format!("0.{:02} second", micros / 10_000),
    }
}

/// `diff_for_humans()`: about how far `at` is from `other`, or from now.
pub(super) fn for_humans(at: NaiveDateTime, other: NaiveDateTime, from_now: bool) -> String {
    let about = about(&parts(at.min(other), at.max(other)));
    match (from_now, at > other) {
        (true, true) => format!("in {about}"),
        (true, false) => format!("{about} ago"),
        (false, true) => format!("{about} after"),
        (false, false) => format!("{about} before"),
    }
}

fn about(parts: &Parts) -> String {
    let days = parts.weeks * 7 + parts.days;
    let rounded = |count: i64, up: bool| count + i64::from(up);
    if parts.years > 0 {
        counted(rounded(parts.years, parts.months > 6), "year")
    } else if parts.months == 11 && days > 15 {
        counted(1, "year")
    } else if parts.months > 0 {
        counted(rounded(parts.months, days >= 27), "month")
    } else if parts.weeks > 0 {
        counted(rounded(parts.weeks, parts.days > 3), "week")
    } else if parts.days > 0 {
        counted(rounded(parts.days, parts.hours >= 22), "day")
    } else if parts.hours > 0 {
        counted(parts.hours, "hour")
    } else if parts.minutes > 0 {
        counted(parts.minutes, "minute")
    } else if parts.seconds > 10 {
        counted(parts.seconds, "second")
    } else {
        "a few seconds".to_owned()
    }
}

/// The n-th such day of the week (0 is Monday) of the unit that begins at `first` and ends with `last`; none if it has
/// fewer.
pub(super) fn nth_weekday(first: NaiveDateTime, last: NaiveDateTime, nth: i64, weekday: u32) -> Option<NaiveDateTime> {
    let ahead = (7 + i64::from(weekday) - i64::from(first.weekday().num_days_from_monday())) % 7;
    let days = nth.checked_sub(1)?.checked_mul(7)?.checked_add(ahead).filter(|days| (0..4_000_000).contains(days))?;
    let day = first.with_hour(0)?.checked_add_signed(chrono::Duration::days(days))?;
    (nth > 0 && day <= last).then_some(day)
}
