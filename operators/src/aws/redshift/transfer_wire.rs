//! A transfer over the database's wire protocol, in one transaction.

use async_trait::async_trait;
use serde_json::{Value, json};
use windrose_core::cause::Cause;

use super::load_error::{self, LoadedBy};
use super::masked_sql::{masked_sql, shown_sql};
use super::transfer::{DEFAULT_REDSHIFT_CONN_ID, KeyWanted, Route, Transfer};
use super::transfer_error::advised;
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Operator};
use crate::sql::connect::Dialect;
use crate::sql::error::statement_failed;
use crate::sql::hook_params::HookParams;
use crate::sql::literal::with_parameters;
use crate::sql::session::{Answer, Session};
use crate::sql::watch::Watch;

/// The columns of a table's primary key.
const PRIMARY_KEY: &str = "SELECT kcu.column_name FROM information_schema.table_constraints tco \
    JOIN information_schema.key_column_usage kcu ON kcu.constraint_name = tco.constraint_name \
    AND kcu.constraint_schema = tco.constraint_schema AND kcu.table_name = tco.table_name \
    WHERE tco.constraint_type = 'PRIMARY KEY' AND kcu.table_schema = %s AND kcu.table_name = %s \
    ORDER BY kcu.ordinal_position";

pub(super) struct WireTransfer<T> {
    pub(super) transfer: T,
    pub(super) route: Route,
}

#[async_trait]
impl<T: Transfer> Operator for WireTransfer<T> {
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        let conn_id = self.route.redshift_conn_id.as_deref().unwrap_or(DEFAULT_REDSHIFT_CONN_ID);
        let (mut session, watch) = Watch::open(ctx, conn_id, &HookParams::default()).await?;
        let rows = watch.over(ctx, self.carry_out(ctx, &mut session)).await;
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                let error = with_bad_row(ctx, &mut session, error).await;
                return Err(advised(error, &self.route.credentials.acting()));
            }
        };
        session.close().await;
        Ok(Done::with(self.transfer.result(ctx, &self.route.credentials, rows).await))
    }

    fn stops_itself(&self) -> bool {
        true
    }
}

impl<T: Transfer> WireTransfer<T> {
    /// The answer is the number of rows that were moved, if the database says it.
    async fn carry_out(&self, ctx: &TaskContext, session: &mut Session) -> Result<Option<i64>, TaskError> {
        let keys = self.keys(session).await?;
        let clause = self.route.credentials.clause(ctx).await?;
        let wrong = |message: String| TaskError::fatal(Cause::Parameters { operator: T::OPERATOR.to_owned(), message });
        let mut script = Vec::new();
        for written in self.transfer.script(&clause, &keys).map_err(wrong)? {
            let ready = with_parameters(&written, &self.route.parameters, Dialect::Redshift).map_err(wrong)?;
            script.push((written, ready));
        }
        let transaction = !self.route.autocommit || script.len() > 1;
        ctx.info(format!("Executing {} command...", T::COMMAND));
        if transaction {
            run(session, "BEGIN", "BEGIN").await?;
        }
        for (written, ready) in &script {
            ctx.info(format!("Running statement: {}", masked_sql(written)));
            run(session, ready, written).await?;
        }
        if transaction {
            run(session, "COMMIT", "COMMIT").await?;
        }
        ctx.info(format!("{} command complete...", T::COMMAND));
        let count = format!("SELECT {}", T::COUNT);
        match run(session, &count, &count).await {
            Ok(answer) => Ok(first_cell(&answer).as_i64()),
            Err(error) => {
                ctx.warn(format!("The number of rows is not known: {error}"));
                Ok(None)
            }
        }
    }

    async fn keys(&self, session: &mut Session) -> Result<Vec<String>, TaskError> {
        let Some(KeyWanted { schema, table }) = self.transfer.key_wanted() else { return Ok(Vec::new()) };
        let query = with_parameters(PRIMARY_KEY, &json!([schema, table]), Dialect::Redshift)
            .map_err(|message| TaskError::fatal(Cause::Parameters { operator: T::OPERATOR.to_owned(), message }))?;
        let rows = run(session, &query, PRIMARY_KEY).await?.rows.unwrap_or_default();
        let keys: Vec<String> = rows.iter().filter_map(|row| row[0].as_str()).map(str::to_owned).collect();
        if keys.is_empty() {
            return Err(TaskError::failed(format!(
                "No primary key on {schema}.{table}. Please provide keys on 'upsert_keys'"
            )));
        }
        Ok(keys)
    }
}

/// The error with the row that could not be loaded, if it is about one.
async fn with_bad_row(ctx: &TaskContext, session: &mut Session, error: TaskError) -> TaskError {
    let Some(question) = load_error::question(&error, LoadedBy::ThisSession) else { return error };
    // The transaction is lost, and takes no more questions. Outside of one this changes nothing.
    let asked = async {
        run(session, "ROLLBACK", "ROLLBACK").await?;
        run(session, &question, &question).await
    };
    match asked.await {
        Ok(answer) => match answer.rows.as_deref() {
            Some([row, ..]) => load_error::told(error, row),
            _ => error,
        },
        Err(refused) => {
            ctx.warn(format!("Which row could not be loaded is not known: {refused}"));
            error
        }
    }
}

fn first_cell(answer: &Answer) -> Value {
    answer.rows.as_ref().and_then(|rows| rows.first()).map(|row| row[0].clone()).unwrap_or_default()
}

async fn run(session: &mut Session, text: &str, written: &str) -> Result<Answer, TaskError> {
    session.run(text).await.map_err(|error| TaskError::retryable(statement_failed(&error, &shown_sql(written))))
}
