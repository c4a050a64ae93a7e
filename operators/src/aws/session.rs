//! A session: one connection in one region, with the credentials, retries, timeouts and endpoints that follow from it.
//! Sessions are kept and shared, so a role is taken on once per connection and region, not once per task.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::region::{ProvideRegion, RegionProviderChain};
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sts::config::IdentityCache;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use moka::future::Cache;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use windrose_core::cause::Cause;
use windrose_core::connection::Connection;

use super::client_settings::ClientSettings;
use super::connection::AwsConnection;
use super::credentials::{RoleCredentials, RoleRequest, own_credentials};
use super::error::AwsError;
use super::http_client::{HttpSettings, http_client};
use super::no_credentials;
use super::parameters::{AwsParameters, DEFAULT_CONN_ID, Verify};
use crate::context::TaskContext;
use crate::error::TaskError;

/// Credentials of a role are renewed this long before they end, as botocore does at the latest.
const RENEW_BEFORE: Duration = Duration::from_secs(10 * 60);
/// Taking on a role may take so long.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(60);

static SESSIONS: LazyLock<Cache<[u8; 32], Arc<AwsSession>>> =
    LazyLock::new(|| Cache::builder().max_capacity(1000).time_to_idle(Duration::from_secs(3600)).build());

/// Everything that clients are made from; see [`super::client`] for the clients.
pub struct AwsSession {
    pub(super) config: SdkConfig,
    pub(super) connection: AwsConnection,
    pub(super) settings: ClientSettings,
    identity: String,
    /// The connection that the task names, whether there is one or not.
    asked: Option<String>,
}

impl AwsSession {
    /// Makes a session. Nothing is called yet but, for the region, the shared configuration files.
    ///
    /// # Errors
    /// A sentence that says which setting of the connection or the task is wrong.
    pub async fn open(connection: AwsConnection, parameters: &AwsParameters) -> Result<Self, String> {
        let given = parameters.botocore_config.as_ref().unwrap_or(&connection.config_kwargs);
        let settings = ClientSettings::read(given)?;
        let identity = connection.identity();
        let config = base_config(&connection, parameters, &settings).await?;
        let config = match &connection.role {
            None => config,
            Some(role) => {
                let request = RoleRequest::new(connection.conn_id.as_deref(), role)?;
                let mut sts = aws_sdk_sts::config::Builder::from(&config);
                // The connection's `endpoint_url` does not count here, as in Airflow.
                if let Some(url) = connection.service_setting("sts", "endpoint_url") {
                    sts = sts.endpoint_url(url);
                }
                if config.region().is_none() {
                    sts = sts.region(Region::from_static("us-east-1"));
                }
                let sts = aws_sdk_sts::Client::from_conf(sts.build());
                let base = AwsConnection { role: None, ..connection.clone() }.identity();
                let role = RoleCredentials::new(sts, request, base);
                config.into_builder().credentials_provider(SharedCredentialsProvider::new(role)).build()
            }
        };
        Ok(Self { config, connection, settings, identity, asked: parameters.aws_conn_id.clone() })
    }

    /// The region; `None` if neither the task, the connection nor the SDK's default chain names one.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.config.region().map(Region::as_ref)
    }

    /// The region for ARNs and pages of the console.
    #[must_use]
    pub fn region_or_default(&self) -> &str {
        self.region().unwrap_or("us-east-1")
    }

    /// Who calls, for error messages.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The bucket that is used where a task names none: `service_config.s3.bucket_name`.
    #[must_use]
    pub fn default_bucket(&self) -> Option<String> {
        self.connection.service_setting("s3", "bucket_name")
    }

    /// Reads an error of a call that was made with this session.
    pub fn error<E>(&self, service: &str, operation: &str, error: &SdkError<E, HttpResponse>) -> AwsError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        let error = AwsError::new(service, operation, &self.identity, error);
        if error.is(no_credentials::NO_CREDENTIALS) {
            let message = no_credentials::message(&self.connection, self.asked.as_deref());
            return AwsError { message, ..error };
        }
        if self.region().is_none() && error.code == "ConstructionFailure" {
            return error.with_hint(
                "You must specify a region: in the task (region_name), in the connection's extra (region_name), or as \
                 AWS_DEFAULT_REGION.",
            );
        }
        error
    }
}

async fn base_config(
    connection: &AwsConnection,
    parameters: &AwsParameters,
    settings: &ClientSettings,
) -> Result<SdkConfig, String> {
    let http = HttpSettings {
        ca_bundle: ca_bundle(parameters.verify.as_ref().or(connection.verify.as_ref()), connection)?,
        proxies: settings.proxies.clone(),
    };
    let region = region(connection, parameters, settings).await;
    let cache = IdentityCache::lazy().buffer_time(RENEW_BEFORE).load_timeout(CREDENTIALS_TIMEOUT).build();
    let mut loader: ConfigLoader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client(&http)?)
        .region(KnownRegion(region))
        .timeout_config(settings.timeouts())
        .identity_cache(cache)
        .app_name(app_name()?);
    if let Some(retries) = settings.retries() {
        loader = loader.retry_config(retries);
    }
    if let Some(profile) = &connection.profile_name {
        loader = loader.profile_name(profile);
    }
    if let Some(credentials) = own_credentials(connection) {
        loader = loader.credentials_provider(credentials);
    }
    Ok(loader.load().await)
}

fn app_name() -> Result<aws_config::AppName, String> {
    aws_config::AppName::new(concat!("windrose-", env!("CARGO_PKG_VERSION"))).map_err(|e| e.to_string())
}

/// A region that is already known, so that the SDK does not ask the instance's metadata service for one.
#[derive(Debug)]
struct KnownRegion(Option<Region>);

impl ProvideRegion for KnownRegion {
    fn region(&self) -> aws_config::meta::region::future::ProvideRegion<'_> {
        aws_config::meta::region::future::ProvideRegion::ready(self.0.clone())
    }
}

async fn region(connection: &AwsConnection, parameters: &AwsParameters, settings: &ClientSettings) -> Option<Region> {
    let given = parameters.region_name.as_ref().or(connection.region_name.as_ref()).or(settings.region_name.as_ref());
    if let Some(region) = given.filter(|r| !r.is_empty()) {
        return Some(Region::new(region.clone()));
    }
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &connection.profile_name {
        profile = profile.profile_name(name);
    }
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new()).or_else(profile.build()).region().await
}

fn ca_bundle(verify: Option<&Verify>, connection: &AwsConnection) -> Result<Option<String>, String> {
    match verify {
        Some(Verify::CaBundle(path)) if !path.is_empty() => Ok(Some(path.clone())),
        Some(Verify::Check(false)) => {
            let plain = connection.endpoint_url.as_deref().is_some_and(|url| url.starts_with("http://"));
            if plain {
                return Ok(None);
            }
            Err("verify = false is not supported yet; give the path of a file with the certificates to trust"
                .to_owned())
        }
        _ => Ok(std::env::var("AWS_CA_BUNDLE").ok().filter(|path| !path.is_empty())),
    }
}

/// The session for a task: looks up the connection, registers its secrets, says in the log where the credentials come
/// from, and hands out the shared session.
///
/// # Errors
/// The connection does not exist (unless it is `aws_default`), or a setting in it is wrong.
pub async fn session_for(ctx: &TaskContext, parameters: &AwsParameters) -> Result<Arc<AwsSession>, TaskError> {
    let found = find_connection(ctx, parameters).await?;
    let connection = match &found {
        None => AwsConnection::default(),
        Some(found) => AwsConnection::read(found).map_err(|e| wrong_connection(parameters, &e))?,
    };
    for secret in connection.secrets() {
        ctx.services.add_secret(secret);
    }
    log_source(ctx, &connection, parameters);
    let key = cache_key(found.as_ref(), parameters);
    if let Some(session) = SESSIONS.get(&key).await {
        return Ok(session);
    }
    // A single flight per key, so that a burst of tasks takes on a role once.
    SESSIONS
        .try_get_with(key, async { AwsSession::open(connection, parameters).await.map(Arc::new) })
        .await
        .map_err(|e: Arc<String>| wrong_connection(parameters, &e))
}

fn wrong_connection(parameters: &AwsParameters, message: &str) -> TaskError {
    let id = parameters.aws_conn_id.clone().unwrap_or_default();
    TaskError::retryable(Cause::Connection { id, message: format!("{message}."), asked: Vec::new() })
}

async fn find_connection(ctx: &TaskContext, parameters: &AwsParameters) -> Result<Option<Connection>, TaskError> {
    match parameters.aws_conn_id.as_deref() {
        None | Some("") => Ok(None),
        Some(id @ DEFAULT_CONN_ID) => {
            let found = ctx.services.find_connection(id).await?;
            if found.is_none() {
                ctx.warn(format!("Unable to find AWS Connection ID '{id}', switching to empty."));
            }
            Ok(found)
        }
        // A typo must not run with the worker's own role.
        Some(id) => ctx.services.connection(id).await.map(Some),
    }
}

fn log_source(ctx: &TaskContext, connection: &AwsConnection, parameters: &AwsParameters) {
    for warning in &connection.warnings {
        ctx.warn(warning);
    }
    let Some(id) = &connection.conn_id else {
        let region = parameters.region_name.as_ref().map_or_else(|| "None".to_owned(), |r| format!("'{r}'"));
        ctx.info(format!("No connection ID provided. Fallback on boto3 credential strategy (region_name={region})."));
        return;
    };
    let name = format!("AWS Connection (conn_id='{id}', conn_type='aws')");
    if let Some((_, source)) = &connection.keys {
        ctx.info(format!("{name} credentials retrieved from {source}."));
    }
    if let Some((_, source)) = &connection.session_token {
        ctx.info(format!(
            "{name} session token retrieved from {source}, please note you are responsible for renewing these."
        ));
    }
}

/// A digest, so that no secret is kept in the key. A changed connection gives another key, and so a new session.
fn cache_key(connection: Option<&Connection>, parameters: &AwsParameters) -> [u8; 32] {
    let c = connection.cloned().unwrap_or_default();
    let mut known: Map<String, Value> = Map::new();
    for (key, value) in [
        ("asked", parameters.aws_conn_id.clone()),
        ("id", Some(c.conn_id)),
        ("type", Some(c.conn_type)),
        ("login", c.login),
        ("password", c.password),
        ("extra", c.extra),
        ("region", parameters.region_name.clone()),
        ("verify", parameters.verify.as_ref().map(|v| format!("{v:?}"))),
        ("botocore", parameters.botocore_config.as_ref().map(|b| Value::Object(b.clone()).to_string())),
    ] {
        known.insert(key.to_owned(), value.map_or(Value::Null, Value::String));
    }
    Sha256::digest(Value::Object(known).to_string()).into()
}
