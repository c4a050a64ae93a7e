//! A day without a time: Python's and pendulum's `date`.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use chrono::{NaiveDate, NaiveTime};
use minijinja::value::{DynObject, Object, ObjectRepr, Value, from_args};
use minijinja::{Error, ErrorKind, State};

use super::datetime::DateTimeValue;
use super::datetime_methods;
use super::delta::DeltaValue;

/// A day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::template) struct DateValue(NaiveDate);

impl DateValue {
    pub(in crate::template) fn value(date: NaiveDate) -> Value {
        Value::from_object(Self(date))
    }

    fn midnight(self) -> DateTimeValue {
        DateTimeValue::Naive(self.0.and_time(NaiveTime::MIN))
    }

    /// The day moved by a span; only whole days of it count.
    pub(in crate::template) fn moved(self, by: &DeltaValue, sign: i64) -> Result<Value, Error> {
        by.added_to(&self.midnight(), sign).map(|at| Self::value(at.local().date()))
    }

    /// The span since another day.
    pub(in crate::template) fn since(self, earlier: Self) -> Value {
        DeltaValue::timedelta((self.0 - earlier.0).num_microseconds().unwrap_or(i64::MAX)).into_value()
    }

    pub(in crate::template) fn isoformat(self) -> String {
        self.midnight().strftime("%Y-%m-%d")
    }

    pub(in crate::template) fn strftime(self, format: &str) -> String {
        self.midnight().strftime(format)
    }
}

impl fmt::Display for DateValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.isoformat())
    }
}

impl Object for DateValue {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "hour" | "minute" | "second" | "microsecond" | "int_timestamp" | "float_timestamp" | "tzinfo" | "tz"
            | "timezone" | "timezone_name" => None,
            name => datetime_methods::attribute(&self.midnight(), name),
        }
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        match method {
            "isoformat" => from_args(arguments).map(|()| Value::from((**self).isoformat())),
            "timestamp" | "date" | "time" | "in_timezone" | "in_tz" | "astimezone" | "naive" => {
                Err(Error::from(ErrorKind::UnknownMethod))
            }
            _ => {
                let result = datetime_methods::call(&self.midnight(), method, arguments)?;
                Ok(result
                    .downcast_object_ref::<DateTimeValue>()
                    .map(|at| Self::value(at.local().date()))
                    .unwrap_or(result))
            }
        }
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        Some(self.0.cmp(&other.downcast_ref::<Self>()?.0))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
