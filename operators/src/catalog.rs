//! The registry as validation sees it: a task's parameters, as they are written, against the operator's JSON Schema.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};
use std::time::Duration;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use serde_json::{Map, Value};
use windrose_core::catalog::{Catalog, NamedFile, OperatorKind, ParameterProblem, ProblemKind};

use crate::editor_schema::editor_schema;
use crate::named_files::{named_files, without_file_tables};
use crate::notifiers::{NOTIFIERS, find_notifier, notifier_of_table};
use crate::operator::OperatorEntry;
use crate::registry::{REGISTRY, find};

/// The operators of [`REGISTRY`], for validation.
///
/// A parameter marked `x-not-supported` in its schema may be given with its default value only.
#[derive(Debug, Clone, Copy, Default)]
pub struct OperatorCatalog;

impl Catalog for OperatorCatalog {
    fn kind(&self, operator: &str) -> Option<OperatorKind> {
        find(operator).map(|entry| entry.kind)
    }

    fn poke_interval(&self, operator: &str) -> Option<Duration> {
        find(operator).and_then(|entry| entry.poke_interval)
    }

    fn names(&self) -> Vec<&'static str> {
        REGISTRY.iter().map(|entry| entry.name).collect()
    }

    fn check(&self, operator: &str, params: &Map<String, Value>) -> Vec<ParameterProblem> {
        find(operator).map(|entry| check_parameters(entry, params)).unwrap_or_default()
    }

    fn notifier_names(&self) -> Vec<&'static str> {
        NOTIFIERS.iter().map(|entry| entry.name).collect()
    }

    fn check_notifier(&self, notifier: &str, params: &Map<String, Value>) -> Vec<ParameterProblem> {
        find_notifier(notifier).map(|entry| check_parameters(entry, params)).unwrap_or_default()
    }

    fn files(&self, operator: &str, params: &Map<String, Value>) -> Vec<NamedFile> {
        find(operator).map(|entry| named_files(entry, params)).unwrap_or_default()
    }

    fn schema(&self, operator: &str) -> Option<Value> {
        find(operator).map(editor_schema)
    }

    fn notifier_schema(&self, notifier: &str) -> Option<Value> {
        find_notifier(notifier).map(editor_schema)
    }

    fn template_fields(&self, operator: &str) -> &'static [&'static str] {
        find(operator).map(OperatorEntry::template_fields).unwrap_or_default()
    }
}

/// Everything wrong with these parameters of this operator, before their templates are rendered.
#[must_use]
pub fn check_parameters(entry: &'static OperatorEntry, params: &Map<String, Value>) -> Vec<ParameterProblem> {
    let schema = entry.schema();
    let params = &without_file_tables(entry, params);
    let mut problems = unknown_keys(&[], params.keys(), schema);
    problems.extend(not_supported(params, schema));
    problems.extend(notifier_problems(params, schema));
    let whole = Value::Object(params.clone());
    problems.extend(
        validator(entry)
            .iter_errors(&whole)
            .filter(|error| !may_become_right(error))
            .flat_map(|error| problems_of(&error, schema)),
    );
    if problems.is_empty()
        && !holds_template(&whole)
        && let Err(message) = entry.build(params.clone())
    {
        problems.push(ParameterProblem { path: Vec::new(), message, kind: ProblemKind::BadValue });
    }
    problems
}

/// Compiled once per operator: a DAG of 100,000 tasks must not compile its schemas 100,000 times.
fn validator(entry: &'static OperatorEntry) -> &'static Validator {
    static VALIDATORS: LazyLock<HashMap<&'static str, OnceLock<Validator>>> =
        LazyLock::new(|| REGISTRY.iter().chain(NOTIFIERS.iter()).map(|entry| (entry.name, OnceLock::new())).collect());
    #[expect(clippy::expect_used, reason = "schemas come from our own types; a test compiles each of them")]
    let compile = || jsonschema::validator_for(entry.schema()).expect("a schema from a type is valid");
    match VALIDATORS.get(entry.name) {
        Some(cell) => cell.get_or_init(compile),
        None => Box::leak(Box::new(compile())),
    }
}

fn unknown_keys<'a>(path: &[String], keys: impl Iterator<Item = &'a String>, schema: &Value) -> Vec<ParameterProblem> {
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    let known: Vec<String> = properties.keys().cloned().collect();
    keys.filter(|key| !properties.contains_key(*key))
        .map(|key| ParameterProblem {
            path: [path, std::slice::from_ref(key)].concat(),
            message: format!("'{key}' is not a parameter here; known are {}.", known.join(", ")),
            kind: ProblemKind::UnknownKey { known: known.clone() },
        })
        .collect()
}

fn not_supported(params: &Map<String, Value>, schema: &Value) -> Vec<ParameterProblem> {
    let is_refused = |(key, value): &(&String, &Value)| {
        let field = &schema["properties"][key.as_str()];
        field["x-not-supported"] == true && field["default"] != **value
    };
    params
        .iter()
        .filter(is_refused)
        .map(|(key, _)| ParameterProblem {
            path: vec![key.clone()],
            message: format!("'{key}' is not supported yet; leave it out."),
            kind: ProblemKind::NotSupported,
        })
        .collect()
}

/// Of parameters that are notifiers, or lists of them.
fn notifier_problems(params: &Map<String, Value>, schema: &Value) -> Vec<ParameterProblem> {
    let is_notifier = |key: &String| schema["properties"][key.as_str()]["x-notifiers"] == true;
    let mut problems = Vec::new();
    for (key, value) in params.iter().filter(|(key, _)| is_notifier(key)) {
        let tables = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for table in tables.iter().filter_map(Value::as_object) {
            let found = problems_of_notifier(table);
            let path = |problem: &ParameterProblem| [std::slice::from_ref(key), &problem.path].concat();
            problems.extend(found.into_iter().map(|problem| ParameterProblem { path: path(&problem), ..problem }));
        }
    }
    problems
}

fn problems_of_notifier(table: &Map<String, Value>) -> Vec<ParameterProblem> {
    let names = || NOTIFIERS.iter().map(|entry| entry.name).collect::<Vec<_>>().join(", ");
    let bad = |message: String| vec![ParameterProblem { path: Vec::new(), message, kind: ProblemKind::BadValue }];
    let Some(notifier) = notifier_of_table(table) else {
        return bad(format!("'notifier' is missing; it is one of {}.", names()));
    };
    match find_notifier(&notifier.notifier) {
        Some(entry) => check_parameters(entry, &notifier.parameters),
        None => bad(format!("there is no notifier '{}'; known are {}.", notifier.notifier, names())),
    }
}

/// A template's text says nothing about the type of what it renders to.
fn may_become_right(error: &ValidationError<'_>) -> bool {
    match error.kind() {
        ValidationErrorKind::AnyOf { .. }
        | ValidationErrorKind::OneOfNotValid { .. }
        | ValidationErrorKind::OneOfMultipleValid { .. } => holds_template(error.instance()),
        ValidationErrorKind::Required { .. } | ValidationErrorKind::AdditionalProperties { .. } => false,
        _ => error.instance().as_str().is_some_and(is_template),
    }
}

/// Whether rendering may change this text.
fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

fn holds_template(value: &Value) -> bool {
    match value {
        Value::String(text) => is_template(text),
        Value::Array(items) => items.iter().any(holds_template),
        Value::Object(fields) => fields.values().any(holds_template),
        _ => false,
    }
}

fn problems_of(error: &ValidationError<'_>, schema: &Value) -> Vec<ParameterProblem> {
    let path = path_of(error.instance_path().as_str());
    match error.kind() {
        // Found by `unknown_keys`, which also sees the fields of flattened structs.
        ValidationErrorKind::AdditionalProperties { .. } if path.is_empty() => Vec::new(),
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let pointer = error.schema_path().as_str().trim_end_matches("/additionalProperties");
            let place = schema.pointer(pointer).unwrap_or(&Value::Null);
            unknown_keys(&path, unexpected.iter(), place)
        }
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default().to_owned();
            let message = format!("'{key}' is missing.");
            vec![ParameterProblem { path: [path, vec![key]].concat(), message, kind: ProblemKind::MissingKey }]
        }
        _ => vec![ParameterProblem { path, message: expectation(error), kind: ProblemKind::BadValue }],
    }
}

/// The error as a sentence, without repeating a long value.
fn expectation(error: &ValidationError<'_>) -> String {
    let text = if error.instance().to_string().len() > 80 {
        error.masked_with("The value").to_string()
    } else {
        error.to_string()
    };
    format!("{text}.")
}

/// The keys of a JSON pointer, indexes into lists left out.
fn path_of(pointer: &str) -> Vec<String> {
    pointer
        .split('/')
        .skip(1)
        .filter(|part| part.parse::<usize>().is_err())
        .map(|part| part.replace("~1", "/").replace("~0", "~"))
        .collect()
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
