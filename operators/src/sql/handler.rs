//! What is made of the rows of statements: Airflow's own handlers, and functions of the DAG's folder.

use serde_json::{Value, json};

use super::session::Answer;
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::python::{CallEnd, Callable, DEFAULT_PYTHON, PythonCall};

/// A function of the DAG's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    name: String,
    callable: Callable,
}

impl Function {
    fn named(name: &str) -> Result<Self, String> {
        match Callable::parse(name) {
            Some(callable) if callable.is_function() => Ok(Self { name: name.to_owned(), callable }),
            _ => Err(format!(
                "'{name}' must name a file of the DAG's folder and a function in it, 'scripts/rows.py:first'."
            )),
        }
    }

    /// What it returns for these arguments of the runner.
    async fn call(&self, ctx: &TaskContext, arguments: Value) -> Result<Value, TaskError> {
        let call = PythonCall { callable: &self.callable, python: DEFAULT_PYTHON, requirements: &[], arguments };
        match call.run(ctx).await? {
            CallEnd::Returned(value) => Ok(value),
            CallEnd::Left(end) => {
                end.check().map_err(TaskError::retryable)?;
                Err(TaskError::failed(format!("The function '{}' ended Python instead of returning.", self.name)))
            }
        }
    }
}

/// What is made of each statement's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Handler {
    /// All of them.
    FetchAll,
    /// The first.
    FetchOne,
    /// What this function makes of a cursor.
    Function(Function),
}

impl Handler {
    /// By Airflow's name, with or without the module, or a function.
    pub(super) fn named(name: Option<&str>) -> Result<Self, String> {
        match own_name(name.unwrap_or_default()) {
            "" | "fetch_all_handler" => Ok(Self::FetchAll),
            "fetch_one_handler" => Ok(Self::FetchOne),
            other => Function::named(other).map(Self::Function).map_err(|wrong| {
                format!("handler is neither fetch_all_handler nor fetch_one_handler nor a function: {wrong}")
            }),
        }
    }

    /// The result of each statement; null for those without a result set.
    pub(super) async fn results(&self, ctx: &TaskContext, answers: &[Answer]) -> Result<Vec<Value>, TaskError> {
        let rows = |answer: &Answer| answer.rows.clone().map_or(Value::Null, Value::Array);
        let first = |answer: &Answer| answer.rows.iter().flatten().next().cloned().unwrap_or_default();
        match self {
            Self::FetchAll => Ok(answers.iter().map(rows).collect()),
            Self::FetchOne => Ok(answers.iter().map(first).collect()),
            Self::Function(function) => match function.call(ctx, json!({ "answers": answers })).await? {
                Value::Array(results) => Ok(results),
                _ => Ok(Vec::new()),
            },
        }
    }
}

/// What is made of all results together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutputProcessor(Option<Function>);

impl OutputProcessor {
    /// A function, or none.
    pub(super) fn named(name: Option<&str>) -> Result<Self, String> {
        match own_name(name.unwrap_or_default()) {
            "" | "default_output_processor" => Ok(Self(None)),
            other => Function::named(other)
                .map(|function| Self(Some(function)))
                .map_err(|wrong| format!("output_processor is no function: {wrong}")),
        }
    }

    /// Whether there is a function.
    pub(super) fn is_function(&self) -> bool {
        self.0.is_some()
    }

    /// As many results as it is given. A function is given them together with the columns of each.
    pub(super) async fn processed(
        &self,
        ctx: &TaskContext,
        results: Vec<Value>,
        answers: &[Answer],
    ) -> Result<Vec<Value>, TaskError> {
        let Some(function) = &self.0 else { return Ok(results) };
        let columns: Vec<_> = answers.iter().map(|a| a.rows.is_some().then_some(&a.columns)).collect();
        match function.call(ctx, json!({ "results": results, "columns": columns })).await? {
            Value::Array(processed) if !processed.is_empty() => Ok(processed),
            other => Err(TaskError::failed(format!(
                "The output_processor '{}' must return a list with a result for each statement, but returned {other}.",
                function.name
            ))),
        }
    }
}

/// Airflow's functions are known without their module.
fn own_name(name: &str) -> &str {
    let name = name.trim();
    if name.starts_with("airflow.") { name.rsplit_once('.').map_or(name, |(_, last)| last) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn airflows_handlers_are_known_with_and_without_their_module() {
        let named = |name: &str| Handler::named(Some(name)).unwrap();
        assert_eq!(Handler::named(None).unwrap(), Handler::FetchAll);
        assert_eq!(named("airflow.providers.common.sql.hooks.handlers.fetch_all_handler"), Handler::FetchAll);
        assert_eq!(named("airflow.providers.common.sql.hooks.sql.fetch_one_handler"), Handler::FetchOne);
        assert_eq!(
            named("scripts/rows.py:first"),
            Handler::Function(Function::named("scripts/rows.py:first").unwrap())
        );
    }

    #[test]
    fn what_is_no_function_is_refused() {
        for wrong in ["fetch_many_handler", "scripts/rows.py", "rows.py:", "list"] {
            let message = Handler::named(Some(wrong)).unwrap_err();
            assert!(message.contains("fetch_one_handler") && message.contains(wrong), "{message}");
            assert!(OutputProcessor::named(Some(wrong)).unwrap_err().contains(wrong));
        }
    }
}
