//! `strftime`, with Python's directives.

use std::fmt::Write as _;

use chrono::format::{Item, StrftimeItems};
use chrono::{FixedOffset, NaiveDateTime, TimeZone, Timelike, Utc};

use crate::python_text::offset_text;

/// `strftime(format)` of a wall clock, with its offset and zone name where it has them. An unknown directive stays as it
/// is.
pub(super) fn strftime(local: NaiveDateTime, zone: Option<(FixedOffset, &str)>, format: &str) -> String {
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let (directive, after) = split_directive(&rest[at..]);
        write_directive(&mut out, local, zone, directive);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// `%d`, or `%-d` without padding.
fn split_directive(text: &str) -> (&str, &str) {
    let mut ends = text.char_indices().skip(1);
    let flagged = matches!(text.as_bytes().get(1), Some(b'-' | b'_' | b'0' | b':'));
    let length = ends.nth(usize::from(flagged)).map_or(text.len(), |(at, c)| at + c.len_utf8());
    text.split_at(length)
}

fn write_directive(out: &mut String, local: NaiveDateTime, zone: Option<(FixedOffset, &str)>, directive: &str) {
    match directive {
        "%f" => {
            let _ = write!(out, "{:06}", local.nanosecond() % 1_000_000_000 / 1_000);
        }
        "%z" => out.push_str(&zone.map(|(offset, _)| offset_text(offset, "")).unwrap_or_default()),
        "%:z" => out.push_str(&zone.map(|(offset, _)| offset_text(offset, ":")).unwrap_or_default()),
        "%Z" => out.push_str(zone.map(|(_, name)| name).unwrap_or_default()),
        "%s" => {
            let seconds = local.and_utc().timestamp() - zone.map_or(0, |(o, _)| i64::from(o.local_minus_utc()));
            out.push_str(&seconds.to_string());
        }
        "%+" | "%v" => out.push_str(directive),
        _ => {
            let items: Vec<_> = StrftimeItems::new(directive).collect();
            if items.iter().any(|item| matches!(item, Item::Error)) {
                out.push_str(directive);
            } else {
                // The offset cannot be asked for here, so any will do.
                let at = Utc.from_utc_datetime(&local);
                let _ = write!(out, "{}", at.format_with_items(items.into_iter()));
            }
        }
    }
}
