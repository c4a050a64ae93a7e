//! TOML values as JSON, and their names in messages.

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reporter::{Finding, Reporter};

/// A value with its place.
pub(super) type Node<'d> = Spanned<DeValue<'d>>;

/// What a person calls this kind of value.
pub(super) fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A whole number within 64 bits.
pub(super) fn integer_of(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// Any number.
pub(super) fn number_of(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Float(number) => number.as_str().parse().ok(),
        // A count of seconds or a factor beyond 2^53 is refused by its bounds.
        #[expect(clippy::cast_precision_loss, reason = "such numbers are refused by their bounds")]
        other => integer_of(other).map(|number| number as f64),
    }
}

/// The value as JSON; dates become text. What JSON cannot hold is reported, and is null.
pub(super) fn json_of(node: &Node<'_>, reporter: &mut Reporter<'_>) -> Value {
    match node.get_ref() {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(instant) => Value::String(instant.to_string()),
        DeValue::Integer(_) => match integer_of(node.get_ref()) {
            Some(number) => Value::from(number),
            None => unusable(node, "a whole number must lie within 64 bits", reporter),
        },
        DeValue::Float(_) => match number_of(node.get_ref()).and_then(serde_json::Number::from_f64) {
            Some(number) => Value::Number(number),
            None => unusable(node, "infinity and 'not a number' cannot be used here", reporter),
        },
        DeValue::Array(items) => items.iter().map(|item| json_of(item, reporter)).collect(),
        DeValue::Table(table) => Value::Object(json_object(table, reporter)),
    }
}

/// A table as a JSON object.
pub(super) fn json_object(table: &DeTable<'_>, reporter: &mut Reporter<'_>) -> Map<String, Value> {
    table.iter().map(|(key, node)| (key.get_ref().to_string(), json_of(node, reporter))).collect()
}

fn unusable(node: &Node<'_>, message: &str, reporter: &mut Reporter<'_>) -> Value {
    reporter.add(Finding::error(node.span(), message));
    Value::Null
}
