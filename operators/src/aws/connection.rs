//! What an `aws` connection says, in Airflow's words.

use serde_json::{Map, Value};
use windrose_core::connection::Connection;

use super::parameters::Verify;

/// Keys that stand in the connection itself.
#[derive(Clone)]
pub struct StaticKeys {
    /// Access key id.
    pub id: String,
    /// Secret access key.
    pub secret: String,
}

/// A role to take on with the connection's own credentials.
#[derive(Clone)]
pub struct RoleToAssume {
    /// Its ARN.
    pub arn: String,
    /// How.
    pub method: AssumeRoleMethod,
    /// More of the request, in the API's words: `ExternalId`, `DurationSeconds`, ….
    pub kwargs: Map<String, Value>,
}

/// How a role is taken on.
#[derive(Clone, PartialEq, Eq)]
pub enum AssumeRoleMethod {
    /// By `sts:AssumeRole`.
    AssumeRole,
    /// By `sts:AssumeRoleWithWebIdentity`, with the token in this file; if none is named, in the one that the
    /// environment names.
    WebIdentityFile(Option<String>),
}

/// An `aws` connection, read once. It holds secrets, so it has no `Debug`.
#[derive(Clone, Default)]
pub struct AwsConnection {
    /// The id it was looked up under; `None` for the SDK's default chain.
    pub conn_id: Option<String>,
    /// Keys, and the part of the connection they stand in.
    pub keys: Option<(StaticKeys, &'static str)>,
    /// A session token, and the part of the connection it stands in.
    pub session_token: Option<(String, &'static str)>,
    /// A profile of the shared configuration files.
    pub profile_name: Option<String>,
    /// The region.
    pub region_name: Option<String>,
    /// How certificates are checked.
    pub verify: Option<Verify>,
    /// The role to take on.
    pub role: Option<RoleToAssume>,
    /// Where all services but the STS of the role are found.
    pub endpoint_url: Option<String>,
    /// Settings per service.
    pub service_config: Map<String, Value>,
    /// Settings of the client in botocore's words.
    pub config_kwargs: Map<String, Value>,
    /// What a person may want to know.
    pub warnings: Vec<String>,
}

impl AwsConnection {
    /// Reads a connection.
    ///
    /// # Errors
    /// A sentence that names the connection and the key, never a secret.
    pub fn read(connection: &Connection) -> Result<Self, String> {
        let id = &connection.conn_id;
        let extra = extra_of(connection)?;
        let object = |key: &str| object_of(&extra, key).map_err(|e| format!("connection '{id}': {e}"));
        let session_kwargs = object("session_kwargs")?;
        let keys = match (non_empty(connection.login.as_deref()), non_empty(connection.password.as_deref())) {
            (Some(login), Some(password)) => Some((StaticKeys { id: login, secret: password }, "login and password")),
            _ => keys_in(&extra)
                .map(|keys| (keys, "extra"))
                .or_else(|| keys_in(&session_kwargs).map(|keys| (keys, "extra['session_kwargs']"))),
        };
        let session_token = text(&extra, "aws_session_token")
            .map(|t| (t, "extra"))
            .or_else(|| text(&session_kwargs, "aws_session_token").map(|t| (t, "extra['session_kwargs']")));
        let profile_name = text(&extra, "profile_name").or_else(|| text(&session_kwargs, "profile_name"));
        let mut warnings = Vec::new();
        if !connection.conn_type.is_empty() && connection.conn_type != "aws" {
            warnings.push(format!(
                "Connection '{id}' has the type '{}', not 'aws'. This connection might not work correctly.",
                connection.conn_type
            ));
        }
        if extra.contains_key("profile") && profile_name.is_none() {
            warnings.push(format!("Connection '{id}' has 'profile' in its extra; it is 'profile_name' that counts."));
        }
        Ok(Self {
            conn_id: Some(id.clone()),
            keys,
            session_token,
            profile_name,
            region_name: text(&extra, "region_name").or_else(|| text(&session_kwargs, "region_name")),
            verify: extra.get("verify").and_then(verify_of),
            role: role_of(id, &extra)?,
            endpoint_url: text(&extra, "endpoint_url"),
            service_config: object("service_config")?,
            config_kwargs: object("config_kwargs")?,
            warnings,
        })
    }

    /// The texts that must not be seen.
    #[must_use]
    pub fn secrets(&self) -> Vec<&str> {
        let keys = self.keys.iter().map(|(keys, _)| keys.secret.as_str());
        keys.chain(self.session_token.iter().map(|(token, _)| token.as_str())).collect()
    }

    /// A setting of one service: `service_config.<service>.<key>`.
    #[must_use]
    pub fn service_setting(&self, service: &str, key: &str) -> Option<String> {
        self.service_config.get(service)?.get(key)?.as_str().filter(|t| !t.is_empty()).map(str::to_owned)
    }

    /// Who calls, for error messages.
    #[must_use]
    pub fn identity(&self) -> String {
        let who = match (&self.role, &self.keys, &self.profile_name) {
            (Some(role), _, _) => format!("role {}", role.arn),
            (None, Some((keys, _)), _) => format!("access key {}", keys.id),
            (None, None, Some(profile)) => format!("profile '{profile}'"),
            (None, None, None) => "the worker's own identity".to_owned(),
        };
        match &self.conn_id {
            Some(id) => format!("{who} (connection '{id}')"),
            None => who,
        }
    }
}

fn extra_of(connection: &Connection) -> Result<Map<String, Value>, String> {
    match connection.extra.as_deref().map(str::trim) {
        None | Some("") => Ok(Map::new()),
        Some(text) => serde_json::from_str(text).map_err(|e| {
            // Only the place: the text may hold a secret.
            format!(
                "the extra of connection '{}' is not a JSON object (line {}, column {})",
                connection.conn_id,
                e.line(),
                e.column()
            )
        }),
    }
}

fn non_empty(text: Option<&str>) -> Option<String> {
    text.filter(|t| !t.is_empty()).map(str::to_owned)
}

fn text(map: &Map<String, Value>, key: &str) -> Option<String> {
    non_empty(map.get(key).and_then(Value::as_str))
}

fn keys_in(map: &Map<String, Value>) -> Option<StaticKeys> {
    Some(StaticKeys { id: text(map, "aws_access_key_id")?, secret: text(map, "aws_secret_access_key")? })
}

/// An object, or the JSON text of one, which is what the query of a connection URI gives.
fn object_of(map: &Map<String, Value>, key: &str) -> Result<Map<String, Value>, String> {
    match map.get(key) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object.clone()),
        Some(Value::String(text)) if text.is_empty() => Ok(Map::new()),
        Some(Value::String(text)) => {
            serde_json::from_str(text).map_err(|_| format!("'{key}' in the extra is not a JSON object"))
        }
        Some(_) => Err(format!("'{key}' in the extra is not an object")),
    }
}

fn verify_of(value: &Value) -> Option<Verify> {
    match value {
        Value::Bool(check) => Some(Verify::Check(*check)),
        // The query of a connection URI has only texts.
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "" => None,
            "true" => Some(Verify::Check(true)),
            "false" => Some(Verify::Check(false)),
            _ => Some(Verify::CaBundle(text.clone())),
        },
        _ => None,
    }
}

fn role_of(id: &str, extra: &Map<String, Value>) -> Result<Option<RoleToAssume>, String> {
    let Some(arn) = text(extra, "role_arn") else { return Ok(None) };
    let method = text(extra, "assume_role_method").unwrap_or_else(|| "assume_role".to_owned());
    let method = match method.as_str() {
        "assume_role" => AssumeRoleMethod::AssumeRole,
        "assume_role_with_web_identity" => web_identity_of(id, extra)?,
        "assume_role_with_saml" => {
            return Err(format!("connection '{id}': assume_role_with_saml is not supported yet"));
        }
        other => {
            return Err(format!(
                "connection '{id}': there is no assume_role_method '{other}'; it is assume_role or \
                 assume_role_with_web_identity"
            ));
        }
    };
    let kwargs = object_of(extra, "assume_role_kwargs").map_err(|e| format!("connection '{id}': {e}"))?;
    Ok(Some(RoleToAssume { arn, method, kwargs }))
}

fn web_identity_of(id: &str, extra: &Map<String, Value>) -> Result<AssumeRoleMethod, String> {
    let nested = object_of(extra, "assume_role_with_web_identity").map_err(|e| format!("connection '{id}': {e}"))?;
    let setting = |flat: &str, short: &str| text(extra, flat).or_else(|| text(&nested, short));
    match setting("assume_role_with_web_identity_federation", "federation").as_deref() {
        Some("file") => {
            Ok(AssumeRoleMethod::WebIdentityFile(setting("assume_role_with_web_identity_token_file", "token_file")))
        }
        Some("google") => {
            Err(format!("connection '{id}': web identity federation with google is not supported yet; use 'file'"))
        }
        _ => Err(format!(
            "connection '{id}': assume_role_with_web_identity needs assume_role_with_web_identity_federation = 'file'"
        )),
    }
}
