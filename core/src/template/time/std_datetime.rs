//! The `datetime` of Python's library, which has none of pendulum's methods: what `dag_run` and `macros.datetime` give.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{DynObject, Object, ObjectRepr, Value};
use minijinja::{Error, ErrorKind, State};

use super::datetime::DateTimeValue;
use super::datetime_methods::{attribute, call};
use crate::time::Timestamp;

const ATTRIBUTES: [&str; 8] = ["year", "month", "day", "hour", "minute", "second", "microsecond", "tzinfo"];

const METHODS: [&str; 13] = [
    "strftime",
    "isoformat",
    "timestamp",
    "date",
    "time",
    "weekday",
    "isoweekday",
    "isocalendar",
    "utcoffset",
    "tzname",
    "astimezone",
    "replace",
    "ctime",
];

/// An instant or a wall clock of Python's library.
#[derive(Debug, Clone, Copy)]
pub(in crate::template) struct StdDateTime(pub(in crate::template) DateTimeValue);

impl StdDateTime {
    pub(in crate::template) fn value(at: DateTimeValue) -> Value {
        Value::from_object(Self(at))
    }

    /// An instant in UTC.
    pub(in crate::template) fn utc_value(at: Timestamp) -> Value {
        let at = DateTimeValue::of_parts(at.to_utc().naive_utc(), chrono::FixedOffset::east_opt(0));
        Self::value(at)
    }
}

/// A `datetime` of either kind.
pub(in crate::template) fn datetime_of(value: &Value) -> Option<DateTimeValue> {
    let std = || value.downcast_object_ref::<StdDateTime>().map(|at| at.0);
    value.downcast_object_ref::<DateTimeValue>().copied().or_else(std)
}

/// The same kind of `datetime` as `like`.
pub(in crate::template) fn datetime_like(like: &Value, at: DateTimeValue) -> Value {
    match like.downcast_object_ref::<StdDateTime>() {
        Some(_) => StdDateTime::value(at),
        None => Value::from_object(at),
    }
}

impl Object for StdDateTime {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        ATTRIBUTES.contains(&name).then(|| attribute(&self.0, name))?
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        if !METHODS.contains(&method) {
            let message = format!("a datetime of dag_run or macros has no '{method}'; logical_date has more methods");
            return Err(Error::new(ErrorKind::UnknownMethod, message));
        }
        let result = call(&self.0, method, arguments)?;
        Ok(result.downcast_object_ref::<DateTimeValue>().map_or_else(|| result.clone(), |at| Self::value(*at)))
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let std = || other.downcast_ref::<Self>().map(|at| at.0);
        let other = other.downcast_ref::<DateTimeValue>().copied().or_else(std)?;
        Some(self.0.utc().cmp(&other.utc()))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
