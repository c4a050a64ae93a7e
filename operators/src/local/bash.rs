//! `bash`: a command in a shell of its own, in its own process group. Cancelling it ends the group.

use async_trait::async_trait;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use windrose_core::catalog::OperatorKind;

use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Operator, Parameters, Runnable};
use crate::process::{ProcessSpec, run_process, task_env};

/// Exit codes that mean something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ExitCodes {
    /// One code.
    One(i32),
    /// Any of these.
    Any(Vec<i32>),
}

impl ExitCodes {
    /// Whether this code is meant.
    #[must_use]
    pub fn contain(&self, code: i32) -> bool {
        match self {
            Self::One(one) => *one == code,
            Self::Any(any) => any.contains(&code),
        }
    }
}

/// What is made of the last line of a command's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OutputProcessor {
    /// It is JSON.
    Json,
}

/// Parameters of `bash`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bash {
    /// The command, or the name of a script in the DAG's folder that ends in `.sh` or `.bash`. A script's text is a
    /// template too.
    #[schemars(extend("x-template" = true, "x-template-file" = [".sh", ".bash"]))]
    bash_command: String,
    /// Its environment. It replaces the worker's, unless `append_env` is set.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    env: Option<IndexMap<String, String>>,
    /// Adds `env` to the worker's environment instead of replacing it.
    #[serde(default)]
    append_env: bool,
    /// How its output is encoded. Only UTF-8 is supported.
    #[serde(default = "utf8")]
    output_encoding: String,
    /// An exit code, or several, that skip the task instead of failing it.
    #[serde(default = "skip_code")]
    skip_on_exit_code: Option<ExitCodes>,
    /// The folder it runs in: absolute, or relative to the DAG's folder. Without it, a folder of the attempt's own that
    /// is removed afterwards.
    #[serde(default)]
    #[schemars(extend("x-template" = true, "x-bundle-file" = "folder"))]
    cwd: Option<String>,
    /// What is made of the last line of its output, which is the task's result: `"json"`, or the text itself.
    #[serde(default)]
    output_processor: Option<OutputProcessor>,
}

fn utf8() -> String {
    "utf-8".to_owned()
}

#[expect(clippy::unnecessary_wraps, reason = "the default of a field that may be null")]
fn skip_code() -> Option<ExitCodes> {
    Some(ExitCodes::One(99))
}

impl Parameters for Bash {
    const NAME: &'static str = "bash";
    const AIRFLOW: &'static str = "BashOperator";
    const SUMMARY: &'static str = "Runs a shell command; its last line of output is the result.";
    const KIND: OperatorKind = OperatorKind::Work;

    fn build(self) -> Result<Runnable, String> {
        if !matches!(self.output_encoding.to_lowercase().as_str(), "utf-8" | "utf8") {
            return Err(format!("output_encoding = \"{}\" is not supported yet; only utf-8 is.", self.output_encoding));
        }
        Ok(Runnable::Work(Box::new(self)))
    }
}

#[async_trait]
impl Operator for Bash {
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        let cwd = self.cwd.as_ref().map_or_else(|| ctx.services.scratch(), |cwd| ctx.info.dag_folder.join(cwd));
        ctx.info(format!("Running command: ['bash', '-c', {}]", Value::from(self.bash_command.as_str())));
        let mut own = self.env.clone().unwrap_or_default();
        own.extend(ctx.info.env.clone());
        let spec = ProcessSpec {
            program: "bash".into(),
            args: vec!["-c".into(), self.bash_command.clone().into()],
            env: task_env(ctx, &own, own.is_empty() || self.append_env),
            cwd,
            stdin: Vec::new(),
        };
        let end = run_process(ctx, &spec).await?;
        if let Some(code) = end.code {
            ctx.info(format!("Command exited with return code {code}"));
            if self.skip_on_exit_code.as_ref().is_some_and(|codes| codes.contain(code)) {
                return Err(TaskError::Skip { reason: format!("Bash command returned exit code {code}. Skipping.") });
            }
        }
        end.check().map_err(TaskError::retryable)?;
        let last_line = end.last_stdout.unwrap_or_default();
        match self.output_processor {
            None => Ok(Done::with(last_line.into())),
            Some(OutputProcessor::Json) => serde_json::from_str(&last_line).map(Done::with).map_err(|error| {
                TaskError::failed(format!(
                    "output_processor is \"json\", but the last line of the output is not JSON ({error}): {last_line}"
                ))
            }),
        }
    }

    fn stops_itself(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use windrose_core::cause::Cause;

    use super::*;
    use crate::registry;
    use crate::testing::TestTask;

    async fn run(parameters: Value) -> Result<Option<Value>, TaskError> {
        run_in(parameters, TestTask::new("bash").real_time()).await
    }

    async fn run_in(parameters: Value, task: TestTask) -> Result<Option<Value>, TaskError> {
        let Value::Object(parameters) = parameters else { panic!("an object") };
        let runnable = registry::find("bash").unwrap().build(parameters).unwrap();
        let (ctx, _services) = task.build();
        runnable.execute(&ctx).await.map(|done| done.value)
    }

    #[tokio::test]
    async fn the_last_line_of_the_output_is_the_result() {
        assert_eq!(run(json!({ "bash_command": "echo a; echo b; echo c >&2" })).await.unwrap(), Some(json!("b")));
        assert_eq!(run(json!({ "bash_command": "true" })).await.unwrap(), Some(json!("")));
    }

    #[tokio::test]
    async fn the_last_line_may_be_json() {
        let parameters = json!({ "bash_command": r#"echo '{"rows": [1, 2]}'"#, "output_processor": "json" });
        assert_eq!(run(parameters).await.unwrap(), Some(json!({ "rows": [1, 2] })));
        let error = run(json!({ "bash_command": "echo no", "output_processor": "json" })).await.unwrap_err();
        assert!(error.to_string().contains("is not JSON"), "{error}");
    }

    #[tokio::test]
    async fn an_exit_code_fails_the_task_with_the_last_line_of_standard_error() {
        let error = run(json!({ "bash_command": "echo why >&2; exit 3" })).await.unwrap_err();
        let TaskError::Failed { cause, retry: true } = error else { panic!("{error}") };
        assert_eq!(cause, Cause::ExitCode { code: 3, last_line: Some("why".to_owned()) });
    }

    #[tokio::test]
    async fn exit_code_99_skips_the_task_unless_told_otherwise() {
        let skips = |parameters| async { matches!(run(parameters).await, Err(TaskError::Skip { .. })) };
        assert!(skips(json!({ "bash_command": "exit 99" })).await);
        assert!(!skips(json!({ "bash_command": "exit 99", "skip_on_exit_code": null })).await);
        assert!(!skips(json!({ "bash_command": "exit 99", "skip_on_exit_code": [4, 5] })).await);
        assert!(skips(json!({ "bash_command": "exit 5", "skip_on_exit_code": [4, 5] })).await);
    }

    #[tokio::test]
    async fn env_replaces_the_environment_unless_it_is_appended() {
        let command = "echo \"$X-${HOME:+home}-$AIRFLOW_CTX_TASK_ID\"";
        let alone = json!({ "bash_command": command, "env": { "X": "1" } });
        assert_eq!(run(alone).await.unwrap(), Some(json!("1--bash")));
        let appended = json!({ "bash_command": command, "env": { "X": "1" }, "append_env": true });
        assert_eq!(run(appended).await.unwrap(), Some(json!("1-home-bash")));
        assert_eq!(run(json!({ "bash_command": command })).await.unwrap(), Some(json!("-home-bash")));
    }

    #[tokio::test]
    async fn the_tasks_env_reaches_the_command() {
        let task = TestTask::new("bash").real_time().with(|info| {
            info.env.insert("X".to_owned(), "from the task".to_owned());
        });
        assert_eq!(run_in(json!({ "bash_command": "echo $X" }), task).await.unwrap(), Some(json!("from the task")));
    }

    #[tokio::test]
    async fn it_runs_where_it_is_told_to() {
        assert_eq!(run(json!({ "bash_command": "pwd", "cwd": "/usr" })).await.unwrap(), Some(json!("/usr")));
        let error = run(json!({ "bash_command": "pwd", "cwd": "/no/such" })).await.unwrap_err();
        assert!(error.to_string().contains("Can not find the cwd: /no/such"), "{error}");
    }
}
