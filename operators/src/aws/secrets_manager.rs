//! The AWS Secrets Manager backend: connections and variables, each a secret of its own.
//!
//! A look-up is one GetSecretValue, or none if the kind is switched off or the id does not match the lookup pattern.

use async_trait::async_trait;
use indexmap::IndexMap;
use serde_json::{Map, Value};
use tokio::sync::OnceCell;
use windrose_core::connection::{Connection, SecretNaming, connection_from_secret};

use super::connection::AwsConnection;
use super::parameters::AwsParameters;
use super::session::AwsSession;
use crate::secrets::SecretsBackend;

/// Options of Airflow's backend that no longer mean anything there either.
const FORMER_OPTIONS: [&str; 2] = ["full_url_mode", "are_secret_values_urlencoded"];

/// Codes that mean that the secret is not there, or not to be read.
const ABSENT: [&str; 5] = [
    "ResourceNotFoundException",
    "InvalidParameterException",
    "InvalidRequestException",
    "DecryptionFailure",
    "InternalServiceError",
];

/// The backend.
pub struct SecretsManagerBackend {
    connections: SecretNaming,
    variables: SecretNaming,
    extra_conn_words: IndexMap<String, Vec<String>>,
    /// Whose secrets, and where: an `aws` connection's extra.
    aws: Connection,
    session: OnceCell<AwsSession>,
}

impl SecretsManagerBackend {
    /// From the options of Airflow's `backend_kwargs`. Those that are not the backend's own are the extra of an `aws`
    /// connection: `region_name`, `role_arn`, `endpoint_url`, ….
    ///
    /// # Errors
    /// A sentence that names the option.
    pub fn new(mut options: Map<String, Value>) -> Result<Self, String> {
        for former in FORMER_OPTIONS {
            options.shift_remove(former);
        }
        for other in ["api_version", "use_ssl"] {
            if options.contains_key(other) {
                return Err(format!("the option '{other}' of the AWS Secrets Manager backend is not supported yet"));
            }
        }
        let separator = text(&mut options, "sep")?.unwrap_or_else(|| "/".to_owned());
        let connections = naming(&mut options, "connections", "airflow/connections", &separator)?;
        let variables = naming(&mut options, "variables", "airflow/variables", &separator)?;
        naming(&mut options, "config", "airflow/config", &separator)?;
        let extra_conn_words = match options.shift_remove("extra_conn_words") {
            None | Some(Value::Null) => IndexMap::new(),
            Some(words) => serde_json::from_value(words)
                .map_err(|_| "extra_conn_words is not an object of lists of texts".to_owned())?,
        };
        let aws = Connection {
            conn_id: "secrets backend".to_owned(),
            conn_type: "aws".to_owned(),
            extra: Some(Value::Object(options).to_string()),
            ..Connection::default()
        };
        // What is wrong is to be known at the start, not at the first look-up.
        AwsConnection::read(&aws)?;
        Ok(Self { connections, variables, extra_conn_words, aws, session: OnceCell::new() })
    }

    async fn value(&self, secret: &str) -> Result<Option<String>, String> {
        let open = || async { AwsSession::open(AwsConnection::read(&self.aws)?, &AwsParameters::default()).await };
        let session = self.session.get_or_try_init(open).await?;
        match session.secrets_manager().get_secret_value().secret_id(secret).send().await {
            // Binary secrets count as absent.
            Ok(answer) => Ok(answer.secret_string),
            Err(error) => {
                let error = session.error("secretsmanager", "GetSecretValue", &error);
                if ABSENT.contains(&error.code.as_str()) { Ok(None) } else { Err(error.to_string()) }
            }
        }
    }
}

#[async_trait]
impl SecretsBackend for SecretsManagerBackend {
    fn name(&self) -> &str {
        "AWS Secrets Manager"
    }

    async fn connection(&self, conn_id: &str) -> Result<Option<Connection>, String> {
        let Some(secret) = self.connections.secret_name(conn_id) else { return Ok(None) };
        let Some(value) = self.value(&secret).await? else { return Ok(None) };
        let read = connection_from_secret(conn_id, &value, &self.extra_conn_words)
            .map_err(|error| format!("the secret '{secret}' cannot be read: {error}"))?;
        if read.connection.conn_type.is_empty() {
            return Err(format!(
                "the secret '{secret}' is neither a connection's URI nor its JSON: it has no connection type; write it \
                 as type://login:password@host:port/schema or as JSON with conn_type or engine"
            ));
        }
        if let Some(key) = &read.schema_from {
            tracing::warn!(secret, key, "taken for the schema, which Airflow would not do");
        }
        if !read.dropped.is_empty() {
            tracing::debug!(secret, keys = ?read.dropped, "keys without a meaning for a connection");
        }
        Ok(Some(read.connection))
    }

    async fn variable(&self, key: &str) -> Result<Option<String>, String> {
        match self.variables.secret_name(key) {
            Some(secret) => self.value(&secret).await,
            None => Ok(None),
        }
    }
}

fn text(options: &mut Map<String, Value>, key: &str) -> Result<Option<String>, String> {
    match options.shift_remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("the option '{key}' of the AWS Secrets Manager backend is not a text")),
    }
}

fn naming(
    options: &mut Map<String, Value>,
    kind: &str,
    default_prefix: &str,
    separator: &str,
) -> Result<SecretNaming, String> {
    let key = format!("{kind}_prefix");
    let prefix = if options.contains_key(&key) { text(options, &key)? } else { Some(default_prefix.to_owned()) };
    let pattern = text(options, &format!("{kind}_lookup_pattern"))?;
    SecretNaming::new(prefix.as_deref(), separator, pattern.as_deref()).map_err(|error| error.to_string())
}
