//! Spans of time: `timedelta`, pendulum's `Interval` and dateutil's `relativedelta`.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{DynObject, Object, ObjectRepr, Value, from_args};
use minijinja::{Error, ErrorKind, State};

use super::calendar::Shift;
use super::datetime::DateTimeValue;
use super::datetime_methods::shift_of;
use crate::template::value::{refused, split_arguments};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::template) enum DeltaValue {
    /// `datetime.timedelta`, in microseconds.
    Timedelta(i64),
    /// The span between two dates.
    Interval {
        /// From.
        start: DateTimeValue,
        /// To.
        end: DateTimeValue,
        /// Microseconds between them.
        micros: i64,
    },
    /// `relativedelta`: months are as long as they are.
    Relative(Shift),
}

impl DeltaValue {
    pub(in crate::template) fn timedelta(micros: i64) -> Self {
        Self::Timedelta(micros)
    }

    pub(super) fn interval(start: DateTimeValue, end: DateTimeValue) -> Result<Self, Error> {
        Ok(Self::Interval { start, end, micros: end.micros_since(&start)? })
    }

    pub(in crate::template) fn into_value(self) -> Value {
        Value::from_object(self)
    }

    /// `timedelta(days, seconds, microseconds, milliseconds, minutes, hours, weeks)`
    pub(in crate::template) fn of_timedelta_arguments(arguments: &[Value]) -> Result<Self, Error> {
        const UNITS: [(&str, f64); 7] = [
            ("days", 86_400e6),
            ("seconds", 1e6),
            ("microseconds", 1.0),
            ("milliseconds", 1e3),
            ("minutes", 60e6),
            ("hours", 3_600e6),
            ("weeks", 7.0 * 86_400e6),
        ];
        let (plain, named) = split_arguments(arguments)?;
        if plain.len() > UNITS.len() {
            return Err(Error::from(ErrorKind::TooManyArguments));
        }
        let mut micros = 0.0;
        for (place, (unit, length)) in UNITS.iter().enumerate() {
            let given = match plain.get(place) {
                Some(value) => Some(f64::try_from(value.clone())?),
                None => named.get::<Option<f64>>(unit)?,
            };
            micros += given.unwrap_or(0.0) * length;
        }
        named.assert_all_used()?;
        of_micros(micros).map(Self::Timedelta)
    }

    /// `relativedelta(years=…, months=…, …)`
    pub(in crate::template) fn of_relativedelta_arguments(arguments: &[Value]) -> Result<Self, Error> {
        let (plain, named) = split_arguments(arguments)?;
        const ABSOLUTE: [&str; 8] = ["year", "month", "day", "hour", "minute", "second", "microsecond", "weekday"];
        if let Some(name) = ABSOLUTE.iter().find(|name| named.has(name)) {
            return Err(refused(format!("relativedelta's '{name}' is not supported yet; use .replace({name}=…)")));
        }
        if !plain.is_empty() {
            return Err(refused("relativedelta of two dates is not supported yet; subtract them"));
        }
        shift_of(plain, &named).map(Self::Relative)
    }

    /// In microseconds; `None` if that depends on the date it is added to.
    pub(in crate::template) fn micros(&self) -> Option<i64> {
        match self {
            Self::Timedelta(micros) | Self::Interval { micros, .. } => Some(*micros),
            Self::Relative(shift) if shift.months == 0 => shift.days.checked_mul(DAY)?.checked_add(shift.micros),
            Self::Relative(_) => None,
        }
    }

    /// `at` moved by this, or back if `sign` is −1.
    pub(in crate::template) fn added_to(&self, at: &DateTimeValue, sign: i64) -> Result<DateTimeValue, Error> {
        match self {
            Self::Relative(shift) => {
                let moved = Shift { months: sign * shift.months, days: sign * shift.days, micros: sign * shift.micros };
                super::calendar::shifted(at.local(), moved).map(|local| at.with_local(local))
            }
            Self::Timedelta(micros) | Self::Interval { micros, .. } => at.after(sign * micros),
        }
    }

    /// The span so many times as long.
    pub(in crate::template) fn times(&self, factor: f64) -> Result<Self, Error> {
        match self {
            Self::Relative(shift) => {
                #[expect(clippy::cast_possible_truncation, reason = "saturates; out of range is refused when added")]
                let scaled = |amount: i64| (amount as f64 * factor) as i64;
                let (months, days, micros) = (scaled(shift.months), scaled(shift.days), scaled(shift.micros));
                Ok(Self::Relative(Shift { months, days, micros }))
            }
            #[expect(clippy::cast_precision_loss, reason = "Python computes with floats here, too")]
            Self::Timedelta(micros) | Self::Interval { micros, .. } => {
                of_micros(*micros as f64 * factor).map(Self::Timedelta)
            }
        }
    }
}

/// The span in whole microseconds, within what a timedelta can hold.
fn of_micros(micros: f64) -> Result<i64, Error> {
    if !micros.is_finite() || micros.abs() > 4e17 {
        return Err(refused("the span of time is out of range"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
    Ok(micros.round_ties_even() as i64)
}

/// `str(timedelta)`: `1 day, 6:00:00`.
impl fmt::Display for DeltaValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interval { start, end, .. } => write!(f, "<Interval [{start} -> {end}]>"),
            Self::Relative(shift) => {
                write!(f, "relativedelta(months={:+}, days={:+}, ", shift.months, shift.days)?;
                write!(f, "microseconds={:+})", shift.micros)
            }
            Self::Timedelta(micros) => {
                let (days, rest) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
                if days != 0 {
                    write!(f, "{days} day{}, ", if days.abs() == 1 { "" } else { "s" })?;
                }
                let seconds = rest / SECOND;
                write!(f, "{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)?;
                if rest % SECOND == 0 { Ok(()) } else { write!(f, ".{:06}", rest % SECOND) }
            }
        }
    }
}

impl Object for DeltaValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        self.micros() != Some(0)
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = key.as_str()?;
        if let Self::Relative(shift) = **self {
            return Some(Value::from(match key {
                "years" => shift.months / 12,
                "months" => shift.months % 12,
                "days" => shift.days,
                "hours" => shift.micros / (3600 * SECOND),
                "minutes" => shift.micros / (60 * SECOND) % 60,
                "seconds" => shift.micros / SECOND % 60,
                _ => return None,
            }));
        }
        let micros = self.micros()?;
        match (key, &**self) {
            ("start", Self::Interval { start, .. }) => return Some(Value::from_object(*start)),
            ("end", Self::Interval { end, .. }) => return Some(Value::from_object(*end)),
            ("hours", Self::Interval { .. }) => return Some(Value::from(micros % DAY / (3600 * SECOND))),
            ("minutes", Self::Interval { .. }) => return Some(Value::from(micros / (60 * SECOND) % 60)),
            _ => {}
        }
        Some(Value::from(match key {
            "days" => micros.div_euclid(DAY),
            "seconds" => micros.rem_euclid(DAY) / SECOND,
            "microseconds" => micros.rem_euclid(SECOND),
            _ => return None,
        }))
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        if let (Self::Interval { start, end, .. }, "in_words") = (&**self, method) {
            let () = from_args(arguments)?;
            return Ok(Value::from(super::words::in_words(start.local(), end.local())));
        }
        let Some(micros) = self.micros() else { return Err(Error::from(ErrorKind::UnknownMethod)) };
        let unit = method.strip_prefix("total_").or_else(|| method.strip_prefix("in_")).unwrap_or_default();
        let length = match unit {
            "seconds" => SECOND,
            "minutes" => 60 * SECOND,
            "hours" => 3600 * SECOND,
            "days" => DAY,
            "weeks" => 7 * DAY,
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        };
        let () = from_args(arguments)?;
        #[expect(clippy::cast_precision_loss, reason = "Python's result is a float, too")]
        Ok(if method.starts_with("in_") {
            Value::from(micros / length)
        } else {
            Value::from(micros as f64 / length as f64)
        })
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.micros()?.cmp(&other.downcast_ref::<Self>()?.micros()?))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
