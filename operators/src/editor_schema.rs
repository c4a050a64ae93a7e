//! The schema of an operator's parameters as people write them: a template may stand in the place of any value that is
//! rendered, and `{ file = … }` in the place of a template's text.

use serde_json::{Map, Value, json};

use crate::operator::OperatorEntry;

/// The schema for editors, with the operator's summary as its description.
pub(crate) fn editor_schema(entry: &OperatorEntry) -> Value {
    let mut schema = entry.schema().clone();
    schema["description"] = entry.summary.into();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return schema };
    for (name, field) in properties.iter_mut() {
        let mut others = Vec::new();
        if field["x-template"] == true && !takes_text(field) {
            others.push(json!({ "type": "string", "pattern": r"\{[{%]" }));
        }
        if entry.template_files(name).next().is_some() {
            others.push(file_table());
        }
        if field["x-notifiers"] == true {
            *field = described(json!({ "$ref": "#/definitions/notifiers" }), field);
        } else if !others.is_empty() {
            *field = with_others(field, others);
        }
    }
    schema
}

fn takes_text(field: &Value) -> bool {
    let kind = &field["type"];
    kind == "string" || kind.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "string"))
}

fn file_table() -> Value {
    json!({
        "type": "object",
        "description": "A file of the bundle that holds the text.",
        "properties": { "file": { "type": "string" } },
        "required": ["file"],
        "additionalProperties": false,
    })
}

/// What describes the field stays outside.
fn with_others(field: &Value, others: Vec<Value>) -> Value {
    let outside = ["description", "default", "title"];
    let Some(table) = field.as_object() else { return field.clone() };
    let (outer, inner): (Map<String, Value>, Map<String, Value>) =
        table.clone().into_iter().partition(|(key, _)| outside.contains(&key.as_str()));
    let mut branches = vec![Value::Object(inner)];
    branches.extend(others);
    let mut field = outer;
    field.insert("anyOf".into(), branches.into());
    Value::Object(field)
}

fn described(mut schema: Value, field: &Value) -> Value {
    if let Some(text) = field.get("description") {
        schema["description"] = text.clone();
    }
    schema
}
