//! Airflow's filters, and those of Jinja2 whose results the engine shows differently from Python.

use minijinja::value::{Kwargs, Rest, Tuple, Value, ValueKind};
use minijinja::{Environment, Error};

use super::operators::percent_format;
use super::time::{DateValue, datetime_of};
use super::value::{python_repr, python_str, refused, to_strict_json};
use crate::python_json::{JsonStyle, dumps_styled};

/// Adds them to an environment.
pub(super) fn add_to(env: &mut Environment<'_>) {
    env.add_filter("ds", |at: &Value| formatted(at, "%Y-%m-%d"));
    env.add_filter("ds_nodash", |at: &Value| formatted(at, "%Y%m%d"));
    env.add_filter("ts_nodash", |at: &Value| formatted(at, "%Y%m%dT%H%M%S"));
    env.add_filter("ts", |at: &Value| isoformat(at).map(|text| text.map_or_else(|| Value::from(()), Value::from)));
    env.add_filter("ts_nodash_with_tz", |at: &Value| {
        let text = isoformat(at)?.map(|text| text.replace(['-', ':'], ""));
        Ok::<_, Error>(text.map_or_else(|| Value::from(()), Value::from))
    });
    env.add_filter("format", |pattern: &str, values: Rest<Value>| {
        percent_format(pattern, &Value::from(Tuple::from(values.to_vec())))
    });
    env.add_filter("tojson", tojson);
    env.add_filter("join", join);
    env.add_filter("string", |value: &Value| python_str(value));
    env.add_filter("pprint", |value: &Value| python_repr(value));
}

fn not_a_date(value: &Value) -> Error {
    let shown = python_str(value).unwrap_or_default();
    refused(format!("'{shown}' is not a date; this filter takes one, such as logical_date"))
}

fn formatted(at: &Value, format: &str) -> Result<Value, Error> {
    if at.is_none() {
        return Ok(Value::from(()));
    }
    if let Some(at) = datetime_of(at) {
        return Ok(Value::from(at.strftime(format)));
    }
    let date = at.downcast_object_ref::<DateValue>().ok_or_else(|| not_a_date(at))?;
    Ok(Value::from(date.strftime(format)))
}

fn isoformat(at: &Value) -> Result<Option<String>, Error> {
    if at.is_none() {
        return Ok(None);
    }
    if let Some(at) = datetime_of(at) {
        return Ok(Some(at.isoformat()));
    }
    at.downcast_object_ref::<DateValue>().map(|date| Some(date.isoformat())).ok_or_else(|| not_a_date(at))
}

/// Jinja2's: keys are sorted, and the characters that mean something to HTML are escaped.
#[expect(clippy::needless_pass_by_value, reason = "the engine wants it so")]
fn tojson(value: &Value, indent: Option<usize>, named: Kwargs) -> Result<Value, Error> {
    let indent = indent.or(named.get("indent")?);
    named.assert_all_used()?;
    let style = JsonStyle { sort_keys: true, indent, ..JsonStyle::default() };
    let mut text = dumps_styled(&to_strict_json(value)?, &style);
    for (character, escaped) in [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("'", "\\u0027")] {
        text = text.replace(character, escaped);
    }
    Ok(Value::from(text))
}

#[expect(clippy::needless_pass_by_value, reason = "the engine wants it so")]
fn join(values: &Value, separator: Option<&str>, named: Kwargs) -> Result<String, Error> {
    if !matches!(values.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map | ValueKind::String) {
        return Err(refused("join takes a list"));
    }
    let separator = separator.map(str::to_owned).or(named.get("d")?).unwrap_or_default();
    let attribute: Option<String> = named.get("attribute")?;
    named.assert_all_used()?;
    let texts = values.try_iter()?.checked().map(|item| {
        let item = item?;
        match &attribute {
            Some(attribute) => python_str(&item.get_attr(attribute)?),
            None => python_str(&item),
        }
    });
    Ok(texts.collect::<Result<Vec<_>, _>>()?.join(&separator))
}
