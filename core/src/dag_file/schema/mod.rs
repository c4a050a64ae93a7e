//! The DAG file as a JSON Schema, for editors: they complete names, show what a field means, and mark what is wrong.
//!
//! It says no more than [`super::parse`] does, and less: what is required may stand in `[defaults]` or be mapped, and a name
//! may be a task's or a group's. It keeps to what the language servers for TOML can do: draft 7, no references from one
//! definition to another that leads back, one `anyOf` branch for each operator, from which they complete. What they say of
//! such a branch is of little help, so an unknown key is found a second time, by conditions that they check but do not
//! complete from.

mod dag_fields;
mod task_fields;
mod values;

use serde_json::{Map, Value, json};

use crate::catalog::{Catalog, OperatorKind};
use dag_fields::dag_fields;
use task_fields::{group_fields, sensor_fields, task_fields};
use values::{field, table};

/// Where the schema of the newest version is found.
pub const SCHEMA_ID: &str = "https://raw.githubusercontent.com/windrose-run/windrose/main/docs/dag.schema.json";

/// The schema of DAG files with the operators and notifiers of this catalog.
#[must_use]
pub fn schema(catalog: &dyn Catalog) -> Value {
    let mut definitions = Map::new();
    let notifiers = notifiers(catalog, &mut definitions);
    definitions.insert("notifiers".into(), notifiers);
    let mut shared = Map::new();
    for (name, schema) in task_fields() {
        definitions.insert(format!("task.{name}"), schema);
        shared.insert(name.to_owned(), reference(&format!("task.{name}")));
    }
    let mut sensor = Map::new();
    for (name, schema) in sensor_fields() {
        definitions.insert(format!("sensor.{name}"), schema);
        sensor.insert(name.to_owned(), reference(&format!("sensor.{name}")));
    }
    let branches: Vec<Value> =
        catalog.names().iter().map(|name| operator(name, catalog, &shared, &sensor, &mut definitions)).collect();
    let mut properties = Map::new();
    for (name, schema) in dag_fields() {
        properties.insert(name.to_owned(), schema);
    }
    properties.insert("tasks".into(), field(
        json!({ "type": "object", "additionalProperties": task(&catalog.names(), branches) }),
        "The tasks. The key of a task's table is its full id; one with a dot, such as \"extract.load\", belongs to the group before it.",
    ));
    properties.insert("groups".into(), field(
        json!({ "type": "object", "additionalProperties": table(group_fields()) }),
        "Groups of tasks. A group in `upstream` stands for its leaves; what is upstream of a group comes before its roots.",
    ));
    let mut defaults = shared;
    for name in super::known_fields::TASK_FIELDS_WITHOUT_DEFAULT {
        defaults.remove(*name);
    }
    defaults.extend(sensor);
    properties.insert("defaults".into(), field(
        json!({ "type": "object", "properties": defaults }),
        "Fields that every task has if it does not say otherwise, parameters of operators included (Airflow's default_args).",
    ));
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": SCHEMA_ID,
        "title": "Windrose DAG file",
        "description": "A DAG: its schedule, its tasks and what they depend on.",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "definitions": definitions,
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{name}") })
}

/// A task of this operator.
fn operator(
    name: &str,
    catalog: &dyn Catalog,
    shared: &Map<String, Value>,
    sensor: &Map<String, Value>,
    definitions: &mut Map<String, Value>,
) -> Value {
    let own = catalog.schema(name).unwrap_or_else(|| json!({}));
    let summary = own["description"].as_str().unwrap_or_default().to_owned();
    let mut properties = Map::new();
    properties.insert("operator".into(), field(json!({ "const": name }), &summary));
    for (key, value) in hoisted(name, own, definitions) {
        properties.insert(key, value);
    }
    let is_sensor = catalog.kind(name) == Some(OperatorKind::Sensor);
    let common = shared.iter().chain(sensor.iter().filter(|_| is_sensor));
    for (key, value) in common {
        // A parameter of the operator may have the name of a common field; the common one counts.
        if key != "operator" {
            properties.insert(key.clone(), value.clone());
        }
    }
    json!({
        "title": name,
        "description": summary,
        "type": "object",
        "properties": properties,
        "required": ["operator"],
    })
}

/// Any task: one of these branches, and no keys but those of its own.
fn task(names: &[&str], branches: Vec<Value>) -> Value {
    let only = |name: &str, branch: &Value| {
        let keys = branch["properties"].as_object().into_iter().flatten();
        let keys: Map<String, Value> = keys.map(|(key, _)| (key.clone(), Value::Bool(true))).collect();
        json!({
            "if": { "properties": { "operator": { "const": name } } },
            "then": { "properties": keys, "additionalProperties": false },
        })
    };
    let conditions = names.iter().zip(&branches).rev().map(|(name, branch)| only(name, branch));
    let chain = conditions.reduce(|mut rest, mut condition| {
        condition["else"] = rest.take();
        condition
    });
    let mut task = chain.unwrap_or_else(|| json!({}));
    task["type"] = "object".into();
    task["required"] = json!(["operator"]);
    task["properties"] = json!({ "operator": { "enum": names } });
    task["anyOf"] = branches.into();
    task
}

/// The properties of a schema of its own, its definitions moved to the file's under names that begin with `owner`.
fn hoisted(owner: &str, mut schema: Value, definitions: &mut Map<String, Value>) -> Map<String, Value> {
    let inner = ["$defs", "definitions"].iter().find_map(|key| schema.get_mut(*key).map(Value::take));
    for (name, mut definition) in inner.and_then(|inner| inner.as_object().cloned()).unwrap_or_default() {
        rename(&mut definition, owner);
        definitions.insert(format!("{owner}.{name}"), definition);
    }
    let mut properties = schema.get_mut("properties").map(Value::take).unwrap_or_default();
    rename(&mut properties, owner);
    properties.as_object().cloned().unwrap_or_default()
}

/// Lets references point at the moved definitions, and leaves out our own marks and what only draft 2020 knows.
fn rename(value: &mut Value, owner: &str) {
    match value {
        Value::Object(table) => {
            table.retain(|key, _| !key.starts_with("x-"));
            let name = table.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix("#/$defs/"));
            if let Some(target) = name.map(|name| format!("#/definitions/{owner}.{name}")) {
                table.insert("$ref".into(), target.into());
            }
            table.values_mut().for_each(|value| rename(value, owner));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| rename(value, owner)),
        _ => {}
    }
}

/// A notifier, or a list of them.
fn notifiers(catalog: &dyn Catalog, definitions: &mut Map<String, Value>) -> Value {
    let mut one = |name: &&'static str| {
        let own = catalog.notifier_schema(name).unwrap_or_else(|| json!({}));
        let summary = own["description"].as_str().unwrap_or_default().to_owned();
        let mut properties = Map::new();
        properties.insert("notifier".into(), field(json!({ "const": name }), &summary));
        properties.extend(hoisted(name, own, definitions));
        json!({ "title": name, "type": "object", "properties": properties, "required": ["notifier"], "additionalProperties": false })
    };
    let branches: Vec<Value> = catalog.notifier_names().iter().map(&mut one).collect();
    json!({ "anyOf": [{ "type": "array", "items": { "anyOf": branches } }, { "anyOf": branches }] })
}
