//! Values as Python has them: lists and dicts that can be changed, and text forms that a Python user knows.

mod callable;
mod containers;
mod record;
mod text;

pub(super) use callable::Callable;
pub(super) use containers::{Dict, List, Set};
pub(super) use record::Record;
pub(super) use text::{python_repr, python_str};

use minijinja::value::{Kwargs, Value, ValueKind, from_args};
use minijinja::{Error, ErrorKind};
use serde_json::Value as Json;

/// How deep lists and dicts may be nested before they are refused.
pub(super) const DEEPEST: usize = 100;

/// How many values one JSON text may be made of.
const MOST_JSON: usize = 1_000_000;

/// An operation that Python refuses, with its reason.
pub(super) fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message.into())
}

/// Splits a call's arguments into the plain ones and those with names.
pub(super) fn split_arguments(arguments: &[Value]) -> Result<(&[Value], Kwargs), Error> {
    from_args(arguments)
}

/// A JSON value as a template sees it.
pub(super) fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(flag) => Value::from(*flag),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Value::from(number),
            (_, Some(number), _) => Value::from(number),
            (_, _, number) => Value::from(number.unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => List::value(items.iter().map(from_json).collect()),
        Json::Object(map) => Dict::value(map.iter().map(|(key, item)| (Value::from(key.as_str()), from_json(item)))),
    }
}

/// A template's value as JSON. What JSON does not have becomes its text.
pub(super) fn to_json(value: &Value) -> Result<Json, Error> {
    Writer { left: MOST_JSON, other: &|other| python_str(other).map(Json::String) }.json(value, 0)
}

/// The same; what JSON does not have is refused, as by Python's `json.dumps`.
pub(super) fn to_strict_json(value: &Value) -> Result<Json, Error> {
    let refuse = |other: &Value| {
        let text = python_str(other)?;
        Err(refused(format!("{text} cannot be written as JSON; make a text of it first")))
    };
    Writer { left: MOST_JSON, other: &refuse }.json(value, 0)
}

/// Writes JSON, within bounds: a few lists that hold each other twice are a value beyond all measure.
struct Writer<'a> {
    left: usize,
    other: &'a dyn Fn(&Value) -> Result<Json, Error>,
}

impl Writer<'_> {
    fn json(&mut self, value: &Value, depth: usize) -> Result<Json, Error> {
        if depth > DEEPEST || self.left == 0 {
            return Err(refused("a list or dict is nested too deep or has too many values"));
        }
        self.left -= 1;
        Ok(match value.kind() {
            ValueKind::None => Json::Null,
            ValueKind::Bool => Json::Bool(value.is_true()),
            ValueKind::Number => number_to_json(value),
            ValueKind::String => Json::String(value.as_str().unwrap_or_default().to_owned()),
            ValueKind::Seq | ValueKind::Iterable => {
                let items = value.try_iter()?.checked();
                Json::Array(items.map(|item| self.json(&item?, depth + 1)).collect::<Result<_, _>>()?)
            }
            ValueKind::Map => self.object(value, depth)?,
            _ => (self.other)(value)?,
        })
    }

    fn object(&mut self, value: &Value, depth: usize) -> Result<Json, Error> {
        let mut map = serde_json::Map::new();
        for key in value.try_iter()?.checked() {
            let key = key?;
            let item = value.get_item(&key)?;
            let name = match key.kind() {
                ValueKind::None => "null".to_owned(),
                ValueKind::Bool => key.is_true().to_string(),
                _ => python_str(&key)?,
            };
            map.insert(name, self.json(&item, depth + 1)?);
        }
        Ok(Json::Object(map))
    }
}

fn number_to_json(value: &Value) -> Json {
    if value.is_integer() {
        if let Some(number) = value.as_i64() {
            return Json::from(number);
        }
        if let Ok(number) = u64::try_from(value.clone()) {
            return Json::from(number);
        }
        return Json::String(value.to_string());
    }
    f64::try_from(value.clone()).map_or(Json::Null, Json::from)
}
