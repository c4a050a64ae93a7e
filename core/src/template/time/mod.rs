//! Dates, times and spans of time, as Python's `datetime` and pendulum have them.

mod calendar;
mod date;
mod datetime;
mod datetime_methods;
mod delta;
mod pendulum_format;
mod std_datetime;
mod strftime;
mod strptime;
mod words;

pub(super) use date::DateValue;
pub(super) use datetime::{DateTimeValue, Zone};
pub(super) use delta::DeltaValue;
pub(super) use std_datetime::{StdDateTime, datetime_like, datetime_of};
pub(super) use strptime::{parse_iso, strptime};
