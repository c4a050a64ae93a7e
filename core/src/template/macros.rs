//! `macros`: Airflow's, and the parts of Python's library that Airflow gives to templates.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Kwargs, Object, ObjectRepr, Value, from_args};
use minijinja::{Error, ErrorKind, State};

use super::time::{DateTimeValue, DateValue, DeltaValue, StdDateTime, Zone, datetime_of, parse_iso, strptime};
use super::value::{Callable, Record, from_json, python_str, refused, split_arguments, to_strict_json};
use crate::python_json::{JsonStyle, dumps_styled};
use crate::time::Timestamp;

/// `macros`
pub(super) fn value(now: Timestamp) -> Value {
    let delta =
        Callable::value("timedelta", |args| DeltaValue::of_timedelta_arguments(args).map(DeltaValue::into_value));
    let relative = Callable::value("relativedelta", |args| {
        DeltaValue::of_relativedelta_arguments(args).map(DeltaValue::into_value)
    });
    let parse = Value::from_function(|text: &str| parsed(text));
    Record::value(
        "macros",
        [
            ("ds_add", Value::from_function(ds_add)),
            ("ds_format", Value::from_function(ds_format)),
            ("datetime", Value::from_object(DatetimeClass { now })),
            ("timedelta", delta),
            (
                "dateutil",
                Record::value(
                    "dateutil",
                    [
                        ("parser", Record::value("dateutil.parser", [("parse", parse)])),
                        ("relativedelta", Record::value("dateutil.relativedelta", [("relativedelta", relative)])),
                    ],
                ),
            ),
            (
                "json",
                Record::value(
                    "json",
                    [("dumps", Value::from_function(json_dumps)), ("loads", Value::from_function(json_loads))],
                ),
            ),
            ("time", not_supported("macros.time")),
            ("uuid", not_supported("macros.uuid")),
            ("random", not_supported("macros.random")),
            (
                "datetime_diff_for_humans",
                Value::from_function(move |at: &Value, since: Option<Value>| for_humans(now, at, since.as_ref())),
            ),
            ("ds_format_locale", not_supported("macros.ds_format_locale")),
        ],
    )
}

/// A value that fails when it is used, with a sentence.
fn not_supported(name: &str) -> Value {
    Value::from(refused(format!("{name} is not supported yet")))
}

fn parsed(text: &str) -> Result<Value, Error> {
    let (local, offset) = parse_iso(text)?;
    Ok(StdDateTime::value(DateTimeValue::of_parts(local, offset)))
}

fn for_humans(now: Timestamp, at: &Value, since: Option<&Value>) -> Result<String, Error> {
    let date = |value: &Value| datetime_of(value).ok_or_else(|| refused("datetime_diff_for_humans takes dates"));
    let since = since.filter(|since| !since.is_none()).map(date).transpose()?;
    Ok(date(at)?.for_humans(since.as_ref(), now))
}

fn ds_add(ds: &Value, days: f64) -> Result<String, Error> {
    let ds = python_str(ds)?;
    if days == 0.0 {
        return Ok(ds);
    }
    let (local, _) = strptime(&ds, "%Y-%m-%d")?;
    let days = DeltaValue::timedelta(86_400_000_000).times(days)?;
    Ok(days.added_to(&DateTimeValue::Naive(local), 1)?.strftime("%Y-%m-%d"))
}

fn ds_format(ds: &Value, input_format: &str, output_format: &str) -> Result<String, Error> {
    let (local, offset) = strptime(&python_str(ds)?, input_format)?;
    Ok(DateTimeValue::of_parts(local, offset).strftime(output_format))
}

#[expect(clippy::needless_pass_by_value, reason = "the engine wants it so")]
fn json_dumps(value: &Value, named: Kwargs) -> Result<String, Error> {
    let mut style = JsonStyle { indent: named.get("indent")?, ..JsonStyle::default() };
    style.sort_keys = named.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    style.ensure_ascii = named.get::<Option<bool>>("ensure_ascii")?.unwrap_or(true);
    let separators: Option<Vec<String>> = named.get("separators")?;
    if let Some([items, keys]) = separators.as_deref() {
        style.separators = (items.clone(), keys.clone());
    }
    let as_text = named.get::<Option<Value>>("default")?.is_some();
    named.assert_all_used()?;
    let json = if as_text { super::value::to_json(value)? } else { to_strict_json(value)? };
    Ok(dumps_styled(&json, &style))
}

fn json_loads(text: &str) -> Result<Value, Error> {
    let json = serde_json::from_str(text).map_err(|error| refused(format!("not JSON: {error}")))?;
    Ok(from_json(&json))
}

/// The class `datetime.datetime`.
struct DatetimeClass {
    now: Timestamp,
}

impl fmt::Debug for DatetimeClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<class 'datetime.datetime'>")
    }
}

impl Object for DatetimeClass {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, state: &mut State<'_, '_>, arguments: &[Value]) -> Result<Value, Error> {
        // `datetime(2024, 1, 2, 3)` is the first day of time with its fields replaced.
        let (plain, named) = split_arguments(arguments)?;
        let given = |place: usize, name: &str| plain.len() > place || named.has(name);
        if !(given(0, "year") && given(1, "month") && given(2, "day")) {
            return Err(refused("datetime needs year, month and day"));
        }
        let first = DateTimeValue::Naive(chrono::NaiveDate::from_ymd_opt(1, 1, 1).unwrap_or_default().into());
        StdDateTime::value(first).call_method(state, "replace", arguments)
    }

    fn call_method(
        self: &Arc<Self>,
        _state: &mut State<'_, '_>,
        method: &str,
        arguments: &[Value],
    ) -> Result<Value, Error> {
        let utc = DateTimeValue::utc_value(self.now);
        match method {
            "strptime" => {
                let (text, format): (&str, &str) = from_args(arguments)?;
                let (local, offset) = strptime(text, format)?;
                Ok(StdDateTime::value(DateTimeValue::of_parts(local, offset)))
            }
            "fromisoformat" => from_args(arguments).and_then(|(text,): (&str,)| parsed(text)),
            "now" | "utcnow" | "today" => {
                let (zone,): (Option<Value>,) = from_args(arguments)?;
                match zone {
                    None => Ok(StdDateTime::value(DateTimeValue::Naive(self.now.to_utc().naive_utc()))),
                    Some(_) => in_zone(&utc, zone.as_ref()),
                }
            }
            "fromtimestamp" | "utcfromtimestamp" => {
                let (seconds, zone): (f64, Option<Value>) = from_args(arguments)?;
                let micros = seconds * 1e6;
                if !micros.is_finite() || micros.abs() > 2.5e17 {
                    return Err(refused("the timestamp is out of range"));
                }
                #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
                let at = Timestamp::from_micros(micros.round() as i64);
                match zone {
                    None => Ok(StdDateTime::value(DateTimeValue::Naive(at.to_utc().naive_utc()))),
                    Some(_) => in_zone(&DateTimeValue::utc_value(at), zone.as_ref()),
                }
            }
            "date" => Ok(DateValue::value(self.now.to_utc().date_naive())),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

fn in_zone(at: &Value, zone: Option<&Value>) -> Result<Value, Error> {
    let zone = match zone {
        Some(zone) => Zone::parse(&python_str(zone)?)?,
        None => Zone::Named(chrono_tz::Tz::UTC),
    };
    let at = datetime_of(at).ok_or_else(|| refused("not a date"))?;
    Ok(StdDateTime::value(at.in_timezone(zone)))
}
