//! What one instance of a mapped task is given.

use std::collections::HashMap;

use serde_json::{Map, Value};
use windrose_core::cause::Cause;
use windrose_core::mapping::MappedArgument;
use windrose_operators::context::TaskServices;
use windrose_operators::error::TaskError;

use crate::services::AttemptServices;

/// The arguments of an instance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mapped {
    pub(crate) arguments: Vec<MappedArgument>,
    /// They are the operator's parameters; those of a mapped group are only there for templates.
    pub(crate) are_parameters: bool,
}

/// Reads what the attempt's task is mapped over; nothing if it is not mapped.
///
/// # Errors
/// If a value is not what the expansion needs.
pub(crate) async fn mapped(services: &AttemptServices) -> Result<Mapped, TaskError> {
    let claim = &services.claim;
    let (Some(expansion), Ok(index)) = (claim.dag.expansion(claim.position), usize::try_from(claim.key.map_index))
    else {
        return Ok(Mapped::default());
    };
    let mut values: HashMap<&str, Value> = HashMap::new();
    for task in expansion.tasks() {
        let is_mapped = claim.dag.position(task.as_str()).is_some_and(|p| claim.dag.expansion(p).is_some());
        let nothing = if is_mapped { Value::Array(Vec::new()) } else { Value::Null };
        let value = services.xcom_pull(task.as_str(), None, "return_value").await?;
        values.insert(task.as_str(), value.unwrap_or(nothing));
    }
    let arguments = expansion.arguments(index, &|task| values.get(task.as_str()).cloned().unwrap_or_default());
    let operator = || claim.task().operator.clone();
    let arguments = arguments.map_err(|error| {
        TaskError::retryable(Cause::Parameters { operator: operator(), message: error.to_string() })
    })?;
    Ok(Mapped { arguments, are_parameters: claim.task().expansion.is_some() })
}

impl Mapped {
    /// Those that stand in the DAG file, by name.
    pub(crate) fn templates(&self) -> Map<String, Value> {
        let written = self.arguments.iter().filter(|argument| argument.is_template);
        written.map(|argument| (argument.name.clone(), argument.value.clone())).collect()
    }
}
