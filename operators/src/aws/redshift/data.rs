//! `redshift_data`: SQL by the Redshift Data API, without a connection to the database.
//!
//! Calls: ExecuteStatement (BatchExecuteStatement for a list), DescribeStatement every `poll_interval` until it has
//! ended, and once more for the parts of a batch. A retry takes hold of the statement that the try before it submitted.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use windrose_core::catalog::OperatorKind;

use super::data_api::{NamedValue, Sql, Submission};
use super::data_result::{Results, RowsAs};
use super::data_statement::{DataStatement, POLL_INTERVAL, Waiting};
use crate::aws::parameters::aws_parameters;
use crate::aws::s3_key_sensor::OneOrMany;
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Parameters, Runnable};
use crate::remote_job::{Progress, RemoteJob};
use crate::seconds::Seconds;

fn yes() -> bool {
    true
}

fn poll_interval() -> Seconds {
    POLL_INTERVAL
}

fn max_result_bytes() -> u64 {
    1024 * 1024
}

aws_parameters! {
    /// Parameters of `redshift_data`. The connection is one of type `aws`; whoever it names needs the right to use the
    /// Data API, and logs in to the database by `secret_arn`, `db_user` or as itself.
    pub struct RedshiftDataParameters {
        /// The statement, or a list of at most 40 that run in one transaction; also the name of a file in the DAG's
        /// folder that ends in `.sql`.
        #[schemars(extend("x-template" = true, "x-template-file" = [".sql"]))]
        sql: OneOrMany,
        /// The database; left out together with `session_id`.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        database: Option<String>,
        /// The cluster. Exactly one of `cluster_identifier`, `workgroup_name` and `session_id` is given.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        cluster_identifier: Option<String>,
        /// The serverless workgroup.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        workgroup_name: Option<String>,
        /// A session that an earlier statement has left open: its XCom `session_id`.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        session_id: Option<String>,
        /// The database user, for a cluster and temporary credentials.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        db_user: Option<String>,
        /// The secret with user and password in Redshift's JSON form (not an Airflow connection).
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        secret_arn: Option<String>,
        /// Values for `:name` in the statement.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        parameters: Vec<NamedValue>,
        /// The statement's name in the Data API.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        statement_name: Option<String>,
        /// Sends an event to EventBridge when the statement has ended.
        #[serde(default)]
        with_event: bool,
        /// Wait until the statement has ended.
        #[serde(default = "yes")]
        wait_for_completion: bool,
        /// Seconds between two looks at the statement.
        #[serde(default = "poll_interval")]
        poll_interval: Seconds,
        /// The result is the rows, one result per statement, instead of the statements' ids.
        #[serde(default)]
        return_sql_result: bool,
        /// The form of the rows.
        #[serde(default)]
        return_rows_as: RowsAs,
        /// A larger result is refused.
        #[serde(default = "max_result_bytes")]
        max_result_bytes: u64,
        /// Give the slot back while waiting.
        #[serde(default)]
        deferrable: bool,
        /// Keep the session open so many seconds for further statements (0 to 86400).
        #[serde(default)]
        session_keep_alive_seconds: Option<i32>,
        /// Cancel the statement when the task is cancelled or exceeds its time.
        #[serde(default = "yes")]
        cancel_on_kill: bool,
        /// A retry takes hold of the statement that the try before it submitted, instead of submitting it again.
        #[serde(default = "yes")]
        durable: bool,
    }
}

impl Parameters for RedshiftDataParameters {
    const NAME: &'static str = "redshift_data";
    const AIRFLOW: &'static str = "airflow.providers.amazon.aws.operators.redshift_data.RedshiftDataOperator";
    const SUMMARY: &'static str = "Runs SQL on Amazon Redshift by the Redshift Data API.";
    const KIND: OperatorKind = OperatorKind::Remote;

    fn build(self) -> Result<Runnable, String> {
        if self.return_sql_result && !self.wait_for_completion {
            return Err("return_sql_result needs wait_for_completion = true".to_owned());
        }
        let sql = match self.sql.clone() {
            OneOrMany::One(text) => Sql::One(text),
            OneOrMany::Many(texts) => Sql::Batch(texts),
        };
        sql.check()?;
        let submission = Submission {
            database: self.database.clone(),
            cluster_identifier: self.cluster_identifier.clone(),
            workgroup_name: self.workgroup_name.clone(),
            session_id: self.session_id.clone(),
            db_user: self.db_user.clone(),
            secret_arn: self.secret_arn.clone(),
            statement_name: self.statement_name.clone(),
            with_event: self.with_event,
            session_keep_alive_seconds: self.session_keep_alive_seconds,
            parameters: self.parameters.clone(),
        };
        Ok(Runnable::Remote(Box::new(RedshiftData {
            statement: DataStatement::new(self.aws(), submission.checked()?),
            sql,
            waiting: Waiting::new(self.wait_for_completion, self.poll_interval),
            p: self,
        })))
    }
}

struct RedshiftData {
    statement: DataStatement,
    sql: Sql,
    waiting: Waiting,
    p: RedshiftDataParameters,
}

#[async_trait]
impl RemoteJob for RedshiftData {
    async fn submit(&self, ctx: &TaskContext) -> Result<Value, TaskError> {
        if self.p.deferrable && !self.p.wait_for_completion {
            ctx.warn("deferrable has no effect, as wait_for_completion is false.");
        }
        if self.p.poll_interval.0.is_zero() {
            ctx.warn(format!("Invalid poll_interval: 0; {} s is used.", POLL_INTERVAL.0.as_secs()));
        }
        self.statement.submit(ctx, &self.sql, RedshiftDataParameters::NAME).await
    }

    async fn poll(&self, ctx: &TaskContext, handle: &Value) -> Result<Progress, TaskError> {
        self.statement.poll(ctx, handle).await
    }

    async fn finish(&self, ctx: &TaskContext, handle: &Value) -> Result<Done, TaskError> {
        let answer = self.statement.described(ctx, handle).await?;
        let parts = answer.sub_statements().iter().map(|part| part.id().to_owned());
        let mut ids: Vec<String> = parts.collect();
        if ids.is_empty() {
            ids.push(answer.id().to_owned());
        }
        if !self.p.return_sql_result {
            return Ok(Done::with(json!(ids)));
        }
        let session = self.statement.session(ctx).await?;
        let mut results =
            Results { session, rows_as: self.p.return_rows_as, largest: self.p.max_result_bytes, used: 0 };
        let mut all = Vec::new();
        for id in &ids {
            all.push(results.of(id).await?);
        }
        Ok(Done::with(Value::Array(all)))
    }

    async fn cancel(&self, ctx: &TaskContext, handle: &Value) -> Result<(), TaskError> {
        if self.p.cancel_on_kill { self.statement.cancel(ctx, handle).await } else { Ok(()) }
    }

    fn poll_interval(&self) -> Duration {
        self.waiting.poll_interval
    }

    fn waits(&self) -> bool {
        self.waiting.wait_for_completion
    }

    fn deferrable(&self) -> bool {
        self.p.deferrable
    }

    fn reattaches(&self) -> bool {
        self.p.durable
    }
}
