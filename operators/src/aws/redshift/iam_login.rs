//! Redshift connections with `iam = true`: a temporary login instead of a password.

use serde_json::{Map, Value};
use windrose_core::cause::Cause;
use windrose_core::connection::Connection;

use crate::aws::parameters::{AwsParameters, DEFAULT_CONN_ID};
use crate::aws::session::{AwsSession, session_for};
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::sql::connect::{truth, whole};

/// How long a login for a workgroup is good, in seconds.
const TOKEN_SECONDS: i32 = 3600;

/// The connection as it is, or, if it is one of Redshift's and says `iam`, with a temporary login: from the workgroup
/// that it names, else from the cluster. AWS is asked as this connection, or `aws_default` if none is given.
///
/// # Errors
/// AWS refuses, or the connection does not say whom to ask.
pub async fn with_iam_login(
    ctx: &TaskContext,
    connection: Connection,
    aws_conn_id: Option<&str>,
) -> Result<Connection, TaskError> {
    let mut extra = connection.extra_object();
    if connection.conn_type != "redshift" || !truth(extra.get("iam")) {
        return Ok(connection);
    }
    let aws = AwsParameters {
        aws_conn_id: Some(aws_conn_id.unwrap_or(DEFAULT_CONN_ID).to_owned()),
        region_name: text(&extra, "region"),
        ..AwsParameters::default()
    };
    let session = session_for(ctx, &aws).await?;
    let (login, password) = if truth(extra.get("is_serverless")) {
        workgroup_login(&session, &connection, &extra).await?
    } else {
        cluster_login(&session, &connection, &extra).await?
    };
    ctx.services.add_secret(&password);
    for replaced in ["iam", "user", "password"] {
        extra.remove(replaced);
    }
    let extra = Some(Value::Object(extra).to_string());
    Ok(Connection { login: Some(login), password: Some(password), extra, ..connection })
}

async fn workgroup_login(
    session: &AwsSession,
    connection: &Connection,
    extra: &Map<String, Value>,
) -> Result<(String, String), TaskError> {
    let Some(workgroup) = text(extra, "serverless_work_group") else {
        return Err(incomplete(
            connection,
            "Please set serverless_work_group in redshift connection to use IAM with Redshift Serverless.",
        ));
    };
    let seconds = extra.get("serverless_token_duration_seconds").and_then(whole).and_then(|s| i32::try_from(s).ok());
    let seconds = seconds.unwrap_or(TOKEN_SECONDS);
    let call = session.redshift_serverless().get_credentials().workgroup_name(workgroup).duration_seconds(seconds);
    let answer = call.set_db_name(database(connection, extra)).send().await;
    let answer = answer.map_err(|e| session.error("redshift-serverless", "GetCredentials", &e))?;
    login(connection, answer.db_user, answer.db_password)
}

async fn cluster_login(
    session: &AwsSession,
    connection: &Connection,
    extra: &Map<String, Value>,
) -> Result<(String, String), TaskError> {
    // my-cluster.ccdre4hpd39h.us-east-1.redshift.amazonaws.com
    let of_host = || connection.host.as_deref().and_then(|host| host.split('.').next()).map(str::to_owned);
    let Some(cluster) = text(extra, "cluster_identifier").or_else(of_host).filter(|c| !c.is_empty()) else {
        return Err(incomplete(
            connection,
            "iam = true needs cluster_identifier in the extra, or a host that begins with it.",
        ));
    };
    let Some(user) = connection.login.clone().filter(|login| !login.is_empty()) else {
        return Err(incomplete(connection, "iam = true needs a login: the database user to act as."));
    };
    let call =
        session.redshift().get_cluster_credentials().db_user(user).cluster_identifier(cluster).auto_create(false);
    let answer = call.set_db_name(database(connection, extra)).send().await;
    let answer = answer.map_err(|e| session.error("redshift", "GetClusterCredentials", &e))?;
    login(connection, answer.db_user, answer.db_password)
}

fn login(
    connection: &Connection,
    user: Option<String>,
    password: Option<String>,
) -> Result<(String, String), TaskError> {
    user.zip(password).ok_or_else(|| incomplete(connection, "AWS answered without a login for the database."))
}

fn incomplete(connection: &Connection, message: &str) -> TaskError {
    let id = connection.conn_id.clone();
    TaskError::retryable(Cause::Connection { id, message: message.to_owned(), asked: Vec::new() })
}

fn database(connection: &Connection, extra: &Map<String, Value>) -> Option<String> {
    text(extra, "database").or_else(|| connection.schema.clone()).filter(|name| !name.is_empty())
}

fn text(extra: &Map<String, Value>, key: &str) -> Option<String> {
    extra.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned)
}
