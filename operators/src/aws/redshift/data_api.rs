//! The calls of the Redshift Data API that statements are made of.

use aws_sdk_redshiftdata::operation::describe_statement::DescribeStatementOutput;
use aws_sdk_redshiftdata::types::SqlParameter;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::aws::error::AwsError;
use crate::aws::session::AwsSession;

/// botocore's name of the service.
const SERVICE: &str = "redshift-data";
/// A batch holds no more statements.
pub(super) const LARGEST_BATCH: usize = 40;
/// A session is kept no longer, in seconds.
const LONGEST_KEEP_ALIVE: i32 = 86_400;

/// A named parameter of a statement: `:name` in its text.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::aws) struct NamedValue {
    /// The name, without the colon.
    name: String,
    /// The value; the API knows texts only.
    value: Scalar,
}

/// A value that has one obvious text.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(serde_json::Number),
    Truth(bool),
}

impl NamedValue {
    fn for_api(&self) -> Result<SqlParameter, String> {
        let value = match &self.value {
            Scalar::Text(text) => text.clone(),
            Scalar::Number(number) => number.to_string(),
            Scalar::Truth(truth) => truth.to_string(),
        };
        SqlParameter::builder().name(&self.name).value(value).build().map_err(|e| e.to_string())
    }
}

/// One statement, or several in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sql {
    /// By ExecuteStatement.
    One(String),
    /// By BatchExecuteStatement.
    Batch(Vec<String>),
}

impl Sql {
    /// Checks what AWS would refuse.
    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::One(text) if text.trim().is_empty() => Err("sql is empty".to_owned()),
            Self::Batch(texts) if texts.is_empty() || texts.iter().any(|t| t.trim().is_empty()) => {
                Err("sql is an empty list, or has an empty statement in it".to_owned())
            }
            Self::Batch(texts) if texts.len() > LARGEST_BATCH => Err(format!(
                "sql has {} statements, but a batch of the Data API holds at most {LARGEST_BATCH}; use several tasks",
                texts.len()
            )),
            _ => Ok(()),
        }
    }
}

/// Where a statement runs and as whom, and what else a request says.
#[derive(Debug, Clone, Default)]
pub(super) struct Submission {
    pub(super) database: Option<String>,
    pub(super) cluster_identifier: Option<String>,
    pub(super) workgroup_name: Option<String>,
    pub(super) session_id: Option<String>,
    pub(super) db_user: Option<String>,
    pub(super) secret_arn: Option<String>,
    pub(super) statement_name: Option<String>,
    pub(super) with_event: bool,
    pub(super) session_keep_alive_seconds: Option<i32>,
    pub(super) parameters: Vec<NamedValue>,
}

impl Submission {
    /// Checks it as Airflow does. A text that rendered to nothing counts as not given.
    pub(super) fn checked(mut self) -> Result<Self, String> {
        for text in [
            &mut self.database,
            &mut self.cluster_identifier,
            &mut self.workgroup_name,
            &mut self.session_id,
            &mut self.db_user,
            &mut self.secret_arn,
            &mut self.statement_name,
        ] {
            *text = text.take().filter(|t| !t.is_empty());
        }
        let places = [&self.cluster_identifier, &self.workgroup_name, &self.session_id];
        if places.iter().filter(|place| place.is_some()).count() != 1 {
            return Err("Exactly one of cluster_identifier, workgroup_name, or session_id must be provided".to_owned());
        }
        let is_uuid4 = |text: &str| uuid::Uuid::parse_str(text).is_ok_and(|id| id.get_version_num() == 4);
        if self.session_id.as_deref().is_some_and(|id| !is_uuid4(id)) {
            return Err("session_id must be a valid UUID4".to_owned());
        }
        if self.session_keep_alive_seconds.is_some_and(|s| !(0..=LONGEST_KEEP_ALIVE).contains(&s)) {
            return Err(format!("Session keep alive duration must be between 0 and {LONGEST_KEEP_ALIVE} seconds."));
        }
        Ok(self)
    }
}

/// The parts of a request that ExecuteStatement and BatchExecuteStatement share.
macro_rules! filled {
    ($call:expr, $submission:expr, $parameters:expr, $token:expr) => {
        $call
            .set_database($submission.database.clone())
            .set_cluster_identifier($submission.cluster_identifier.clone())
            .set_workgroup_name($submission.workgroup_name.clone())
            .set_session_id($submission.session_id.clone())
            .set_db_user($submission.db_user.clone())
            .set_secret_arn($submission.secret_arn.clone())
            .set_statement_name($submission.statement_name.clone())
            .with_event($submission.with_event)
            .set_session_keep_alive_seconds($submission.session_keep_alive_seconds)
            .set_parameters($parameters)
            .client_token($token)
    };
}

/// Why a statement could not be handed over.
pub(super) enum SubmitError {
    /// The request cannot be made.
    Request(String),
    /// AWS refused it.
    Aws(AwsError),
}

/// Hands over the statement; the answer is its id. The same token again gives the same statement.
pub(super) async fn execute(
    session: &AwsSession,
    submission: &Submission,
    sql: &Sql,
    token: String,
) -> Result<String, SubmitError> {
    let parameters: Vec<SqlParameter> = submission
        .parameters
        .iter()
        .map(NamedValue::for_api)
        .collect::<Result<_, _>>()
        .map_err(SubmitError::Request)?;
    let parameters = (!parameters.is_empty()).then_some(parameters);
    let client = session.redshift_data();
    let id = match sql {
        Sql::One(text) => {
            let call = filled!(client.execute_statement(), submission, parameters, token).sql(text);
            let answer = call.send().await.map_err(|e| session.error(SERVICE, "ExecuteStatement", &e));
            answer.map_err(SubmitError::Aws)?.id
        }
        Sql::Batch(texts) => {
            let call = filled!(client.batch_execute_statement(), submission, parameters, token);
            let answer = call.set_sqls(Some(texts.clone())).send().await;
            let answer = answer.map_err(|e| session.error(SERVICE, "BatchExecuteStatement", &e));
            answer.map_err(SubmitError::Aws)?.id
        }
    };
    id.ok_or_else(|| SubmitError::Request("AWS answered without the statement's id".to_owned()))
}

/// How a statement stands.
pub(super) async fn describe(session: &AwsSession, id: &str) -> Result<DescribeStatementOutput, AwsError> {
    let call = session.redshift_data().describe_statement().id(id);
    call.send().await.map_err(|e| session.error(SERVICE, "DescribeStatement", &e))
}

/// Stops a statement.
pub(super) async fn cancel(session: &AwsSession, id: &str) -> Result<(), AwsError> {
    let call = session.redshift_data().cancel_statement().id(id);
    call.send().await.map(drop).map_err(|e| session.error(SERVICE, "CancelStatement", &e))
}

/// A page of a statement's result.
pub(super) async fn result_page(
    session: &AwsSession,
    id: &str,
    next: Option<String>,
) -> Result<aws_sdk_redshiftdata::operation::get_statement_result::GetStatementResultOutput, AwsError> {
    let call = session.redshift_data().get_statement_result().id(id).set_next_token(next);
    call.send().await.map_err(|e| session.error(SERVICE, "GetStatementResult", &e))
}

/// The parameters of a statement as a task gives them: a list of names and values.
pub(super) fn named_values(parameters: &Value) -> Result<Vec<NamedValue>, String> {
    match parameters {
        Value::Null => Ok(Vec::new()),
        given => Vec::deserialize(given)
            .map_err(|_| "parameters is not a list of tables with name and value, as the Data API wants it".to_owned()),
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_batch_holds_at_most_forty_statements() {
        let batch = |n: usize| Sql::Batch(vec!["SELECT 1".to_owned(); n]);
        assert!(batch(LARGEST_BATCH).check().is_ok());
        assert!(batch(LARGEST_BATCH + 1).check().unwrap_err().contains("at most 40"));
        assert!(batch(0).check().is_err());
    }
}
