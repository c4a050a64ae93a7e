//! Run parameters: `[params.name]` holds JSON Schema keywords and a `default`; `[params] name = value` is a default alone.

use indexmap::IndexMap;
use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::reader::{Fields, refuse_unknown_keys};
use super::reporter::{Finding, Reporter, Span};
use super::values::{Node, json_object, json_of};
use crate::dag::Param;

/// JSON Schema's keywords, and those that Airflow's trigger form understands.
const KEYWORDS: &[&str] = &[
    "type",
    "default",
    "title",
    "description",
    "enum",
    "const",
    "format",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "items",
    "prefixItems",
    "contains",
    "minContains",
    "maxContains",
    "minItems",
    "maxItems",
    "uniqueItems",
    "unevaluatedItems",
    "properties",
    "patternProperties",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "required",
    "dependentRequired",
    "dependentSchemas",
    "minProperties",
    "maxProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "contentEncoding",
    "contentMediaType",
    "$ref",
    "$defs",
    "$schema",
    "$id",
    "$comment",
    "section",
    "source",
    "description_md",
    "values_display",
    "custom_html_form",
];

/// The parameters under `key`. `must_have_values` is true for a DAG with a schedule: nobody is there to give them.
pub(super) fn read_params(
    fields: &Fields<'_>,
    key: &str,
    must_have_values: bool,
    reporter: &mut Reporter<'_>,
) -> IndexMap<String, Param> {
    fields.table(key, reporter).map(|table| read_table(table, must_have_values, reporter)).unwrap_or_default()
}

pub(super) fn read_table(
    table: &DeTable<'_>,
    must_have_values: bool,
    reporter: &mut Reporter<'_>,
) -> IndexMap<String, Param> {
    let mut params = IndexMap::with_capacity(table.len());
    for (name, node) in table {
        let param = read_param(node, reporter);
        if must_have_values && param.default.is_none() {
            let message = format!("the parameter '{}' has no default, but the DAG has a schedule", name.get_ref());
            reporter.add(Finding::error(name.span(), message).help("scheduled runs need a value: give a 'default'"));
        }
        params.insert(name.get_ref().to_string(), param);
    }
    params
}

fn read_param(node: &Node<'_>, reporter: &mut Reporter<'_>) -> Param {
    let DeValue::Table(table) = node.get_ref() else {
        return Param { default: Some(json_of(node, reporter)), schema: Map::new() };
    };
    refuse_unknown_keys(table, KEYWORDS, "a parameter", reporter);
    let mut schema = json_object(table, reporter);
    let default = schema.shift_remove("default");
    let default_span = table.get("default").map_or_else(|| node.span(), |node| node.span());
    check_default(&schema, default.as_ref(), node.span().into(), default_span.into(), reporter);
    Param { default, schema }
}

fn check_default(
    schema: &Map<String, Value>,
    default: Option<&Value>,
    schema_span: Span,
    default_span: Span,
    reporter: &mut Reporter<'_>,
) {
    if schema.is_empty() {
        return;
    }
    let validator = match crate::params::validator(schema) {
        Ok(validator) => validator,
        Err(why) => {
            let message = format!("the parameter is not a JSON Schema: {why}");
            reporter.add(Finding::error(schema_span, message));
            return;
        }
    };
    if let Some(Err(why)) = default.map(|default| validator.validate(default)) {
        reporter.add(Finding::error(default_span, format!("the default does not fit the parameter: {why}")));
    }
}
