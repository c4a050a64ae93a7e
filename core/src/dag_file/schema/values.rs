//! The kinds of values that fields have.

use serde_json::{Map, Value, json};

/// A field's name and schema.
pub(super) type Field = (&'static str, Value);

/// With what it means.
pub(super) fn field(mut schema: Value, doc: &str) -> Value {
    if !doc.is_empty() {
        schema["description"] = doc.into();
    }
    schema
}

/// With its default.
pub(super) fn with_default(mut schema: Value, default: impl Into<Value>) -> Value {
    schema["default"] = default.into();
    schema
}

pub(super) fn text() -> Value {
    json!({ "type": "string" })
}

pub(super) fn texts() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

/// A word alone stands for a list of one.
pub(super) fn words() -> Value {
    json!({ "anyOf": [texts(), text()] })
}

pub(super) fn flag() -> Value {
    json!({ "type": "boolean" })
}

pub(super) fn count(least: u32) -> Value {
    json!({ "type": "integer", "minimum": least })
}

/// `"90s"`, `"1h30m"`, or a number of seconds.
pub(super) fn duration() -> Value {
    json!({ "anyOf": [{ "type": "string", "pattern": "^[0-9.]" }, { "type": "number", "minimum": 0 }] })
}

/// A TOML date or date-time, which language servers hold for a text.
pub(super) fn instant() -> Value {
    json!({ "anyOf": [{ "type": "string", "format": "date-time" }, { "type": "string" }] })
}

pub(super) fn choice(words: &[&str]) -> Value {
    json!({ "type": "string", "enum": words })
}

pub(super) fn any_of(schemas: impl IntoIterator<Item = Value>) -> Value {
    json!({ "anyOf": schemas.into_iter().collect::<Vec<_>>() })
}

/// A table with these fields and no others.
pub(super) fn table(fields: impl IntoIterator<Item = Field>) -> Value {
    let properties: Map<String, Value> = fields.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// A table with any fields.
pub(super) fn open_table() -> Value {
    json!({ "type": "object" })
}

pub(super) fn notifiers() -> Value {
    json!({ "$ref": "#/definitions/notifiers" })
}
