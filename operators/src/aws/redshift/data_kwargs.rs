//! `redshift_data_api_kwargs`: a transfer goes by the Data API instead of the wire.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::data_api::{Submission, named_values};
use super::data_statement::{POLL_INTERVAL, Waiting};
use crate::seconds::Seconds;

/// Where a transfer's statements run, and how they are waited for.
#[derive(Debug, Clone)]
pub(super) struct DataApiRoute {
    pub(super) submission: Submission,
    pub(super) waiting: Waiting,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DataKwargs {
    database: Option<String>,
    cluster_identifier: Option<String>,
    workgroup_name: Option<String>,
    session_id: Option<String>,
    db_user: Option<String>,
    secret_arn: Option<String>,
    statement_name: Option<String>,
    #[serde(default)]
    with_event: bool,
    wait_for_completion: Option<bool>,
    poll_interval: Option<Seconds>,
    session_keep_alive_seconds: Option<i32>,
}

/// Reads them; `None` if there are none.
///
/// # Errors
/// A sentence that names the key.
pub(super) fn data_api_route(kwargs: &Map<String, Value>, parameters: &Value) -> Result<Option<DataApiRoute>, String> {
    if kwargs.is_empty() {
        return Ok(None);
    }
    if let Some(own) = ["sql", "parameters"].iter().find(|key| kwargs.contains_key(**key)) {
        return Err(format!("Cannot include param '{own}' in Redshift Data API kwargs"));
    }
    let given =
        DataKwargs::deserialize(Value::Object(kwargs.clone())).map_err(|e| format!("redshift_data_api_kwargs: {e}"))?;
    let submission = Submission {
        database: given.database,
        cluster_identifier: given.cluster_identifier,
        workgroup_name: given.workgroup_name,
        session_id: given.session_id,
        db_user: given.db_user,
        secret_arn: given.secret_arn,
        statement_name: given.statement_name,
        with_event: given.with_event,
        session_keep_alive_seconds: given.session_keep_alive_seconds,
        parameters: named_values(parameters)?,
    };
    let waiting = Waiting::new(given.wait_for_completion.unwrap_or(true), given.poll_interval.unwrap_or(POLL_INTERVAL));
    Ok(Some(DataApiRoute { submission: submission.checked()?, waiting }))
}
