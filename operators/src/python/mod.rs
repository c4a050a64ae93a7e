//! `python`: a function or a script of the DAG's folder, in an interpreter of its own.
//!
//! Windrose has no Python inside. A small runner is written to the attempt's scratch folder; it gets the arguments and
//! Airflow's context as JSON, and answers with JSON. What the task prints is its log. A module `windrose` is on the path:
//! XComs, variables, connections, and exceptions to skip and to fail for good; Airflow's own exceptions mean the same.

mod answers;
mod environment;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use windrose_core::catalog::OperatorKind;
use windrose_core::cause::Cause;
use windrose_core::outcome::XCom;

use crate::context::TaskContext;
use crate::dag_files::dag_file;
use crate::error::TaskError;
use crate::local::bash::ExitCodes;
use crate::operator::{Done, Operator, Parameters, Runnable};
use crate::process::{ProcessEnd, ProcessSpec, run_process, task_env};

use answers::Answers;

/// Parameters of `python`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Python {
    /// A function of a file in the DAG's folder, `scripts/load.py:main`, or a whole script, `scripts/load.py`.
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
    #[schemars(extend("x-template" = true))]
    requirements: Vec<String>,
    /// An exit code, or several, that skip the task instead of failing it.
    #[serde(default)]
    skip_on_exit_code: Option<ExitCodes>,
    /// Logs what the function returned.
    #[serde(default = "yes")]
    show_return_value_in_logs: bool,
}

fn python3() -> String {
    "python3".to_owned()
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
        let (path, function) = self.parts();
        if Path::new(path).extension().is_none_or(|ending| ending != "py") || function == Some("") {
            return Err(format!(
                "python_callable = \"{}\" must be a file of the DAG's folder, 'scripts/load.py', or a function in it, \
                 'scripts/load.py:main'.",
                self.python_callable
            ));
        }
        Ok(Runnable::Work(Box::new(self)))
    }
}

/// What the runner leaves behind.
#[derive(Debug, Deserialize)]
struct RunnerResult {
    #[serde(default)]
    value: Value,
    error: Option<Raised>,
    #[serde(default)]
    xcoms: Vec<(String, Value)>,
}

#[derive(Debug, Deserialize)]
struct Raised {
    kind: String,
    exception: String,
    message: String,
    location: Option<String>,
}

impl Python {
    /// The file, and the function in it.
    fn parts(&self) -> (&str, Option<&str>) {
        match self.python_callable.rsplit_once(':') {
            Some((path, function)) => (path, Some(function)),
            None => (&self.python_callable, None),
        }
    }

    /// Writes what the runner needs, and gives the runner's path.
    async fn lay_out(&self, ctx: &TaskContext, answers: &Answers) -> Result<PathBuf, TaskError> {
        let (name, function) = self.parts();
        let path = dag_file(&ctx.info.dag_folder, name).map_err(TaskError::failed)?;
        let folder = ctx.info.dag_folder.canonicalize().unwrap_or_else(|_| ctx.info.dag_folder.clone());
        let input = json!({
            "path": path,
            "folder": folder,
            "function": function,
            "op_args": self.op_args,
            "op_kwargs": self.op_kwargs,
            "templates_dict": self.templates_dict,
            "context": ctx.info.template_context,
            "address": answers.address(),
            "token": answers.token(),
        });
        let scratch = ctx.services.scratch();
        let runner = scratch.join("runner.py");
        let files = [
            (runner.clone(), include_str!("runner.py").to_owned()),
            (scratch.join("input.json"), input.to_string()),
            (scratch.join("lib/windrose/__init__.py"), include_str!("lib/windrose/__init__.py").to_owned()),
            (scratch.join("fallback/airflow/__init__.py"), include_str!("fallback/airflow/__init__.py").to_owned()),
            (scratch.join("fallback/airflow/exceptions.py"), include_str!("fallback/airflow/exceptions.py").to_owned()),
        ];
        for (path, text) in files {
            write(&path, &text).await.map_err(|error| {
                TaskError::failed(format!("{} cannot be written: {error}. Is the disk full?", path.display()))
            })?;
        }
        Ok(runner)
    }

    fn done(&self, ctx: &TaskContext, result: RunnerResult) -> Result<Done, TaskError> {
        for (key, value) in result.xcoms {
            ctx.services.xcom_push(XCom { key, value });
        }
        match result.error {
            None => {
                if self.show_return_value_in_logs {
                    ctx.info(format!("Done. Returned value was: {}", result.value));
                }
                Ok(Done { value: (!result.value.is_null()).then_some(result.value), routing: None })
            }
            Some(raised) if raised.kind == "skip" => Err(TaskError::Skip { reason: raised.message }),
            Some(Raised { kind, exception, message, location }) => {
                let cause = Cause::Python { exception, message, location };
                Err(TaskError::Failed { cause, retry: kind != "fail" })
            }
        }
    }

    /// The process ended without an answer: it left by `sys.exit`, or was ended.
    fn left(&self, end: &ProcessEnd) -> Result<Done, TaskError> {
        if let Some(code) = end.code
            && self.skip_on_exit_code.as_ref().is_some_and(|codes| codes.contain(code))
        {
            return Err(TaskError::Skip { reason: format!("Python ended with exit code {code}. Skipping.") });
        }
        end.check().map(|()| Done::default()).map_err(TaskError::retryable)
    }
}

async fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        tokio::fs::create_dir_all(parent).await?;
    }
    tokio::fs::write(path, text).await
}

#[async_trait]
impl Operator for Python {
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        let answers = Answers::open(ctx).map_err(|error| {
            TaskError::failed(format!("The socket for the task's questions cannot be opened: {error}."))
        })?;
        let runner = self.lay_out(ctx, &answers).await?;
        let program = if self.requirements.is_empty() {
            PathBuf::from(&self.python)
        } else {
            environment::interpreter(ctx, &self.python, &self.requirements).await?
        };
        let spec = ProcessSpec {
            program: program.into(),
            // Unbuffered, so that what it prints is in the log when it happens.
            args: vec!["-u".into(), runner.into()],
            env: task_env(ctx, &ctx.info.env, true),
            cwd: ctx.services.scratch(),
            stdin: Vec::new(),
        };
        let end = run_process(ctx, &spec).await?;
        drop(answers);
        match tokio::fs::read(ctx.services.scratch().join("result.json")).await {
            Ok(text) => match serde_json::from_slice(&text) {
                Ok(result) => self.done(ctx, result),
                Err(_) => self.left(&end),
            },
            Err(_) => self.left(&end),
        }
    }

    fn stops_itself(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
