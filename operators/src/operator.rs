//! The operator trait, and what a registry entry knows of an operator.

use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use windrose_core::catalog::OperatorKind;
use windrose_core::outcome::Routing;

use crate::context::TaskContext;
use crate::error::TaskError;
use crate::remote_job::{RemoteJob, run_remote};
use crate::sensor::{Sensor, run_sensor};

/// What an operator hands back when it has succeeded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Done {
    /// The `return_value` XCom; `None` leaves none.
    pub value: Option<Value>,
    /// Which way the run goes on, for branching operators.
    pub routing: Option<Routing>,
}

impl Done {
    /// Success that leaves a value.
    #[must_use]
    pub fn with(value: Value) -> Self {
        Self { value: Some(value), routing: None }
    }
}

/// Ordinary work, with its parameters rendered and typed.
///
/// The future may be dropped at any `.await` when the attempt is cancelled or times out; what must be undone then is
/// undone in [`Operator::cancel`] or by dropping.
#[async_trait]
pub trait Operator: Send + Sync {
    /// Does the work.
    ///
    /// # Errors
    /// See [`TaskError`].
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError>;

    /// Stops what goes on elsewhere, after the attempt was cancelled or timed out. Must be safe to repeat.
    ///
    /// # Errors
    /// Only logged.
    async fn cancel(&self, _ctx: &TaskContext) -> Result<(), TaskError> {
        Ok(())
    }

    /// True: [`Operator::execute`] watches [`TaskContext::cancelled`] itself and ends soon after it is set. False: its
    /// future is dropped at once.
    fn stops_itself(&self) -> bool {
        false
    }
}

/// An operator with its parameters, ready to run.
pub enum Runnable {
    /// Ordinary work.
    Work(Box<dyn Operator>),
    /// A condition to wait for.
    Sensor(Box<dyn Sensor>),
    /// Work in another system.
    Remote(Box<dyn RemoteJob>),
}

impl Runnable {
    /// Does the work, or waits for the condition, or submits the remote work and waits for it.
    ///
    /// # Errors
    /// See [`TaskError`]; [`TaskError::Cancelled`] soon after [`TaskContext::cancelled`] is set.
    pub async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        match self {
            Self::Work(operator) if operator.stops_itself() => operator.execute(ctx).await,
            Self::Work(operator) => tokio::select! {
                biased;
                () = ctx.cancelled.cancelled() => Err(TaskError::Cancelled),
                done = operator.execute(ctx) => done,
            },
            Self::Sensor(sensor) => run_sensor(sensor.as_ref(), ctx).await,
            Self::Remote(job) => run_remote(job.as_ref(), ctx).await,
        }
    }

    /// Stops what goes on elsewhere, after the attempt was cancelled or timed out. Safe to repeat.
    ///
    /// # Errors
    /// Only to be logged.
    pub async fn cancel(&self, ctx: &TaskContext) -> Result<(), TaskError> {
        match self {
            Self::Work(operator) => operator.cancel(ctx).await,
            Self::Sensor(_) => Ok(()),
            Self::Remote(job) => match ctx.services.checkpoint().await? {
                Some(handle) => job.cancel(ctx, &handle).await,
                None => Ok(()),
            },
        }
    }
}

/// The parameters of an operator: one struct from which validation, `windrose operators show`, the docs page and the
/// editor schema come.
///
/// Doc comments of the fields are the reference text. A field in which templates are rendered is marked
/// `#[schemars(extend("x-template" = true))]`. The struct is `#[serde(deny_unknown_fields)]`.
pub trait Parameters: DeserializeOwned + JsonSchema + Send + 'static {
    /// The operator's name in DAG files.
    const NAME: &'static str;
    /// Airflow's class.
    const AIRFLOW: &'static str;
    /// One sentence.
    const SUMMARY: &'static str;
    /// How the engine treats it.
    const KIND: OperatorKind;
    /// For a sensor: how long it waits between two looks if the DAG file does not say.
    const POKE_INTERVAL: Duration = Duration::from_secs(60);

    /// Checks what types cannot say and makes the operator. Called with rendered parameters by the worker, so it must
    /// do no I/O.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what is expected, in Airflow's words where Airflow has them.
    fn build(self) -> Result<Runnable, String>;
}

/// A line of the registry.
pub struct OperatorEntry {
    /// The operator's name in DAG files.
    pub name: &'static str,
    /// Airflow's class.
    pub airflow: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// How the engine treats it.
    pub kind: OperatorKind,
    /// For a sensor: how long it waits between two looks if the DAG file does not say.
    pub poke_interval: Option<Duration>,
    schema: fn() -> Value,
    schema_cell: OnceLock<Value>,
    template_cell: OnceLock<Vec<&'static str>>,
    build: fn(Map<String, Value>) -> Result<Runnable, String>,
}

impl OperatorEntry {
    /// The entry of the operator whose parameters are `P`.
    #[must_use]
    pub const fn of<P: Parameters>() -> Self {
        Self {
            name: P::NAME,
            airflow: P::AIRFLOW,
            summary: P::SUMMARY,
            kind: P::KIND,
            poke_interval: if matches!(P::KIND, OperatorKind::Sensor) { Some(P::POKE_INTERVAL) } else { None },
            schema: || schemars::schema_for!(P).to_value(),
            schema_cell: OnceLock::new(),
            template_cell: OnceLock::new(),
            build: |params| {
                let typed: P = serde_json::from_value(Value::Object(params)).map_err(|e| e.to_string())?;
                typed.build()
            },
        }
    }

    /// The JSON Schema of its parameters, with docs, defaults and the `x-template` marks.
    #[must_use]
    pub fn schema(&self) -> &Value {
        self.schema_cell.get_or_init(self.schema)
    }

    /// Names of the parameters in which templates are rendered.
    #[must_use]
    pub fn template_fields(&self) -> &[&'static str] {
        self.template_cell.get_or_init(|| {
            let marked = self.schema()["properties"].as_object().into_iter().flatten();
            marked
                .filter(|(_, field)| field["x-template"] == true)
                // Once per operator and process: the names live as long as the registry does.
                .map(|(name, _)| &*Box::leak(name.clone().into_boxed_str()))
                .collect()
        })
    }

    /// Endings of file names that a templated parameter may hold instead of its text (Airflow's `template_ext`):
    /// `[".sql"]`. Marked `x-template-file` in the schema.
    pub fn template_files(&self, field: &str) -> impl Iterator<Item = &str> {
        let marked = self.schema()["properties"][field]["x-template-file"].as_array();
        marked.into_iter().flatten().filter_map(Value::as_str)
    }

    /// Makes the operator from rendered parameters.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what is expected.
    pub fn build(&self, mut params: Map<String, Value>) -> Result<Runnable, String> {
        for (name, value) in &mut params {
            retype(&self.schema()["properties"][name.as_str()]["type"], value);
        }
        (self.build)(params)
    }
}

/// A template renders to text; where the parameter is a number or a truth value, the text is read as one.
fn retype(wanted: &Value, value: &mut Value) {
    let Value::String(text) = value else { return };
    let wants = |kind: &str| wanted == kind || wanted.as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind));
    if wants("string") {
        return;
    }
    let text = text.trim();
    let read = match text {
        "True" | "true" => Some(Value::Bool(true)),
        "False" | "false" => Some(Value::Bool(false)),
        "None" | "null" if wants("null") => Some(Value::Null),
        _ => serde_json::from_str::<serde_json::Number>(text).ok().map(Value::Number),
    };
    let fits = |read: &Value| match read {
        Value::Bool(_) => wants("boolean"),
        Value::Number(_) => wants("integer") || wants("number"),
        _ => true,
    };
    if let Some(read) = read.filter(fits) {
        *value = read;
    }
}
