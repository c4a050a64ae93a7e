//! One call of Python code: what the runner is given, the process, and what the runner leaves behind.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use windrose_core::asset::{AssetUpdate, Outlet, normalise};
use windrose_core::cause::Cause;
use windrose_core::outcome::XCom;

use super::answers::Answers;
use super::callable::Callable;
use super::environment;
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::process::{ProcessEnd, ProcessSpec, run_process, task_env};

/// A call that is to be made.
pub(crate) struct PythonCall<'a> {
    /// What is called.
    pub(crate) callable: &'a Callable,
    /// The interpreter: a command or a path.
    pub(crate) python: &'a str,
    /// Packages it needs.
    pub(crate) requirements: &'a [String],
    /// What the runner needs for the arguments, in its own words: `op_args` and so on, `files` of a sensor, or
    /// `answers` or `results` of SQL statements.
    pub(crate) arguments: Value,
}

/// How a call ended that did not raise.
pub(crate) enum CallEnd {
    /// It returned this, as JSON.
    Returned(Value),
    /// The process ended without an answer: the code left by `sys.exit`, or was ended.
    Left(ProcessEnd),
}

/// What the runner leaves behind.
#[derive(Debug, Deserialize)]
struct RunnerResult {
    #[serde(default)]
    value: Value,
    error: Option<Raised>,
    #[serde(default)]
    xcoms: Vec<(String, Value)>,
    #[serde(default)]
    assets: Vec<ChangedAsset>,
}

/// What the code says of an outlet.
#[derive(Debug, Deserialize)]
struct ChangedAsset {
    uri: String,
    alias: Option<String>,
    #[serde(default)]
    extra: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Raised {
    kind: String,
    exception: String,
    message: String,
    location: Option<String>,
}

impl PythonCall<'_> {
    /// Makes the call, in a process of its own. What it prints is logged, the XComs it pushes are kept.
    ///
    /// # Errors
    /// What the code raised, as a skip or a failure; and whatever keeps it from running.
    pub(crate) async fn run(self, ctx: &TaskContext) -> Result<CallEnd, TaskError> {
        let answers = Answers::open(ctx).map_err(|error| {
            TaskError::failed(format!("The socket for the task's questions cannot be opened: {error}."))
        })?;
        let runner = self.lay_out(ctx, &answers).await?;
        let program = if self.requirements.is_empty() {
            PathBuf::from(self.python)
        } else {
            environment::interpreter(ctx, self.python, self.requirements).await?
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
        match tokio::fs::read(result_file(ctx)).await.ok().and_then(|text| serde_json::from_slice(&text).ok()) {
            Some(result) => returned(ctx, result).map(CallEnd::Returned),
            None => Ok(CallEnd::Left(end)),
        }
    }

    /// Writes what the runner needs, and gives the runner's path.
    async fn lay_out(&self, ctx: &TaskContext, answers: &Answers) -> Result<PathBuf, TaskError> {
        let path = ctx.info.file(&self.callable.path).map_err(TaskError::failed)?;
        let folder = ctx.info.dag_folder.canonicalize().unwrap_or_else(|_| ctx.info.dag_folder.clone());
        let mut input = json!({
            "path": path,
            "folder": folder,
            "function": self.callable.function,
            "context": ctx.info.template_context,
            "address": answers.address(),
            "token": answers.token(),
        });
        if let (Value::Object(input), Value::Object(arguments)) = (&mut input, &self.arguments) {
            input.extend(arguments.clone());
        }
        // A sensor calls again and again: no answer must be taken for a later one.
        let _ = tokio::fs::remove_file(result_file(ctx)).await;
        let scratch = ctx.services.scratch();
        let runner = scratch.join("runner.py");
        let files = [
            (runner.clone(), include_str!("runner.py").to_owned()),
            (scratch.join("input.json"), input.to_string()),
            (scratch.join("lib/windrose/__init__.py"), include_str!("lib/windrose/__init__.py").to_owned()),
            (scratch.join("lib/windrose/sql.py"), include_str!("lib/windrose/sql.py").to_owned()),
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
}

fn result_file(ctx: &TaskContext) -> PathBuf {
    ctx.services.scratch().join("result.json")
}

fn returned(ctx: &TaskContext, result: RunnerResult) -> Result<Value, TaskError> {
    for (key, value) in result.xcoms {
        ctx.services.xcom_push(XCom { key, value });
    }
    match result.error {
        None => {
            result.assets.into_iter().try_for_each(|changed| change(ctx, changed))?;
            Ok(result.value)
        }
        Some(raised) if raised.kind == "skip" => Err(TaskError::Skip { reason: raised.message }),
        Some(Raised { kind, exception, message, location }) => {
            let cause = Cause::Python { exception, message, location };
            Err(TaskError::Failed { cause, retry: kind != "fail" })
        }
    }
}

/// Only what the DAG file names as the task's outlets can change: who reads the file must see it.
fn change(ctx: &TaskContext, changed: ChangedAsset) -> Result<(), TaskError> {
    let uri = normalise(&changed.uri).map_err(|why| TaskError::failed(format!("outlet_events: {why}.")))?;
    let outlets = &ctx.info.outlets;
    let is_outlet = outlets.iter().any(|outlet| match (outlet, &changed.alias) {
        (Outlet::Asset { uri: own, .. }, None) => *own == uri,
        (Outlet::Alias { alias: own, .. }, Some(alias)) => own == alias,
        _ => false,
    });
    if !is_outlet {
        let name = changed.alias.as_deref().unwrap_or(&changed.uri);
        return Err(TaskError::failed(format!(
            "outlet_events names '{name}', which is not among the task's outlets; add it to 'outlets' in the DAG file."
        )));
    }
    ctx.services.change_asset(AssetUpdate { uri, aliases: changed.alias.into_iter().collect(), extra: changed.extra });
    Ok(())
}

async fn write(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        tokio::fs::create_dir_all(parent).await?;
    }
    tokio::fs::write(path, text).await
}
