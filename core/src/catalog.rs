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

    /// Names of the parameters in which templates are rendered.
    fn template_fields(&self, operator: &str) -> &'static [&'static str];
}
