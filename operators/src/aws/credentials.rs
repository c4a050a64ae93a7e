//! Credentials of a connection: keys, a profile, the SDK's default chain, and on top of them a role.

use std::fmt;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_sts::types::{PolicyDescriptorType, ProvidedContext, Tag};
use serde_json::{Map, Value};

use super::connection::{AssumeRoleMethod, AwsConnection, RoleToAssume};
use super::error::AwsError;

/// What the connection itself holds; `None` leaves it to the SDK's default chain.
#[must_use]
pub fn own_credentials(connection: &AwsConnection) -> Option<SharedCredentialsProvider> {
    if let Some((keys, _)) = &connection.keys {
        let token = connection.session_token.as_ref().map(|(token, _)| token.clone());
        return Some(SharedCredentialsProvider::new(Credentials::new(
            keys.id.clone(),
            keys.secret.clone(),
            token,
            None,
            "connection",
        )));
    }
    let profile = connection.profile_name.as_ref()?;
    Some(SharedCredentialsProvider::new(ProfileFileCredentialsProvider::builder().profile_name(profile).build()))
}

/// The request by which a role is taken on.
#[derive(Clone)]
pub struct RoleRequest {
    role: RoleToAssume,
    session_name: String,
    duration_seconds: Option<i32>,
}

impl RoleRequest {
    /// Checks the connection's `assume_role_kwargs`.
    ///
    /// # Errors
    /// A sentence that names the parameter.
    pub fn new(conn_id: Option<&str>, role: &RoleToAssume) -> Result<Self, String> {
        const KNOWN: [&str; 12] = [
            "RoleArn",
            "RoleSessionName",
            "DurationSeconds",
            "ExternalId",
            "Policy",
            "PolicyArns",
            "Tags",
            "TransitiveTagKeys",
            "SerialNumber",
            "TokenCode",
            "SourceIdentity",
            "ProvidedContexts",
        ];
        if let Some(unknown) = role.kwargs.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            return Err(format!(
                "assume_role_kwargs has '{unknown}', which AssumeRole does not take; it takes {}",
                KNOWN.join(", ")
            ));
        }
        let duration_seconds = match role.kwargs.get("DurationSeconds") {
            None | Some(Value::Null) => None,
            Some(value) => Some(
                whole_number(value)
                    .ok_or_else(|| "assume_role_kwargs.DurationSeconds is not a whole number".to_owned())?,
            ),
        };
        let session_name = role
            .kwargs
            .get("RoleSessionName")
            .and_then(Value::as_str)
            .map_or_else(|| default_session_name(&format!("Airflow_{}", conn_id.unwrap_or("None"))), str::to_owned);
        Ok(Self { role: role.clone(), session_name, duration_seconds })
    }

    fn text(&self, key: &str) -> Option<String> {
        self.role.kwargs.get(key).and_then(Value::as_str).map(str::to_owned)
    }

    fn list<T>(&self, key: &str, item: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
        Some(self.role.kwargs.get(key)?.as_array()?.iter().filter_map(item).collect())
    }
}

fn whole_number(value: &Value) -> Option<i32> {
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok())?;
    i32::try_from(number).ok()
}

/// Airflow's slug: lower case, every run of other characters than `\w+=,.@-` is one dash. Trust policies may pin it.
#[must_use]
pub fn default_session_name(text: &str) -> String {
    let mut slug = String::new();
    for c in text.to_lowercase().chars() {
        if c.is_ascii_alphanumeric() || "_+=,.@".contains(c) {
            slug.push(c);
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    // STS takes at most 64 characters.
    slug.trim_matches('-').chars().take(64).collect()
}

/// Takes on a role, and again whenever the credentials are about to end.
pub struct RoleCredentials {
    sts: aws_sdk_sts::Client,
    request: RoleRequest,
    identity: String,
}

impl RoleCredentials {
    /// `sts` calls with the base credentials; `identity` says in error messages who they are.
    #[must_use]
    pub fn new(sts: aws_sdk_sts::Client, request: RoleRequest, identity: String) -> Self {
        Self { sts, request, identity }
    }

    async fn assume(&self) -> Result<Credentials, CredentialsError> {
        let credentials = match &self.request.role.method {
            AssumeRoleMethod::AssumeRole => self.assume_role().await?,
            AssumeRoleMethod::WebIdentityFile(path) => self.assume_role_with_web_identity(path.as_deref()).await?,
        };
        let Some(credentials) = credentials else {
            return Err(CredentialsError::unhandled("STS answered without credentials"));
        };
        let expires = std::time::SystemTime::try_from(credentials.expiration).map_err(CredentialsError::unhandled)?;
        Ok(Credentials::new(
            credentials.access_key_id,
            credentials.secret_access_key,
            Some(credentials.session_token),
            Some(expires),
            "assumed role",
        ))
    }

    async fn assume_role(&self) -> Result<Option<aws_sdk_sts::types::Credentials>, CredentialsError> {
        let r = &self.request;
        let answer = self
            .sts
            .assume_role()
            .role_arn(&r.role.arn)
            .role_session_name(&r.session_name)
            .set_duration_seconds(r.duration_seconds)
            .set_external_id(r.text("ExternalId"))
            .set_policy(r.text("Policy"))
            .set_policy_arns(policy_arns(r))
            .set_tags(r.list("Tags", tag))
            .set_transitive_tag_keys(r.list("TransitiveTagKeys", |key| key.as_str().map(str::to_owned)))
            .set_serial_number(r.text("SerialNumber"))
            .set_token_code(r.text("TokenCode"))
            .set_source_identity(r.text("SourceIdentity"))
            .set_provided_contexts(r.list("ProvidedContexts", provided_context))
            .send()
            .await
            .map_err(|e| self.failed("AssumeRole", &e))?;
        Ok(answer.credentials)
    }

    async fn assume_role_with_web_identity(
        &self,
        path: Option<&str>,
    ) -> Result<Option<aws_sdk_sts::types::Credentials>, CredentialsError> {
        let path = path.map(str::to_owned).or_else(|| std::env::var("AWS_WEB_IDENTITY_TOKEN_FILE").ok());
        let Some(path) = path else {
            return Err(CredentialsError::invalid_configuration(
                "no file with a web identity token is named, neither by the connection nor by \
                 AWS_WEB_IDENTITY_TOKEN_FILE",
            ));
        };
        let token = tokio::fs::read_to_string(&path).await.map_err(|e| {
            CredentialsError::invalid_configuration(format!("the web identity token in '{path}' cannot be read: {e}"))
        })?;
        let r = &self.request;
        let answer = self
            .sts
            .assume_role_with_web_identity()
            .role_arn(&r.role.arn)
            .role_session_name(&r.session_name)
            .web_identity_token(token.trim())
            .set_duration_seconds(r.duration_seconds)
            .set_policy(r.text("Policy"))
            .set_policy_arns(policy_arns(r))
            .send()
            .await
            .map_err(|e| self.failed("AssumeRoleWithWebIdentity", &e))?;
        Ok(answer.credentials)
    }

    fn failed<E>(
        &self,
        operation: &str,
        error: &aws_sdk_sts::error::SdkError<E, aws_smithy_runtime_api::client::orchestrator::HttpResponse>,
    ) -> CredentialsError
    where
        E: aws_sdk_sts::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        CredentialsError::provider_error(AwsError::new("sts", operation, &self.identity, error))
    }
}

fn policy_arns(request: &RoleRequest) -> Option<Vec<PolicyDescriptorType>> {
    request.list("PolicyArns", |item| Some(PolicyDescriptorType::builder().arn(item.get("arn")?.as_str()?).build()))
}

fn tag(item: &Value) -> Option<Tag> {
    let text = |key: &str| item.get(key).and_then(Value::as_str);
    Tag::builder().key(text("Key")?).value(text("Value")?).build().ok()
}

fn provided_context(item: &Value) -> Option<ProvidedContext> {
    let item: &Map<String, Value> = item.as_object()?;
    let text = |key: &str| item.get(key).and_then(Value::as_str).map(str::to_owned);
    Some(
        ProvidedContext::builder()
            .set_provider_arn(text("ProviderArn"))
            .set_context_assertion(text("ContextAssertion"))
            .build(),
    )
}

impl fmt::Debug for RoleCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoleCredentials").field("role", &self.request.role.arn).finish_non_exhaustive()
    }
}

impl ProvideCredentials for RoleCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.assume())
    }
}
