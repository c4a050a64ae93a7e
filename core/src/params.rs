//! What a run is given, held against the parameters that its DAG declares.

use std::fmt;

use indexmap::IndexMap;
use jsonschema::{Draft, ValidationError, Validator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::dag::{Dag, Param, Task};

/// How many characters of a value are repeated in a sentence.
const SHOWN: usize = 80;

/// A parameter that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParamViolation {
    /// Where, as a JSON pointer into the run's conf: `/table`, `/options/rows`.
    pub path: String,
    /// What stands there; `None` if nothing does.
    pub value: Option<Value>,
    /// The keyword of JSON Schema that it breaks, with the keyword's own value: `maximum: 10`.
    pub rule: String,
    /// The same as a sentence.
    pub message: String,
}

impl fmt::Display for ParamViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.path, self.message, self.rule)
    }
}

/// Everything that is wrong with what a run is given; never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the parameters do not fit DAG '{dag_id}':{}\nchange --conf, or the DAG's [params]", lines(.violations))]
pub struct ParamsRefused {
    /// The DAG.
    pub dag_id: String,
    /// Each one.
    pub violations: Vec<ParamViolation>,
}

fn lines(violations: &[ParamViolation]) -> String {
    violations.iter().map(|violation| format!("\n  {violation}")).collect()
}

/// Checks what a run is given. As in Airflow, each declared parameter must fit its schema, whether it is given or has
/// its default; one without a default must be given; what is not declared is let through.
///
/// # Errors
/// With every violation, in the order of the DAG file.
pub fn check_conf(dag: &Dag, conf: &Map<String, Value>) -> Result<(), ParamsRefused> {
    let violations = check_values(&dag.params, conf, false);
    if violations.is_empty() { Ok(()) } else { Err(ParamsRefused { dag_id: dag.dag_id.to_string(), violations }) }
}

/// Everything that is wrong with what a task's own parameters become in a run. As in Airflow, a task's parameter takes the
/// place of the DAG's of the same name, schema and all, and what the run is given takes the place of both. Empty if the
/// task has none: the DAG's were checked when the run was made.
#[must_use]
pub fn check_task(task: &Task, conf: &Map<String, Value>) -> Vec<ParamViolation> {
    check_values(&task.params, conf, false)
}

/// Everything that is wrong with these values, in the order of the parameters. What is not declared is wrong only if the
/// parameters are `closed`.
pub(crate) fn check_values(
    params: &IndexMap<String, Param>,
    values: &Map<String, Value>,
    closed: bool,
) -> Vec<ParamViolation> {
    let mut violations = Vec::new();
    for (name, param) in params {
        let path = format!("/{}", escaped(name));
        let Some(value) = values.get(name).or(param.default.as_ref()) else {
            let message = format!("the parameter '{name}' has no default, so it must be given");
            violations.push(ParamViolation { path, value: None, rule: "required".to_owned(), message });
            continue;
        };
        // A schema that is none was refused when the file was read.
        let Ok(validator) = validator(&param.schema) else { continue };
        let schema = Value::Object(param.schema.clone());
        violations.extend(validator.iter_errors(value).map(|error| violation(&path, &schema, &error)));
    }
    for (name, value) in values.iter().filter(|(name, _)| closed && !params.contains_key(*name)) {
        violations.push(ParamViolation {
            path: format!("/{}", escaped(name)),
            value: Some(value.clone()),
            rule: "additionalProperties: false".to_owned(),
            message: format!("there is no parameter '{name}'"),
        });
    }
    violations
}

/// A parameter's schema, compiled. Formats are checked, as Airflow does.
pub(crate) fn validator(schema: &Map<String, Value>) -> Result<Validator, ValidationError<'static>> {
    let schema = Value::Object(schema.clone());
    jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true).build(&schema)
}

fn violation(path: &str, schema: &Value, error: &ValidationError<'_>) -> ParamViolation {
    let place = error.schema_path().as_str();
    let keyword = place.rsplit('/').next().unwrap_or_default();
    let rule = match schema.pointer(place) {
        Some(value) => format!("{keyword}: {}", shortened(&value.to_string())),
        None => keyword.to_owned(),
    };
    let value = error.instance().as_ref().clone();
    let message = match value.to_string() {
        text if text.chars().count() > SHOWN => error.masked_with("the value").to_string(),
        _ => error.to_string(),
    };
    ParamViolation { path: format!("{path}{}", error.instance_path().as_str()), value: Some(value), rule, message }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    text.chars().take(SHOWN).chain("…".chars()).collect()
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
