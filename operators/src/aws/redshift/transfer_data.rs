//! A transfer by the Data API: remote work, so a retry takes hold of the statement of the try before it.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_redshiftdata::operation::describe_statement::DescribeStatementOutput;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use windrose_core::cause::Cause;

use super::data_api::Sql;
use super::data_kwargs::DataApiRoute;
use super::data_statement::{DataStatement, Waiting};
use super::masked_sql::masked_sql;
use super::transfer::{DEFAULT_REDSHIFT_CONN_ID, Route, Transfer};
use super::transfer_error::advised;
use crate::aws::parameters::AwsParameters;
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::Done;
use crate::remote_job::{Progress, RemoteJob};

pub(super) struct DataTransfer<T> {
    transfer: T,
    route: Route,
    data_api: DataApiRoute,
    statement: OnceCell<DataStatement>,
}

impl<T: Transfer> DataTransfer<T> {
    pub(super) fn new(transfer: T, route: Route, data_api: DataApiRoute) -> Self {
        Self { transfer, route, data_api, statement: OnceCell::new() }
    }

    async fn statement(&self, ctx: &TaskContext) -> Result<&DataStatement, TaskError> {
        let open = async || {
            let aws_conn_id = self.aws_conn_id(ctx).await?;
            let aws = AwsParameters { aws_conn_id, ..self.route.credentials.aws() };
            Ok(DataStatement::new(aws, self.data_api.submission.clone()))
        };
        self.statement.get_or_try_init(open).await
    }

    /// Airflow looks `redshift_conn_id` up as an `aws` connection, and goes on with the SDK's default chain if there is
    /// none: that is kept for the id that nobody wrote.
    async fn aws_conn_id(&self, ctx: &TaskContext) -> Result<Option<String>, TaskError> {
        if let Some(id) = &self.route.data_api_aws_conn_id {
            return Ok(Some(id.clone()));
        }
        let written = self.route.redshift_conn_id.as_deref();
        let id = written.unwrap_or(DEFAULT_REDSHIFT_CONN_ID);
        match ctx.services.find_connection(id).await? {
            Some(found) if found.conn_type == "redshift" => Err(TaskError::fatal(Cause::Connection {
                id: id.to_owned(),
                message: "It is a redshift connection, but the Data API needs one of type aws. Name one in \
                          data_api_aws_conn_id."
                    .to_owned(),
                asked: Vec::new(),
            })),
            None if written.is_none() => {
                ctx.warn(format!(
                    "Unable to find AWS Connection ID '{id}', switching to empty. Name one in data_api_aws_conn_id."
                ));
                Ok(None)
            }
            _ => Ok(Some(id.to_owned())),
        }
    }

    /// How many rows the statement has moved, if the API says it.
    fn rows(answer: &DescribeStatementOutput) -> Option<i64> {
        let parts = answer.sub_statements();
        let moves =
            |text: &str| text.trim_start().get(..T::COMMAND.len()).is_some_and(|t| t.eq_ignore_ascii_case(T::COMMAND));
        let rows = if parts.is_empty() {
            answer.result_rows()
        } else {
            parts.iter().find(|part| part.query_string().is_some_and(moves))?.result_rows()
        };
        (rows >= 0).then_some(rows)
    }
}

#[async_trait]
impl<T: Transfer> RemoteJob for DataTransfer<T> {
    async fn submit(&self, ctx: &TaskContext) -> Result<Value, TaskError> {
        let clause = self.route.credentials.clause(ctx).await?;
        let mut script = self
            .transfer
            .script(&clause, &[])
            .map_err(|message| TaskError::fatal(Cause::Parameters { operator: T::OPERATOR.to_owned(), message }))?;
        ctx.info(format!("Executing {} command...", T::COMMAND));
        for statement in &script {
            ctx.info(format!("Running statement: {}", masked_sql(statement)));
        }
        // A batch is a transaction of its own.
        let sql = if script.len() == 1 { Sql::One(script.remove(0)) } else { Sql::Batch(script) };
        self.statement(ctx).await?.submit(ctx, &sql, T::OPERATOR).await
    }

    async fn poll(&self, ctx: &TaskContext, handle: &Value) -> Result<Progress, TaskError> {
        Ok(match self.statement(ctx).await?.poll(ctx, handle).await? {
            Progress::Failed(error) => {
                let error = self.statement(ctx).await?.with_bad_row(ctx, handle, error).await;
                Progress::Failed(advised(error, &self.route.credentials.acting()))
            }
            other => other,
        })
    }

    async fn finish(&self, ctx: &TaskContext, handle: &Value) -> Result<Done, TaskError> {
        let answer = self.statement(ctx).await?.described(ctx, handle).await?;
        if !self.waits() {
            return Ok(Done::with(json!({"statement_id": answer.id()})));
        }
        ctx.info(format!("{} command complete...", T::COMMAND));
        Ok(Done::with(self.transfer.result(ctx, &self.route.credentials, Self::rows(&answer)).await))
    }

    async fn cancel(&self, ctx: &TaskContext, handle: &Value) -> Result<(), TaskError> {
        self.statement(ctx).await?.cancel(ctx, handle).await
    }

    fn poll_interval(&self) -> Duration {
        let Waiting { poll_interval, .. } = self.data_api.waiting;
        poll_interval
    }

    fn waits(&self) -> bool {
        self.data_api.waiting.wait_for_completion
    }
}
