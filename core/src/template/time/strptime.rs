//! `datetime.strptime`, and reading of ISO 8601 dates.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime};
use minijinja::Error;

use crate::template::value::refused;

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// What was read so far.
struct Fields {
    year: i32,
    month: u32,
    day: u32,
    day_of_year: Option<u32>,
    hour: u32,
    minute: u32,
    second: u32,
    micros: u32,
    afternoon: Option<bool>,
    offset: Option<FixedOffset>,
}

/// `datetime.strptime(text, format)`: the wall clock, and the offset if `%z` was read.
pub(in crate::template) fn strptime(text: &str, format: &str) -> Result<(NaiveDateTime, Option<FixedOffset>), Error> {
    let mismatch = || refused(format!("time data '{text}' does not match format '{format}'"));
    let mut fields = Fields {
        year: 1900,
        month: 1,
        day: 1,
        day_of_year: None,
        hour: 0,
        minute: 0,
        second: 0,
        micros: 0,
        afternoon: None,
        offset: None,
    };
    let mut rest = text;
    let mut directives = format.chars();
    while let Some(c) = directives.next() {
        if c == '%' {
            let directive = directives.next().ok_or_else(|| refused("a format cannot end with '%'"))?;
            rest = read_directive(&mut fields, directive, rest).ok_or_else(mismatch)?;
        } else if c.is_whitespace() {
            rest = rest.trim_start();
        } else {
            rest = rest.strip_prefix(c).ok_or_else(mismatch)?;
        }
    }
    if !rest.is_empty() {
        return Err(refused(format!("time data '{text}' does not match format '{format}': '{rest}' remains")));
    }
    assemble(&fields).map(|at| (at, fields.offset)).ok_or_else(mismatch)
}

fn assemble(fields: &Fields) -> Option<NaiveDateTime> {
    let date = match fields.day_of_year {
        Some(day) => NaiveDate::from_yo_opt(fields.year, day)?,
        None => NaiveDate::from_ymd_opt(fields.year, fields.month, fields.day)?,
    };
    let hour = match fields.afternoon {
        Some(true) if fields.hour < 12 => fields.hour + 12,
        Some(false) if fields.hour == 12 => 0,
        _ => fields.hour,
    };
    Some(date.and_time(NaiveTime::from_hms_micro_opt(hour, fields.minute, fields.second.min(59), fields.micros)?))
}

fn read_directive<'a>(fields: &mut Fields, directive: char, text: &'a str) -> Option<&'a str> {
    let rest;
    match directive {
        'Y' => {
            let (year, after) = number(text, 4)?;
            fields.year = i32::try_from(year).ok()?;
            (text.len() - after.len() == 4).then_some(())?;
            rest = after;
        }
        'y' => {
            let (year, after) = number(text, 2)?;
            fields.year = i32::try_from(if year < 69 { 2000 + year } else { 1900 + year }).ok()?;
            rest = after;
        }
        'm' => (fields.month, rest) = number(text, 2)?,
        'd' => (fields.day, rest) = number(text, 2)?,
        'H' | 'I' => (fields.hour, rest) = number(text, 2)?,
        'M' => (fields.minute, rest) = number(text, 2)?,
        'S' => (fields.second, rest) = number(text, 2)?,
        'j' => {
            let (day, after) = number(text, 3)?;
            fields.day_of_year = Some(day);
            rest = after;
        }
        'f' => {
            let (digits, after) = number(text, 6)?;
            let missing = 6_u32.saturating_sub(u32::try_from(text.len() - after.len()).ok()?);
            fields.micros = digits * 10_u32.pow(missing);
            rest = after;
        }
        'B' | 'b' => {
            let (month, after) = name(text, &MONTHS, directive == 'b')?;
            fields.month = month + 1;
            rest = after;
        }
        'A' | 'a' => (_, rest) = name(text, &DAYS, directive == 'a')?,
        'p' => {
            let (half, after) = name(text, &["am", "pm"], false)?;
            fields.afternoon = Some(half == 1);
            rest = after;
        }
        'z' => {
            let (offset, after) = offset(text)?;
            fields.offset = Some(offset);
            rest = after;
        }
        '%' => rest = text.strip_prefix('%')?,
        _ => return None,
    }
    Some(rest)
}

/// One to `most` digits.
fn number(text: &str, most: usize) -> Option<(u32, &str)> {
    let digits = text.bytes().take(most).take_while(u8::is_ascii_digit).count();
    Some((text[..digits].parse().ok()?, &text[digits..]))
}

fn name<'a>(text: &'a str, names: &[&str], short: bool) -> Option<(u32, &'a str)> {
    let place = names.iter().position(|name| {
        let name = if short { &name[..3] } else { name };
        text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
    })?;
    let length = if short { 3 } else { names[place].len() };
    Some((u32::try_from(place).ok()?, &text[length..]))
}

/// `Z`, `+0530` or `+05:30`.
fn offset(text: &str) -> Option<(FixedOffset, &str)> {
    if let Some(rest) = text.strip_prefix(['Z', 'z']) {
        return Some((FixedOffset::east_opt(0)?, rest));
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, rest) = number(&text[1..], 2)?;
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    let (minutes, rest) = number(rest, 2).unwrap_or((0, rest));
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    Some((FixedOffset::east_opt(sign * seconds)?, rest))
}

/// Reads what `datetime.fromisoformat` reads, and dates that only lack leading zeros or the `T`.
pub(in crate::template) fn parse_iso(text: &str) -> Result<(NaiveDateTime, Option<FixedOffset>), Error> {
    let text = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok((at.naive_local(), Some(*at.offset())));
    }
    const FORMATS: [&str; 14] = [
        "%Y-%m-%d",
        "%Y-%m-%dT%H:%M:%S%z",
        "%Y-%m-%dT%H:%M:%S.%f%z",
        "%Y-%m-%dT%H:%M:%S.%f",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%dT%H:%M%z",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%dT%H",
        "%Y-%m-%d %H:%M:%S.%f%z",
        "%Y-%m-%d %H:%M:%S%z",
        "%Y-%m-%d %H:%M:%S.%f",
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%d %H:%M",
        "%Y%m%dT%H%M%S",
    ];
    let compact = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit());
    let formats = compact.then_some("%Y%m%d").into_iter().chain(FORMATS);
    formats
        .into_iter()
        .find_map(|format| strptime(text, format).ok())
        .ok_or_else(|| refused(format!("'{text}' is not a date; write it like 2024-03-10T00:00:00+00:00")))
}
