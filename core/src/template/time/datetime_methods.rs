//! Attributes and methods of dates with a time, by name.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, Timelike, Weekday};
use chrono_tz::Tz;
use minijinja::value::{Kwargs, Tuple, Value, from_args};
use minijinja::{Error, ErrorKind};

use super::calendar::{Shift, days_in_month, end_of, start_of};
use super::date::DateValue;
use super::datetime::{DateTimeValue, Zone};
use super::delta::DeltaValue;
use super::std_datetime::datetime_of;
use super::{pendulum_format, words};
use crate::python_text::datetime_text;
use crate::template::value::{python_str, refused, split_arguments};

/// The attribute with this name.
pub(super) fn attribute(at: &DateTimeValue, name: &str) -> Option<Value> {
    let local = at.local();
    let offset = || at.offset().map(|offset| offset.local_minus_utc());
    Some(match name {
        "year" => Value::from(local.year()),
        "month" => Value::from(local.month()),
        "day" => Value::from(local.day()),
        "hour" => Value::from(local.hour()),
        "minute" => Value::from(local.minute()),
        "second" => Value::from(local.second()),
        "microsecond" => Value::from(local.nanosecond() % 1_000_000_000 / 1_000),
        "day_of_week" => Value::from(local.weekday().num_days_from_monday()),
        "day_of_year" => Value::from(local.ordinal()),
        "week_of_year" => Value::from(local.iso_week().week()),
        "week_of_month" => Value::from(week_of_month(local.date())),
        "days_in_month" => Value::from(days_in_month(local.date())),
        "quarter" => Value::from((local.month() - 1) / 3 + 1),
        "int_timestamp" => Value::from(at.utc().timestamp()),
        "float_timestamp" => Value::from(timestamp(at)),
        "timezone_name" => Value::from(at.zone_name()?),
        "timezone" | "tz" | "tzinfo" => at.zone_name().map_or_else(|| Value::from(()), Value::from),
        "offset" => Value::from(offset()?),
        "offset_hours" => Value::from(f64::from(offset()?) / 3600.0),
        _ => return None,
    })
}

fn timestamp(at: &DateTimeValue) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "Python's timestamps are floats too")]
    let micros = at.utc().timestamp_micros() as f64;
    micros / 1e6
}

fn week_of_month(date: NaiveDate) -> u32 {
    let first = date.with_day(1).unwrap_or(date).weekday().num_days_from_monday();
    (date.day() + first - 1) / 7 + 1
}

/// Calls the method with this name.
pub(super) fn call(at: &DateTimeValue, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let shown = |text: String| from_args::<()>(arguments).map(|()| Value::from(text));
    match method {
        "strftime" => from_args(arguments).map(|(format,): (&str,)| Value::from(at.strftime(format))),
        "format" => from_args(arguments).map(|(p,): (&str,)| Value::from(pendulum_format::format(at, p))),
        "isoformat" => isoformat(at, arguments),
        "timestamp" => from_args(arguments).map(|()| Value::from(timestamp(at))),
        "date" => from_args(arguments).map(|()| DateValue::value(at.local().date())),
        "time" => shown(datetime_text(at.local(), None, 'T').split_once('T').map_or("", |(_, t)| t).to_owned()),
        "weekday" => from_args(arguments).map(|()| Value::from(at.local().weekday().num_days_from_monday())),
        "isoweekday" => from_args(arguments).map(|()| Value::from(at.local().weekday().number_from_monday())),
        "isocalendar" => {
            let () = from_args(arguments)?;
            let week = at.local().iso_week();
            let day = at.local().weekday().number_from_monday();
            Ok(Value::from(Tuple::from([Value::from(week.year()), Value::from(week.week()), Value::from(day)])))
        }
        "utcoffset" => {
            let () = from_args(arguments)?;
            let seconds = at.offset().map(|offset| i64::from(offset.local_minus_utc()));
            Ok(seconds.map_or_else(|| Value::from(()), |s| DeltaValue::timedelta(s * 1_000_000).into_value()))
        }
        "tzname" => shown(at.zone_abbreviation().unwrap_or_default()),
        "is_leap_year" => from_args(arguments).map(|()| Value::from(at.local().date().leap_year())),
        "is_utc" => from_args(arguments).map(|()| Value::from(at.offset().is_some_and(|o| o.local_minus_utc() == 0))),
        "add" => moved(at, arguments, 1),
        "subtract" => moved(at, arguments, -1),
        "in_timezone" | "in_tz" | "astimezone" => in_timezone(at, arguments),
        "start_of" | "end_of" => {
            let (unit,): (&str,) = from_args(arguments)?;
            let limit = if method == "start_of" { start_of } else { end_of };
            limit(unit, at.local()).map(|local| Value::from_object(at.with_local(local)))
        }
        "replace" | "set" | "on" | "at" => replaced(at, method, arguments),
        "naive" => from_args(arguments).map(|()| Value::from_object(DateTimeValue::Naive(at.local()))),
        "next" | "previous" => weekday(at, method, arguments),
        "first_of" | "last_of" => {
            let (unit,): (&str,) = from_args(arguments)?;
            let limit = if method == "first_of" { start_of } else { end_of };
            let day = start_of("day", limit(unit, at.local())?)?;
            Ok(Value::from_object(at.with_local(day)))
        }
        "diff" => {
            let (other, absolute): (Value, Option<bool>) = from_args(arguments)?;
            let other = &datetime_of(&other).ok_or_else(|| refused("diff needs a date"))?;
            let (start, end) =
                if absolute.unwrap_or(true) && other.utc() < at.utc() { (other, at) } else { (at, other) };
            DeltaValue::interval(*start, *end).map(DeltaValue::into_value)
        }
        "diff_for_humans" => {
            let (other,): (Option<Value>,) = from_args(arguments)?;
            let other = other.as_ref().and_then(datetime_of);
            let other = other.ok_or_else(|| refused("diff_for_humans needs the date to compare with"))?;
            Ok(Value::from(words::for_humans(at.utc().naive_utc(), other.utc().naive_utc(), false)))
        }
        "average" | "closest" | "farthest" => among(at, method, arguments),
        "nth_of" => {
            let (unit, nth, day): (&str, i64, u32) = from_args(arguments)?;
            let (first, last) = (start_of(unit, at.local())?, end_of(unit, at.local())?);
            let found = words::nth_weekday(first, last, nth, day);
            let found = found.ok_or_else(|| refused(format!("the {unit} has no such day of the week")))?;
            Ok(Value::from_object(at.with_local(found)))
        }
        _ => named_format(at, method).map_or_else(|| Err(Error::from(ErrorKind::UnknownMethod)), shown),
    }
}

/// The instant half way to another one, or which of several is the closest or the farthest.
fn among(at: &DateTimeValue, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let mut others: Vec<DateTimeValue> = arguments.iter().filter_map(datetime_of).collect();
    if others.is_empty() || others.len() != arguments.len() {
        return Err(refused(format!("{method} needs dates")));
    }
    if method == "average" {
        return at.after(others[0].micros_since(at)? / 2).map(Value::from_object);
    }
    others.sort_by_key(|other| (other.utc() - at.utc()).abs());
    let chosen = if method == "closest" { others.first() } else { others.last() };
    Ok(chosen.map_or_else(|| Value::from(()), |at| Value::from_object(*at)))
}

fn named_format(at: &DateTimeValue, method: &str) -> Option<String> {
    let utc = at.utc();
    let rfc3339 = |at: DateTime<chrono::FixedOffset>| at.to_rfc3339_opts(SecondsFormat::Secs, false);
    let fixed = utc.with_timezone(&at.offset().unwrap_or_else(|| chrono::Offset::fix(&chrono::Utc)));
    Some(match method {
        "to_date_string" => at.strftime("%Y-%m-%d"),
        "to_time_string" => at.strftime("%H:%M:%S"),
        "to_datetime_string" => at.strftime("%Y-%m-%d %H:%M:%S"),
        "to_formatted_date_string" => pendulum_format::format(at, "MMM DD, YYYY"),
        "to_day_datetime_string" => pendulum_format::format(at, "ddd, MMM D, YYYY h:mm A"),
        "to_iso8601_string" => {
            let text = at.isoformat();
            if at.zone_name().as_deref() == Some("UTC") { text.replace("+00:00", "Z") } else { text }
        }
        "to_atom_string" | "to_rfc3339_string" | "to_w3c_string" => rfc3339(fixed),
        "to_cookie_string" => pendulum_format::format(at, "dddd, DD-MMM-YYYY HH:mm:ss zz"),
        "to_rfc822_string" => pendulum_format::format(at, "ddd, DD MMM YY HH:mm:ss ZZ"),
        "to_rss_string" | "to_rfc2822_string" | "to_rfc1123_string" => {
            pendulum_format::format(at, "ddd, DD MMM YYYY HH:mm:ss ZZ")
        }
        "ctime" => at.strftime("%a %b %e %H:%M:%S %Y"),
        _ => return None,
    })
}

fn isoformat(at: &DateTimeValue, arguments: &[Value]) -> Result<Value, Error> {
    let (plain, named) = split_arguments(arguments)?;
    let (separator, timespec): (Option<&str>, Option<&str>) = from_args(plain)?;
    let separator = separator.map(str::to_owned).or(named.get("sep")?);
    let timespec = timespec.map(str::to_owned).or(named.get("timespec")?);
    named.assert_all_used()?;
    let separator = separator.and_then(|text| text.chars().next()).unwrap_or('T');
    let offset = at.offset().map(|offset| crate::python_text::offset_text(offset, ":")).unwrap_or_default();
    let (date, time) = (at.strftime("%Y-%m-%d"), |format: &str| at.strftime(format));
    let clock = match timespec.as_deref() {
        None | Some("auto") => return Ok(Value::from(datetime_text(at.local(), at.offset(), separator))),
        Some("hours") => time("%H"),
        Some("minutes") => time("%H:%M"),
        Some("seconds") => time("%H:%M:%S"),
        Some("milliseconds") => time("%H:%M:%S.%f").chars().take(12).collect(),
        Some("microseconds") => time("%H:%M:%S.%f"),
        Some(other) => return Err(refused(format!("'{other}' is not a timespec of isoformat"))),
    };
    Ok(Value::from(format!("{date}{separator}{clock}{offset}")))
}

/// `add(days=1)`, or `add(timedelta)`.
fn moved(at: &DateTimeValue, arguments: &[Value], sign: i64) -> Result<Value, Error> {
    let (plain, named) = split_arguments(arguments)?;
    if let [only] = plain
        && let Some(delta) = only.downcast_object_ref::<DeltaValue>()
    {
        return delta.added_to(at, sign).map(Value::from_object);
    }
    let shift = shift_of(plain, &named)?;
    let shift = Shift { months: sign * shift.months, days: sign * shift.days, micros: sign * shift.micros };
    at.moved(shift).map(Value::from_object)
}

/// `years, months, weeks, days, hours, minutes, seconds, microseconds`, by place or by name.
pub(super) fn shift_of(plain: &[Value], named: &Kwargs) -> Result<Shift, Error> {
    const UNITS: [&str; 8] = ["years", "months", "weeks", "days", "hours", "minutes", "seconds", "microseconds"];
    let mut amounts = [0.0_f64; 8];
    if plain.len() > UNITS.len() {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    for (place, unit) in UNITS.iter().enumerate() {
        let given = match plain.get(place) {
            Some(value) => Some(f64::try_from(value.clone())?),
            None => named.get::<Option<f64>>(unit)?,
        };
        amounts[place] = given.unwrap_or(0.0);
    }
    named.assert_all_used()?;
    let [years, months, weeks, days, hours, minutes, seconds, micros] = amounts;
    let (months, all_days) = (years * 12.0 + months, weeks * 7.0 + days);
    let days = all_days.trunc();
    let micros = (((all_days - days) * 24.0 + hours) * 3600.0 + minutes * 60.0 + seconds) * 1e6 + micros;
    if [months, days, micros].iter().any(|amount| !amount.is_finite() || amount.abs() > 4e17) {
        return Err(refused("the span of time is out of range"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
    Ok(Shift { months: months as i64, days: days as i64, micros: micros.round() as i64 })
}

fn in_timezone(at: &DateTimeValue, arguments: &[Value]) -> Result<Value, Error> {
    let (zone,): (Option<Value>,) = from_args(arguments)?;
    let zone = match zone {
        Some(name) => Zone::parse(&python_str(&name)?)?,
        None => Zone::Named(Tz::UTC),
    };
    Ok(Value::from_object(at.in_timezone(zone)))
}

fn replaced(at: &DateTimeValue, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    const FIELDS: [&str; 7] = ["year", "month", "day", "hour", "minute", "second", "microsecond"];
    let (plain, named) = split_arguments(arguments)?;
    let first = if method == "at" { 3 } else { 0 };
    let local = at.local();
    let mut fields = [
        i64::from(local.year()),
        i64::from(local.month()),
        i64::from(local.day()),
        i64::from(local.hour()),
        i64::from(local.minute()),
        i64::from(local.second()),
        i64::from(local.nanosecond() % 1_000_000_000 / 1_000),
    ];
    if method == "at" {
        fields[4..].fill(0);
    }
    for (place, field) in FIELDS.iter().enumerate() {
        let by_place = place.checked_sub(first).and_then(|place| plain.get(place));
        if let Some(value) = by_place {
            fields[place] = i64::try_from(value.clone())?;
        } else if let Some(value) = named.get::<Option<i64>>(field)? {
            fields[place] = value;
        }
    }
    let zone = named.get::<Option<Value>>("tzinfo")?.or(named.get::<Option<Value>>("tz")?);
    named.assert_all_used()?;
    let local = of_fields(fields)?;
    Ok(Value::from_object(match zone {
        Some(none) if none.is_none() => DateTimeValue::Naive(local),
        Some(name) => DateTimeValue::in_zone(local, Zone::parse(&python_str(&name)?)?),
        None => at.with_local(local),
    }))
}

/// A wall clock from year, month, day, hour, minute, second and microsecond.
pub(super) fn of_fields(fields: [i64; 7]) -> Result<NaiveDateTime, Error> {
    let part = |place: usize| u32::try_from(fields[place]).ok();
    let date = || NaiveDate::from_ymd_opt(i32::try_from(fields[0]).ok()?, part(1)?, part(2)?);
    let time = || NaiveTime::from_hms_micro_opt(part(3)?, part(4)?, part(5)?, part(6)?);
    match (date().filter(|date| (1..=9999).contains(&date.year())), time()) {
        (Some(date), Some(time)) => Ok(date.and_time(time)),
        _ => Err(refused(format!("there is no such date or time: {fields:?}"))),
    }
}

/// The next or last such day of the week (0 is Monday), at midnight; without an argument the same day of the week.
fn weekday(at: &DateTimeValue, method: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (wanted,): (Option<u8>,) = from_args(arguments)?;
    let midnight = start_of("day", at.local())?;
    let today = midnight.weekday();
    let wanted = match wanted {
        Some(number) => Weekday::try_from(number).map_err(|_| refused("days of the week are 0 (Monday) to 6"))?,
        None => today,
    };
    let days = i64::from(match method {
        "next" => wanted.days_since(today),
        _ => today.days_since(wanted),
    });
    let days = if days == 0 { 7 } else { days };
    let days = if method == "next" { days } else { -days };
    at.with_local(midnight).moved(Shift { days, ..Shift::default() }).map(Value::from_object)
}
