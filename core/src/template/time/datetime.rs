//! An instant or a wall clock: Python's and pendulum's `datetime`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, FixedOffset, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::{OffsetName, Tz};
use minijinja::value::{DynObject, Object, ObjectRepr, Value};
use minijinja::{Error, State};

use super::calendar::{Shift, shifted};
use super::datetime_methods::{attribute, call};
use super::std_datetime::StdDateTime;
use super::strftime::strftime;
use crate::python_text::datetime_text;
use crate::template::value::refused;
use crate::time::Timestamp;

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::template) enum Zone {
    /// One with a name and rules.
    Named(Tz),
    /// A fixed distance from UTC.
    Fixed(FixedOffset),
}

impl Zone {
    /// The zone with this IANA name, or offset.
    pub(in crate::template) fn parse(name: &str) -> Result<Self, Error> {
        if let Ok(zone) = Tz::from_str(name) {
            return Ok(Self::Named(zone));
        }
        FixedOffset::from_str(name)
            .map(Self::Fixed)
            .map_err(|_| refused(format!("there is no time zone '{name}'; write an IANA name like Europe/Berlin")))
    }

    fn offset_at(self, instant: DateTime<Utc>) -> FixedOffset {
        match self {
            Self::Named(zone) => zone.offset_from_utc_datetime(&instant.naive_utc()).fix(),
            Self::Fixed(offset) => offset,
        }
    }

    /// The instant at which this zone's clocks show `local`: the first of two, and one hour on in a gap.
    fn instant_of(self, local: NaiveDateTime) -> DateTime<Utc> {
        let zone = match self {
            Self::Fixed(offset) => return (local - TimeDelta::seconds(i64::from(offset.local_minus_utc()))).and_utc(),
            Self::Named(zone) => zone,
        };
        match zone.from_local_datetime(&local) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.to_utc(),
            LocalResult::None => {
                let before = zone.offset_from_utc_datetime(&(local - TimeDelta::days(1))).fix();
                (local - TimeDelta::seconds(i64::from(before.local_minus_utc()))).and_utc()
            }
        }
    }
}

/// An instant with its zone, or a wall clock without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::template) enum DateTimeValue {
    /// With a zone.
    Aware(DateTime<Utc>, Zone),
    /// Without.
    Naive(NaiveDateTime),
}

impl DateTimeValue {
    /// An instant in UTC, as Airflow gives them to templates.
    pub(in crate::template) fn utc_value(at: Timestamp) -> Value {
        Value::from_object(Self::Aware(at.to_utc(), Zone::Named(Tz::UTC)))
    }

    /// A wall clock, at an offset if there is one.
    pub(in crate::template) fn of_parts(local: NaiveDateTime, offset: Option<FixedOffset>) -> Self {
        match offset {
            Some(offset) if offset.local_minus_utc() == 0 => Self::in_zone(local, Zone::Named(Tz::UTC)),
            Some(offset) => Self::in_zone(local, Zone::Fixed(offset)),
            None => Self::Naive(local),
        }
    }

    pub(super) fn in_zone(local: NaiveDateTime, zone: Zone) -> Self {
        Self::Aware(zone.instant_of(local), zone)
    }

    /// The wall clock.
    pub(super) fn local(&self) -> NaiveDateTime {
        match self {
            Self::Aware(instant, zone) => instant.with_timezone(&zone.offset_at(*instant)).naive_local(),
            Self::Naive(local) => *local,
        }
    }

    /// The instant; a wall clock without a zone is taken for UTC.
    pub(super) fn utc(&self) -> DateTime<Utc> {
        match self {
            Self::Aware(instant, _) => *instant,
            Self::Naive(local) => local.and_utc(),
        }
    }

    pub(super) fn offset(&self) -> Option<FixedOffset> {
        match self {
            Self::Aware(instant, zone) => Some(zone.offset_at(*instant)),
            Self::Naive(_) => None,
        }
    }

    pub(super) fn zone(&self) -> Option<Zone> {
        match self {
            Self::Aware(_, zone) => Some(*zone),
            Self::Naive(_) => None,
        }
    }

    /// `Europe/Berlin`, or `+02:00`.
    pub(super) fn zone_name(&self) -> Option<String> {
        self.zone().map(|zone| match zone {
            Zone::Named(zone) => zone.name().to_owned(),
            Zone::Fixed(offset) => crate::python_text::offset_text(offset, ":"),
        })
    }

    /// `CEST`, or `+02:00`.
    pub(super) fn zone_abbreviation(&self) -> Option<String> {
        match self {
            Self::Aware(instant, Zone::Named(zone)) => {
                let offset = zone.offset_from_utc_datetime(&instant.naive_utc());
                offset.abbreviation().map(str::to_owned)
            }
            _ => self.zone_name(),
        }
    }

    /// The same zone, another wall clock.
    pub(super) fn with_local(&self, local: NaiveDateTime) -> Self {
        match self {
            Self::Aware(_, zone) => Self::in_zone(local, *zone),
            Self::Naive(_) => Self::Naive(local),
        }
    }

    /// The same instant in another zone.
    pub(in crate::template) fn in_timezone(&self, zone: Zone) -> Self {
        Self::Aware(self.utc(), zone)
    }

    /// Months, weeks and days move the wall clock; if there are none of them, real time passes.
    pub(super) fn moved(&self, by: Shift) -> Result<Self, Error> {
        if by.months != 0 || by.days != 0 {
            return shifted(self.local(), by).map(|local| self.with_local(local));
        }
        self.after(by.micros)
    }

    /// So many microseconds of real time later.
    pub(super) fn after(&self, micros: i64) -> Result<Self, Error> {
        let by = Shift { micros, ..Shift::default() };
        match self {
            Self::Aware(instant, zone) => {
                shifted(instant.naive_utc(), by).map(|moved| Self::Aware(moved.and_utc(), *zone))
            }
            Self::Naive(local) => shifted(*local, by).map(Self::Naive),
        }
    }

    /// Microseconds from `earlier` to this one. Python refuses to mix those with and without a zone.
    pub(super) fn micros_since(&self, earlier: &Self) -> Result<i64, Error> {
        if self.offset().is_some() != earlier.offset().is_some() {
            return Err(refused("can't subtract dates of which only one has a time zone; use .replace(tzinfo=…)"));
        }
        Ok((self.utc() - earlier.utc()).num_microseconds().unwrap_or(i64::MAX))
    }

    /// `self - start`
    pub(in crate::template) fn minus(&self, start: &Self) -> Result<Value, Error> {
        match self {
            Self::Aware(..) => {
                super::delta::DeltaValue::interval(*start, *self).map(super::delta::DeltaValue::into_value)
            }
            Self::Naive(_) => {
                self.micros_since(start).map(|micros| super::delta::DeltaValue::timedelta(micros).into_value())
            }
        }
    }

    /// `self - start` where both are of Python's library.
    pub(in crate::template) fn std_minus(&self, start: &Self) -> Result<Value, Error> {
        self.micros_since(start).map(|micros| super::delta::DeltaValue::timedelta(micros).into_value())
    }

    /// About how far it is from another date, or from now.
    pub(in crate::template) fn for_humans(&self, since: Option<&Self>, now: Timestamp) -> String {
        let other = since.map_or_else(|| now.to_utc(), Self::utc);
        super::words::for_humans(self.utc().naive_utc(), other.naive_utc(), since.is_none())
    }

    /// `isoformat()`
    pub(in crate::template) fn isoformat(&self) -> String {
        datetime_text(self.local(), self.offset(), 'T')
    }

    /// `strftime(format)`
    pub(in crate::template) fn strftime(&self, format: &str) -> String {
        let name = self.zone_abbreviation().unwrap_or_default();
        strftime(self.local(), self.offset().map(|offset| (offset, name.as_str())), format)
    }
}

impl fmt::Display for DateTimeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&datetime_text(self.local(), self.offset(), ' '))
    }
}

impl Object for DateTimeValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        attribute(self, key.as_str()?)
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        call(self, method, arguments)
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let std = || other.downcast_ref::<StdDateTime>().map(|at| at.0);
        let other = other.downcast_ref::<Self>().copied().or_else(std)?;
        Some(self.utc().cmp(&other.utc()))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
