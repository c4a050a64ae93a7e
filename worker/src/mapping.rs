//! What one instance of a mapped task is given.

use std::collections::HashMap;
use std::sync::Arc;

use moka::future::Cache;
use serde_json::{Map, Value};
use windrose_core::cause::Cause;
use windrose_core::ids::{RunKey, TaskId};
use windrose_core::mapping::{Expansion, MappedArgument};
use windrose_core::time::Timestamp;
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

/// What a task is mapped over, by the tasks that returned it.
type Values = Arc<HashMap<TaskId, Value>>;

/// Values of the mapped tasks that ran last. The version in the key changes whenever one of them is returned anew.
#[derive(Debug, Clone)]
pub(crate) struct MappedValues(Cache<(RunKey, usize, Option<Timestamp>), Values>);

/// How many mapped tasks are remembered.
const REMEMBERED: u64 = 32;

impl Default for MappedValues {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl MappedValues {
    /// What one instance is given; nothing if its task is not mapped. However many instances there are, what they are
    /// mapped over is read once.
    ///
    /// # Errors
    /// If it cannot be read, or is not what the expansion needs.
    pub(crate) async fn of(&self, services: &AttemptServices) -> Result<Mapped, TaskError> {
        let claim = &services.claim;
        let mapped = claim.dag.expansion(claim.position).zip(usize::try_from(claim.key.map_index).ok());
        let Some((expansion, index)) = mapped else { return Ok(Mapped::default()) };
        let key = (claim.key.run, claim.position, claim.mapped_at);
        let values = match self.0.try_get_with(key, read(services, expansion)).await {
            Ok(values) => values,
            // It may have been another instance's reading, and that one was told to stop.
            Err(_) => read(services, expansion).await?,
        };
        let arguments = expansion.arguments(index, &|task| values.get(task).unwrap_or(&Value::Null));
        let arguments = arguments.map_err(|error| {
            let operator = claim.task().operator.clone();
            TaskError::retryable(Cause::Parameters { operator, message: error.to_string() })
        })?;
        Ok(Mapped { arguments, are_parameters: claim.task().expansion.is_some() })
    }
}

async fn read(services: &AttemptServices, expansion: &Expansion) -> Result<Values, TaskError> {
    let dag = &services.claim.dag;
    let mut values = HashMap::new();
    for task in expansion.tasks() {
        let is_mapped = dag.position(task.as_str()).is_some_and(|position| dag.expansion(position).is_some());
        let nothing = if is_mapped { Value::Array(Vec::new()) } else { Value::Null };
        let value = services.xcom_pull(task.as_str(), None, "return_value").await?;
        values.insert(task.clone(), value.unwrap_or(nothing));
    }
    Ok(Arc::new(values))
}

impl Mapped {
    /// Those that stand in the DAG file, by name.
    pub(crate) fn templates(&self) -> Map<String, Value> {
        let written = self.arguments.iter().filter(|argument| argument.is_template);
        written.map(|argument| (argument.name.clone(), argument.value.clone())).collect()
    }
}
