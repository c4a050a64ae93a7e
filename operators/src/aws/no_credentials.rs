//! Calls for which no credentials were found: how that is recognised, and what a person is told.

use aws_config::imds::client::error::ImdsError;
use aws_credential_types::provider::error::CredentialsError;

use super::connection::AwsConnection;
use super::error::chain;

/// boto's word for it.
pub(super) const NO_CREDENTIALS: &str = "NoCredentials";

/// Whether the SDK has looked everywhere and found none. The instance's metadata service is the last place; whatever it
/// answers, on most machines it only means that there is none.
pub(super) fn none_found(error: &CredentialsError) -> bool {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => true,
        other => chain(other).any(|link| link.is::<ImdsError>()),
    }
}

/// Which connection was asked, what else was, and what to do. `asked` is the connection that the task names; the secrets
/// backend has settings but no connection.
pub(super) fn message(connection: &AwsConnection, asked: Option<&str>) -> String {
    let asked = asked.filter(|id| !id.is_empty());
    let from_connection = match (&connection.conn_id, asked) {
        (Some(_), None) => "the options of the secrets backend hold none".to_owned(),
        (Some(id), Some(_)) => format!("connection '{id}' holds none (no login and password, no profile_name)"),
        (None, Some(id)) => format!("there is no connection '{id}'"),
        (None, None) => "the task names no connection".to_owned(),
    };
    let advice = match (&connection.conn_id, asked) {
        (Some(_), None) => {
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for Windrose, or add profile_name to the backend's options"
                .to_owned()
        }
        (_, asked) => {
            let id = asked.unwrap_or("aws_default");
            format!(
                "Store keys with `windrose connections set {id} '{{\"conn_type\": \"aws\", \"login\": \"KEY ID\", \
                 \"password\": \"SECRET KEY\"}}'` or in AIRFLOW_CONN_{}, or let its extra name a profile (profile_name)",
                id.to_uppercase()
            )
        }
    };
    format!(
        "Unable to locate credentials: {from_connection}, and the SDK's default chain found none either (it asked the \
         environment, the shared profile, the web identity token, the container and the instance's metadata). {advice}, \
         or give the worker's host a role."
    )
}
