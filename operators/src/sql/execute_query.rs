//! `sql_execute_query`: statements on a database, over its wire protocol.
//!
//! One session, statements in order, one commit at the end unless `autocommit`. An error rolls all back. Cancelling the
//! task cancels the statement on the server.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use windrose_core::catalog::OperatorKind;
use windrose_core::cause::Cause;
use windrose_core::connection::Connection;

use super::connect::{Destination, destination};
use super::error::statement_failed;
use super::literal::with_parameters;
use super::session::{Answer, Session};
use super::split::split_statements;
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Operator, Parameters, Runnable};

/// How long the order to cancel a statement may take.
const CANCEL: Duration = Duration::from_secs(10);

/// One text or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Statements {
    /// One text, which may hold several statements.
    One(String),
    /// Several, each for itself.
    Several(Vec<String>),
}

/// Parameters of `sql_execute_query`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlExecuteQuery {
    /// The statement, a list of them, or the name of a file in the DAG's folder that ends in `.sql`.
    #[schemars(extend("x-template" = true, "x-template-file" = [".sql", ".json"]))]
    sql: Statements,
    /// The connection: of type `postgres`, `redshift` or `sqlite`.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    conn_id: Option<String>,
    /// The database, instead of the one that the connection names.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    database: Option<String>,
    /// Values for `%s` or `%(name)s` (`?` or `:name` on SQLite), by position or by name; the same for each statement.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    parameters: Value,
    /// Arguments of Airflow's hook.
    #[serde(default)]
    #[schemars(extend("x-template" = true, "x-not-supported" = true))]
    hook_params: Option<Map<String, Value>>,
    /// Each statement commits by itself.
    #[serde(default)]
    autocommit: bool,
    /// Takes a text apart into its statements.
    #[serde(default)]
    split_statements: Option<bool>,
    /// Of several statements, only the last one's rows are the result.
    #[serde(default = "yes")]
    return_last: bool,
    /// Logs the result.
    #[serde(default)]
    show_return_value_in_logs: bool,
    /// What is made of the rows: nothing else is supported yet.
    #[serde(default)]
    #[schemars(extend("x-not-supported" = true))]
    handler: Option<String>,
    /// What is made of the result: nothing else is supported yet.
    #[serde(default)]
    #[schemars(extend("x-not-supported" = true))]
    output_processor: Option<String>,
    /// The rows are fetched even if nobody keeps them; they always are.
    #[serde(default)]
    #[expect(dead_code, reason = "accepted for Airflow's sake: it changes nothing here")]
    requires_result_fetch: bool,
}

fn yes() -> bool {
    true
}

impl Parameters for SqlExecuteQuery {
    const NAME: &'static str = "sql_execute_query";
    const AIRFLOW: &'static str = "SQLExecuteQueryOperator";
    const SUMMARY: &'static str = "Runs SQL on PostgreSQL, Amazon Redshift or a SQLite file; its rows are the result.";
    const KIND: OperatorKind = OperatorKind::Work;

    fn build(self) -> Result<Runnable, String> {
        if self.conn_id.as_deref().is_none_or(str::is_empty) {
            return Err("conn_id is needed: the id of a connection of type postgres, redshift or sqlite.".to_owned());
        }
        if self.hook_params.as_ref().is_some_and(|params| !params.is_empty())
            || self.handler.is_some()
            || self.output_processor.is_some()
        {
            return Err("hook_params, handler and output_processor are not supported yet; leave them out.".to_owned());
        }
        if self.statements().is_empty() {
            return Err("List of SQL statements is empty.".to_owned());
        }
        Ok(Runnable::Work(Box::new(self)))
    }
}

impl SqlExecuteQuery {
    fn statements(&self) -> Vec<String> {
        let texts = match &self.sql {
            Statements::One(text) => std::slice::from_ref(text),
            Statements::Several(texts) => texts,
        };
        if self.split_statements == Some(true) {
            texts.iter().flat_map(|text| split_statements(text)).collect()
        } else {
            texts.iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect()
        }
    }

    /// Airflow's rule for what the result is.
    fn result(&self, answers: Vec<Answer>) -> Value {
        let rows = |answer: Answer| answer.rows.map_or(Value::Null, Value::Array);
        let one = matches!(self.sql, Statements::One(_)) && (self.return_last || self.split_statements != Some(true));
        if one { answers.into_iter().last().map_or(Value::Null, rows) } else { answers.into_iter().map(rows).collect() }
    }

    async fn run_all(
        &self,
        ctx: &TaskContext,
        destination: &Destination,
        session: &mut Session,
    ) -> Result<Vec<Answer>, TaskError> {
        let parameters = self.given_parameters().map_err(TaskError::failed)?;
        let mut statements = Vec::new();
        for statement in self.statements() {
            let ready = with_parameters(&statement, &parameters, destination.dialect).map_err(|message| {
                TaskError::retryable(Cause::Parameters { operator: Self::NAME.to_owned(), message })
            })?;
            statements.push((statement, ready));
        }
        if !self.autocommit {
            run(session, "BEGIN", "BEGIN").await?;
        }
        let mut answers = Vec::new();
        for (written, ready) in &statements {
            // As written, so that no value of a parameter is in the log.
            ctx.info(format!("Running statement: {written}"));
            let answer = run(session, ready, written).await?;
            ctx.info(format!("Rows affected: {}", answer.affected));
            answers.push(answer);
        }
        if !self.autocommit {
            run(session, "COMMIT", "COMMIT").await?;
        }
        Ok(answers)
    }

    /// A template renders parameters to text: a literal in Python's or JSON's form.
    fn given_parameters(&self) -> Result<Value, String> {
        match &self.parameters {
            Value::String(text) if text.trim().is_empty() => Ok(Value::Null),
            Value::String(text) => serde_json::from_str(text)
                .or_else(|_| serde_json::from_str(&text.replace('\'', "\"")))
                .map_err(|_| "parameters is a text that is neither a list nor a table of names and values.".to_owned()),
            other => Ok(other.clone()),
        }
    }
}

async fn run(session: &mut Session, text: &str, written: &str) -> Result<Answer, TaskError> {
    session.run(text).await.map_err(|error| TaskError::retryable(statement_failed(&error, written)))
}

/// Asks the server, over a session of its own, to give up what the other session runs.
async fn cancel(ctx: &TaskContext, destination: &Destination, connection: &Connection, process: i64) {
    let asking = async {
        let mut session = Session::open(destination, connection).await?;
        let order = format!("SELECT pg_cancel_backend({process})");
        let answer = session.run(&order).await.map_err(|error| statement_failed(&error, &order))?;
        session.close().await;
        Ok::<_, Cause>(answer)
    };
    match tokio::time::timeout(CANCEL, asking).await {
        Ok(Ok(_)) => ctx.info("The statement was cancelled on the server."),
        Ok(Err(cause)) => {
            ctx.error(format!("The statement could not be cancelled on the server: {}", cause.sentence()));
        }
        Err(_) => ctx.error("The statement could not be cancelled on the server in time; it may still run there."),
    }
}

#[async_trait]
impl Operator for SqlExecuteQuery {
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        let connection = ctx.services.connection(self.conn_id.as_deref().unwrap_or_default()).await?;
        let destination = destination(&connection, self.database.as_deref()).map_err(TaskError::fatal)?;
        let mut session = tokio::select! {
            biased;
            () = ctx.cancelled.cancelled() => return Err(TaskError::Cancelled),
            opened = Session::open(&destination, &connection) => opened.map_err(TaskError::retryable)?,
        };
        let process = session.server_process().await;
        let process = process.map_err(|e| TaskError::retryable(statement_failed(&e, "SELECT pg_backend_pid()")))?;
        let finished = tokio::select! {
            biased;
            () = ctx.cancelled.cancelled() => None,
            answers = self.run_all(ctx, &destination, &mut session) => Some(answers),
        };
        let Some(answers) = finished else {
            if let Some(process) = process {
                cancel(ctx, &destination, &connection, process).await;
            }
            return Err(TaskError::Cancelled);
        };
        let value = self.result(answers?);
        session.close().await;
        if self.show_return_value_in_logs {
            ctx.info(format!("Returned value: {value}"));
        }
        Ok(Done { value: (!value.is_null()).then_some(value), routing: None })
    }

    fn stops_itself(&self) -> bool {
        true
    }
}

#[cfg(test)]
#[path = "execute_query_tests.rs"]
mod tests;
