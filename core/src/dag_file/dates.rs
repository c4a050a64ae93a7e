//! TOML dates as instants.

use chrono::{Duration, NaiveDate, NaiveDateTime, NaiveTime};
use chrono_tz::Tz;
use toml::value::{Datetime, Offset};

use super::reader::Fields;
use super::reporter::{Finding, Reporter};
use crate::time::Timestamp;

/// A date or date-time; a local one is in `zone`, a date is its midnight.
pub(super) fn instant(fields: &Fields<'_>, key: &str, zone: Tz, reporter: &mut Reporter<'_>) -> Option<Timestamp> {
    let node = fields.get(key)?;
    let Some(written) = node.get_ref().as_datetime() else {
        let finding = super::reader::wrong_kind(key, node, "a date or a date-time");
        reporter.add(finding.help(format!("write it without quotes: {key} = 2026-01-31 or 2026-01-31T06:00:00")));
        return None;
    };
    let instant = resolve(written, zone);
    if instant.is_none() {
        reporter.add(Finding::error(node.span(), format!("'{key}' must have a date")));
    }
    instant
}

/// A date or date-time as a person types it, in the forms that a DAG file takes; a local one is in `zone`.
#[must_use]
pub fn instant_from_text(text: &str, zone: Tz) -> Option<Timestamp> {
    resolve(&text.parse().ok()?, zone)
}

fn resolve(written: &Datetime, zone: Tz) -> Option<Timestamp> {
    let date = written.date?;
    let date = NaiveDate::from_ymd_opt(i32::from(date.year), u32::from(date.month), u32::from(date.day))?;
    let time = match written.time {
        Some(time) => {
            let (second, nanosecond) = (time.second.unwrap_or(0), time.nanosecond.unwrap_or(0));
            // A leap second is the first instant of the next minute.
            let leap = i64::from(second == 60);
            let second = u32::from(second.min(59));
            let time = NaiveTime::from_hms_nano_opt(u32::from(time.hour), u32::from(time.minute), second, nanosecond)?;
            return zoned(date.and_time(time) + Duration::seconds(leap), written.offset, zone);
        }
        None => NaiveTime::MIN,
    };
    zoned(date.and_time(time), written.offset, zone)
}

fn zoned(local: NaiveDateTime, offset: Option<Offset>, zone: Tz) -> Option<Timestamp> {
    let minutes = match offset {
        Some(Offset::Z) => 0,
        Some(Offset::Custom { minutes }) => i64::from(minutes),
        None => return crate::timetable::instant(local, zone).ok(),
    };
    Some(local.checked_sub_signed(Duration::minutes(minutes))?.and_utc().into())
}
