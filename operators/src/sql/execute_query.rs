//! `sql_execute_query`: statements on a database, over its wire protocol.
//!
//! One session, statements in order, one commit at the end unless `autocommit`. An error rolls all back. Cancelling the
//! task cancels the statement on the server.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use windrose_core::catalog::OperatorKind;
use windrose_core::cause::Cause;

use super::connect::Dialect;
use super::error::statement_failed;
use super::handler::{Handler, OutputProcessor};
use super::hook_params::HookParams;
use super::literal::with_parameters;
use super::session::{Answer, Session};
use super::split::split_statements;
use super::watch::Watch;
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Operator, Parameters, Runnable};

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
    /// Arguments of Airflow's hook that mean something here: `database` or `schema` (the database), `options` (settings of
    /// a PostgreSQL session, `-c search_path=mine`), `aws_conn_id` (asks for the login of a Redshift connection with
    /// `iam`), `log_sql`.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
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
    /// What is made of each statement's rows: `fetch_all_handler` (all of them), `fetch_one_handler` (the first), or a
    /// function of a file in the DAG's folder, `scripts/rows.py:first`. It is given a DB-API cursor, after the last
    /// statement and before the commit.
    #[serde(default)]
    handler: Option<String>,
    /// What is made of all results: a function of a file in the DAG's folder, `scripts/rows.py:named`. It is given the
    /// list of results and the list of their columns, as Airflow's is, and returns a list of results.
    #[serde(default)]
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
        if self.statements().is_empty() {
            return Err("List of SQL statements is empty.".to_owned());
        }
        let hook = HookParams::read(&self.hook_params.clone().unwrap_or_default(), self.database.as_deref())?;
        let handler = Handler::named(self.handler.as_deref())?;
        let processor = OutputProcessor::named(self.output_processor.as_deref())?;
        Ok(Runnable::Work(Box::new(Query { given: self, hook, handler, processor })))
    }
}

/// The operator.
struct Query {
    given: SqlExecuteQuery,
    hook: HookParams,
    handler: Handler,
    processor: OutputProcessor,
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

    /// Airflow's rule for when the last statement's result stands for all.
    fn gives_one_result(&self) -> bool {
        matches!(self.sql, Statements::One(_)) && (self.return_last || self.split_statements != Some(true))
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

impl Query {
    /// Runs all statements; what they did is not committed yet.
    async fn run_all(
        &self,
        ctx: &TaskContext,
        dialect: Dialect,
        session: &mut Session,
    ) -> Result<Vec<Answer>, TaskError> {
        let parameters = self.given.given_parameters().map_err(TaskError::failed)?;
        let mut statements = Vec::new();
        for statement in self.given.statements() {
            let ready = with_parameters(&statement, &parameters, dialect).map_err(|message| {
                TaskError::retryable(Cause::Parameters { operator: SqlExecuteQuery::NAME.to_owned(), message })
            })?;
            statements.push((statement, ready));
        }
        if !self.given.autocommit {
            run(session, "BEGIN", "BEGIN").await?;
        }
        let mut answers = Vec::new();
        for (written, ready) in &statements {
            if self.hook.log_sql {
                // As written, so that no value of a parameter is in the log.
                ctx.info(format!("Running statement: {written}"));
            }
            let mut answer = run(session, ready, written).await?;
            ctx.info(format!("Rows affected: {}", answer.affected));
            if self.needs_columns() {
                session.describe_empty(ready, &mut answer).await;
            }
            answers.push(answer);
        }
        Ok(answers)
    }

    /// Functions are told the columns even if there are no rows.
    fn needs_columns(&self) -> bool {
        matches!(self.handler, Handler::Function(_)) || self.processor.is_function()
    }
}

#[async_trait]
impl Operator for Query {
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        let conn_id = self.given.conn_id.as_deref().unwrap_or_default();
        let (mut session, watch) = Watch::open(ctx, conn_id, &self.hook).await?;
        let mut answers = watch.over(ctx, self.run_all(ctx, watch.dialect(), &mut session)).await?;
        // If it fails, the end of the session undoes everything.
        let mut results = self.handler.results(ctx, &answers).await?;
        if !self.given.autocommit {
            watch.over(ctx, run(&mut session, "COMMIT", "COMMIT")).await?;
        }
        session.close().await;
        let one = self.given.gives_one_result();
        if one {
            results.drain(..results.len().saturating_sub(1));
            answers.drain(..answers.len().saturating_sub(1));
        }
        let mut results = self.processor.processed(ctx, results, &answers).await?;
        let value = if one { results.pop().unwrap_or_default() } else { Value::Array(results) };
        if self.given.show_return_value_in_logs {
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
