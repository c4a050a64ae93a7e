//! Python's text form of values, where a user or a hash sees it.

use chrono::{DateTime, FixedOffset, NaiveDateTime, Offset, TimeZone, Timelike};

/// `str(datetime)`: `2024-03-10 00:00:00+00:00`, with six digits of microseconds where there are any.
#[must_use]
pub fn datetime_str(at: &DateTime<FixedOffset>) -> String {
    datetime_text(at.naive_local(), Some(*at.offset()), ' ')
}

/// `datetime.isoformat()`: the same with a `T`.
#[must_use]
pub fn datetime_isoformat(at: &DateTime<FixedOffset>) -> String {
    datetime_text(at.naive_local(), Some(*at.offset()), 'T')
}

/// A wall clock with or without its offset, as Python writes it.
#[must_use]
pub fn datetime_text(local: NaiveDateTime, offset: Option<FixedOffset>, separator: char) -> String {
    let mut text = local.format(&format!("%Y-%m-%d{separator}%H:%M:%S")).to_string();
    let micros = local.nanosecond() % 1_000_000_000 / 1_000;
    if micros != 0 {
        text.push_str(&format!(".{micros:06}"));
    }
    if let Some(offset) = offset {
        text.push_str(&offset_text(offset, ":"));
    }
    text
}

/// `+05:30`, or `+0530` without a separator; seconds only where there are any.
#[must_use]
pub fn offset_text(offset: FixedOffset, separator: &str) -> String {
    let seconds = offset.local_minus_utc();
    let sign = if seconds < 0 { '-' } else { '+' };
    let (minutes, rest) = (seconds.abs() / 60, seconds.abs() % 60);
    let text = format!("{sign}{:02}{separator}{:02}", minutes / 60, minutes % 60);
    if rest == 0 { text } else { format!("{text}{separator}{rest:02}") }
}

/// The offset that is in force in a zone at an instant, as a fixed one.
#[must_use]
pub fn fixed<Z: TimeZone>(at: &DateTime<Z>) -> DateTime<FixedOffset> {
    at.with_timezone(&at.offset().fix())
}

/// `repr(float)`: the shortest digits that read back as the same number; `1e+20`, `0.0001`, `1.0`.
#[must_use]
pub fn float_repr(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf".to_owned() } else { "-inf".to_owned() };
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let text = number.to_string();
        return if text.contains('.') { text } else { format!("{text}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// `repr(str)`: in single quotes unless only those occur in it.
#[must_use]
pub fn str_repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() && u32::from(c) < 0x100 => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}
