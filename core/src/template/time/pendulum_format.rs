//! pendulum's `format`: `YYYY-MM-DD HH:mm`.

use std::fmt::Write as _;

use chrono::{Datelike, NaiveDateTime, Timelike};

use super::datetime::DateTimeValue;
use crate::python_text::offset_text;

/// Tokens, longest first.
const TOKENS: [&str; 49] = [
    "SSSSSS", "SSSSS", "dddd", "DDDD", "MMMM", "SSSS", "YYYY", "LLLL", "DDD", "ddd", "MMM", "SSS", "LTS", "LLL", "YY",
    "Qo", "MM", "Mo", "DD", "Do", "dd", "HH", "hh", "mm", "ss", "SS", "ZZ", "zz", "LT", "LL", "do", "Y", "Q", "M", "D",
    "d", "E", "H", "h", "m", "s", "S", "A", "a", "Z", "z", "X", "x", "L",
];

/// `at.format(pattern)`; text in square brackets stays as it is.
pub(super) fn format(at: &DateTimeValue, pattern: &str) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if let Some((escaped, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            out.push_str(escaped);
            rest = after;
        } else if let Some(token) = TOKENS.iter().find(|token| rest.starts_with(**token)) {
            out.push_str(&written(at, token));
            rest = &rest[token.len()..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

fn written(at: &DateTimeValue, token: &str) -> String {
    let local = at.local();
    match token {
        "A" => if local.hour() < 12 { "AM" } else { "PM" }.to_owned(),
        "a" => if local.hour() < 12 { "am" } else { "pm" }.to_owned(),
        "ZZ" | "Z" => {
            let separator = if token == "Z" { ":" } else { "" };
            at.offset().map(|offset| offset_text(offset, separator)).unwrap_or_default()
        }
        "zz" => at.zone_abbreviation().unwrap_or_default(),
        "z" => at.zone_name().unwrap_or_default(),
        "X" => at.utc().timestamp().to_string(),
        "x" => at.utc().timestamp_millis().to_string(),
        "LTS" => format(at, "h:mm:ss A"),
        "LT" => format(at, "h:mm A"),
        "L" => format(at, "MM/DD/YYYY"),
        "LL" => format(at, "MMMM D, YYYY"),
        "LLL" => format(at, "MMMM D, YYYY h:mm A"),
        "LLLL" => format(at, "dddd, MMMM D, YYYY h:mm A"),
        _ => date_token(local, token).unwrap_or_else(|| time_token(local, token)),
    }
}

fn date_token(local: NaiveDateTime, token: &str) -> Option<String> {
    let named = |format: &str| local.format(format).to_string();
    let quarter = (local.month() - 1) / 3 + 1;
    Some(match token {
        "YYYY" => format!("{:04}", local.year()),
        "YY" => format!("{:02}", local.year().rem_euclid(100)),
        "Y" => local.year().to_string(),
        "Qo" => ordinal(quarter),
        "Q" => quarter.to_string(),
        "MMMM" => named("%B"),
        "MMM" => named("%b"),
        "MM" => format!("{:02}", local.month()),
        "Mo" => ordinal(local.month()),
        "M" => local.month().to_string(),
        "DDDD" => format!("{:03}", local.ordinal()),
        "DDD" => local.ordinal().to_string(),
        "DD" => format!("{:02}", local.day()),
        "Do" => ordinal(local.day()),
        "D" => local.day().to_string(),
        "dddd" => named("%A"),
        "ddd" => named("%a"),
        "dd" => named("%a").chars().take(2).collect(),
        "do" => ordinal(local.weekday().num_days_from_monday() + 1),
        "d" => local.weekday().num_days_from_sunday().to_string(),
        "E" => local.weekday().number_from_monday().to_string(),
        _ => return None,
    })
}

fn time_token(local: NaiveDateTime, token: &str) -> String {
    let twelve = (local.hour() + 11) % 12 + 1;
    match token {
        "HH" => format!("{:02}", local.hour()),
        "H" => local.hour().to_string(),
        "hh" => format!("{twelve:02}"),
        "h" => twelve.to_string(),
        "mm" => format!("{:02}", local.minute()),
        "m" => local.minute().to_string(),
        "ss" => format!("{:02}", local.second()),
        "s" => local.second().to_string(),
        fraction => {
            let mut digits = String::new();
            let _ = write!(digits, "{:06}", local.nanosecond() % 1_000_000_000 / 1_000);
            digits.truncate(fraction.len());
            digits
        }
    }
}

fn ordinal(number: u32) -> String {
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}
