//! A statement of the Data API as remote work: handed over once, looked at until it ends, cancelled if need be. What is
//! kept of it is its id.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_redshiftdata::operation::describe_statement::DescribeStatementOutput;
use aws_sdk_redshiftdata::types::StatementStatusString;
use serde_json::Value;
use tokio::sync::OnceCell;
use windrose_core::cause::{Cause, REDSHIFT_STATEMENT};

use super::data_api::{self, Sql, Submission, SubmitError};
use super::data_result::{Results, RowsAs};
use super::load_error::{self, LoadedBy};
use super::masked_sql::shown_sql;
use crate::aws::parameters::AwsParameters;
use crate::aws::session::{AwsSession, session_for};
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::remote_job::Progress;
use crate::seconds::Seconds;

/// Airflow's interval between two looks.
pub(super) const POLL_INTERVAL: Seconds = Seconds::from_whole(10);

/// How often, and at which intervals, the answer about a bad row is looked for: after that the task fails without it.
const LOOKS: u32 = 30;
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// That answer is no larger, in bytes.
const LARGEST_ROW: u64 = 64 * 1024;

/// How a statement is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) wait_for_completion: bool,
    pub(super) poll_interval: Duration,
}

impl Waiting {
    /// An interval of nothing would be a busy loop; Airflow only warns of it.
    pub(super) fn new(wait_for_completion: bool, poll_interval: Seconds) -> Self {
        let given = poll_interval.0;
        Self { wait_for_completion, poll_interval: if given.is_zero() { POLL_INTERVAL.0 } else { given } }
    }
}

/// Statements in one place, with one identity.
pub(super) struct DataStatement {
    aws: AwsParameters,
    submission: Submission,
    session: OnceCell<Arc<AwsSession>>,
}

impl DataStatement {
    pub(super) fn new(aws: AwsParameters, submission: Submission) -> Self {
        Self { aws, submission, session: OnceCell::new() }
    }

    /// One session for all calls of an attempt, so the log says once whose credentials they carry.
    pub(super) async fn session(&self, ctx: &TaskContext) -> Result<&AwsSession, TaskError> {
        self.session.get_or_try_init(|| session_for(ctx, &self.aws)).await.map(AsRef::as_ref)
    }

    /// Hands it over. What comes back is the handle.
    pub(super) async fn submit(&self, ctx: &TaskContext, sql: &Sql, operator: &str) -> Result<Value, TaskError> {
        let session = self.session(ctx).await?;
        let token = ctx.idempotency_token();
        match data_api::execute(session, &self.submission, sql, token).await {
            Ok(id) => {
                ctx.info(format!("Redshift statement {id} is submitted"));
                Ok(Value::String(id))
            }
            Err(SubmitError::Aws(error)) => Err(error.into()),
            Err(SubmitError::Request(message)) => {
                Err(TaskError::fatal(Cause::Parameters { operator: operator.to_owned(), message }))
            }
        }
    }

    pub(super) async fn poll(&self, ctx: &TaskContext, handle: &Value) -> Result<Progress, TaskError> {
        let Some(id) = handle.as_str() else { return Ok(Progress::Unknown) };
        match data_api::describe(self.session(ctx).await?, id).await {
            Ok(answer) => Ok(progress(ctx, &answer)),
            // Statements are known for a day.
            Err(error) if error.is("ResourceNotFoundException") || error.is("ValidationException") => {
                Ok(Progress::Unknown)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The last look, for the parts of a batch; it leaves the XCom `session_id` if the statement ran in a session.
    pub(super) async fn described(
        &self,
        ctx: &TaskContext,
        handle: &Value,
    ) -> Result<DescribeStatementOutput, TaskError> {
        let answer = data_api::describe(self.session(ctx).await?, handle.as_str().unwrap_or_default()).await?;
        if let Some(session_id) = answer.session_id() {
            ctx.xcom_push("session_id", session_id.into());
        }
        Ok(answer)
    }

    /// The error with the row that a `COPY` could not load, if it is about one. That takes a statement of its own.
    pub(super) async fn with_bad_row(&self, ctx: &TaskContext, handle: &Value, error: TaskError) -> TaskError {
        if load_error::question(&error, LoadedBy::ThisSession).is_none() {
            return error;
        }
        match self.bad_row(ctx, handle, &error).await {
            Ok(Some(row)) => load_error::told(error, &row),
            Ok(None) => error,
            Err(refused) => {
                ctx.warn(format!("Which row could not be loaded is not known: {refused}"));
                error
            }
        }
    }

    async fn bad_row(&self, ctx: &TaskContext, handle: &Value, error: &TaskError) -> Result<Option<Value>, TaskError> {
        let session = self.session(ctx).await?;
        let answer = data_api::describe(session, handle.as_str().unwrap_or_default()).await?;
        let parts = answer.sub_statements();
        let culprit = parts.iter().find(|part| part.status() == Some(&StatementStatusString::Failed));
        let number = culprit.map_or_else(|| answer.redshift_query_id(), |part| part.redshift_query_id());
        let Some(question) = load_error::question(error, LoadedBy::Query(number)) else { return Ok(None) };
        let submission = Submission {
            parameters: Vec::new(),
            statement_name: None,
            with_event: false,
            session_keep_alive_seconds: None,
            ..self.submission.clone()
        };
        let token = uuid::Uuid::new_v4().to_string();
        let id = match data_api::execute(session, &submission, &Sql::One(question), token).await {
            Ok(id) => id,
            Err(SubmitError::Aws(refused)) => return Err(refused.into()),
            Err(SubmitError::Request(message)) => return Err(TaskError::failed(message)),
        };
        for _ in 0..LOOKS {
            let answer = data_api::describe(session, &id).await?;
            match answer.status().map_or("SUBMITTED", |status| status.as_str()) {
                "FINISHED" => {
                    let (rows_as, largest) = (RowsAs::Lists, LARGEST_ROW);
                    let rows = Results { session, rows_as, largest, used: 0 }.of(&id).await?;
                    return Ok(rows.get(0).cloned());
                }
                "FAILED" | "ABORTED" => {
                    return Err(TaskError::failed(answer.error().unwrap_or("no reason is given").to_owned()));
                }
                _ => ctx.sleep(BETWEEN_LOOKS).await?,
            }
        }
        Err(TaskError::failed("the question was not answered in time"))
    }

    pub(super) async fn cancel(&self, ctx: &TaskContext, handle: &Value) -> Result<(), TaskError> {
        let Some(id) = handle.as_str() else { return Ok(()) };
        ctx.info(format!("Received a kill signal. Stopping Query with statementId - {id}"));
        Ok(data_api::cancel(self.session(ctx).await?, id).await?)
    }
}

fn progress(ctx: &TaskContext, answer: &DescribeStatementOutput) -> Progress {
    match answer.status().map_or("SUBMITTED", |status| status.as_str()) {
        "FINISHED" => {
            ctx.info(format!("Processed {} rows", answer.result_rows()));
            Progress::Succeeded
        }
        state @ ("FAILED" | "ABORTED") => {
            ctx.error(format!("Statement {} terminated with status {state}.", answer.id()));
            Progress::Failed(failure(answer, state))
        }
        state => Progress::Running(state.to_owned()),
    }
}

/// The statement, its id, and the error with its position: nothing else of the answer.
fn failure(answer: &DescribeStatementOutput, state: &str) -> TaskError {
    let parts = answer.sub_statements();
    let culprit = parts.iter().find(|part| part.status() == Some(&StatementStatusString::Failed));
    let error = answer.error().or_else(|| culprit.and_then(|part| part.error())).unwrap_or("no reason is given");
    let text = culprit.map_or_else(|| answer.query_string(), |part| part.query_string());
    let statement = text.map(|text| format!(" Statement: {}", shown_sql(text))).unwrap_or_default();
    TaskError::retryable(Cause::RemoteFailed {
        what: REDSHIFT_STATEMENT.to_owned(),
        id: answer.id().to_owned(),
        state: state.to_owned(),
        message: Some(format!("{}{statement}", super::masked_sql::masked_sql(error))),
        links: Vec::new(),
    })
}
