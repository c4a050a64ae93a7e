//! `python`: a function or a script of the DAG's folder, in an interpreter of its own.
//!
//! Windrose has no Python inside. A small runner is written to the attempt's scratch folder; it gets the arguments and
//! Airflow's context as JSON, and answers with JSON. What the task prints is its log. A module `windrose` is on the path:
//! XComs, variables, connections, and exceptions to skip and to fail for good; Airflow's own exceptions mean the same.

mod answers;
mod call;
mod callable;
mod environment;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use windrose_core::catalog::OperatorKind;

use crate::context::TaskContext;
use crate::error::TaskError;
use crate::local::bash::ExitCodes;
use crate::operator::{Done, Operator, Parameters, Runnable};
use crate::process::ProcessEnd;

pub(crate) use call::{CallEnd, PythonCall};
pub(crate) use callable::Callable;

/// The interpreter where a task names none.
pub(crate) const DEFAULT_PYTHON: &str = "python3";

/// Parameters of `python`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Python {
    /// A function of a file in the DAG's folder, `scripts/load.py:main`, or a whole script, `scripts/load.py`.
    #[schemars(extend("x-bundle-file" = "python"))]
    python_callable: String,
    /// Arguments by position; for a script, its command line.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    op_args: Vec<Value>,
    /// Arguments by name. The function also gets what it names of Airflow's context (`ds`, `ti`, `params`, …).
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    op_kwargs: Map<String, Value>,
    /// More templates, which the function finds in its context under this name.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    templates_dict: Option<Map<String, Value>>,
    /// The interpreter: a command or a path.
    #[serde(default = "python3")]
    #[schemars(extend("x-template" = true))]
    python: String,
    /// Packages it needs, as pip understands them. They are installed once into an environment that is kept.
    #[serde(default)]
    #[schemars(extend("x-template" = true, "x-bundle-file" = "requirement"))]
    requirements: Vec<String>,
    /// An exit code, or several, that skip the task instead of failing it.
    #[serde(default)]
    skip_on_exit_code: Option<ExitCodes>,
    /// Logs what the function returned.
    #[serde(default = "yes")]
    show_return_value_in_logs: bool,
}

fn python3() -> String {
    DEFAULT_PYTHON.to_owned()
}

fn yes() -> bool {
    true
}

impl Parameters for Python {
    const NAME: &'static str = "python";
    const AIRFLOW: &'static str = "PythonOperator";
    const SUMMARY: &'static str = "Runs a Python function or script of the DAG's folder.";
    const KIND: OperatorKind = OperatorKind::Work;

    fn build(self) -> Result<Runnable, String> {
        let Some(callable) = Callable::parse(&self.python_callable) else {
            return Err(format!(
                "python_callable = \"{}\" must be a file of the DAG's folder, 'scripts/load.py', or a function in it, \
                 'scripts/load.py:main'.",
                self.python_callable
            ));
        };
        Ok(Runnable::Work(Box::new(PythonTask { callable, p: self })))
    }
}

struct PythonTask {
    callable: Callable,
    p: Python,
}

impl PythonTask {
    /// The process ended without an answer.
    fn left(&self, end: &ProcessEnd) -> Result<Done, TaskError> {
        if let Some(code) = end.code
            && self.p.skip_on_exit_code.as_ref().is_some_and(|codes| codes.contain(code))
        {
            return Err(TaskError::Skip { reason: format!("Python ended with exit code {code}. Skipping.") });
        }
        end.check().map(|()| Done::default()).map_err(TaskError::retryable)
    }
}

#[async_trait]
impl Operator for PythonTask {
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        let call = PythonCall {
            callable: &self.callable,
            python: &self.p.python,
            requirements: &self.p.requirements,
            arguments: json!({
                "op_args": self.p.op_args,
                "op_kwargs": self.p.op_kwargs,
                "templates_dict": self.p.templates_dict,
            }),
        };
        match call.run(ctx).await? {
            CallEnd::Returned(value) => {
                if self.p.show_return_value_in_logs {
                    ctx.info(format!("Done. Returned value was: {value}"));
                }
                Ok(Done { value: (!value.is_null()).then_some(value), routing: None })
            }
            CallEnd::Left(end) => self.left(&end),
        }
    }

    fn stops_itself(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
