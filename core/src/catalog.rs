//! What validation needs to know of operators. The operators themselves live downstream of this crate, so the caller
//! brings a [`Catalog`].

use std::time::Duration;

use serde_json::{Map, Value};

/// How an operator's tasks are treated by validation and by the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorKind {
    /// Ordinary work.
    Work,
    /// Work that happens in another system and survives the worker.
    Remote,
    /// Waits for a condition; takes the sensor fields.
    Sensor,
    /// Chooses among its direct downstream tasks.
    Branch,
    /// May skip what is downstream.
    ShortCircuit,
    /// Does nothing: the engine ends it without an attempt.
    Empty,
}

/// One thing wrong with an operator's parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterProblem {
    /// Keys from the task's table down to the place, without indexes into lists.
    pub path: Vec<String>,
    /// What is wrong and what is expected, as a sentence.
    pub message: String,
    /// What kind of problem it is.
    pub kind: ProblemKind,
}

/// What kind of thing is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// The operator has no such parameter.
    UnknownKey {
        /// The parameters it has, for a suggestion.
        known: Vec<String>,
    },
    /// A required parameter is not there.
    MissingKey,
    /// The value is not allowed.
    BadValue,
    /// Allowed in Airflow; Windrose cannot do it yet.
    NotSupported,
}

/// A file or folder of the bundle that a task names. It belongs to the DAG's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The parameter that names it.
    pub parameter: String,
    /// The name as it is written.
    pub name: String,
    /// What it is.
    pub kind: NamedFileKind,
}

/// What a task names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NamedFileKind {
    /// A file.
    File,
    /// Python code: what it imports from the bundle belongs to it.
    Python,
    /// A file, or a folder with everything below it.
    Tree,
}

/// What validation asks about operators.
pub trait Catalog: Send + Sync {
    /// How tasks of this operator are treated; `None` if there is no such operator.
    fn kind(&self, operator: &str) -> Option<OperatorKind>;

    /// How long a sensor of this kind waits between two looks if the DAG file does not say; `None` for the usual time.
    fn poke_interval(&self, _operator: &str) -> Option<Duration> {
        None
    }

    /// All operator names, for suggestions.
    fn names(&self) -> Vec<&'static str>;

    /// Everything wrong with these parameters, as they are written: templates are not rendered yet, so a string that
    /// holds one is right for any type.
    fn check(&self, operator: &str, params: &Map<String, Value>) -> Vec<ParameterProblem>;

    /// All names of notifiers.
    fn notifier_names(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Everything wrong with a notifier's parameters, as [`Catalog::check`] says it of operators.
    fn check_notifier(&self, _notifier: &str, _params: &Map<String, Value>) -> Vec<ParameterProblem> {
        Vec::new()
    }

    /// The files that a task with these parameters names. Names that are only made at run time are left out.
    fn files(&self, _operator: &str, _params: &Map<String, Value>) -> Vec<NamedFile> {
        Vec::new()
    }

    /// A JSON Schema of an operator's parameters as they are written, templates included: `description` is what it does.
    fn schema(&self, _operator: &str) -> Option<Value> {
        None
    }

    /// The same of a notifier.
    fn notifier_schema(&self, _notifier: &str) -> Option<Value> {
        None
    }

    /// Names of the parameters in which templates are rendered.
    fn template_fields(&self, operator: &str) -> &'static [&'static str];
}
