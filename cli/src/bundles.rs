//! The bundles of the configuration, and what opens them.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU64;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use windrose_bundles::git::{Access, AccessSource, GitBundle, GitSettings, RepositoryUrl, Tracking};
use windrose_core::connection::Connection;
use windrose_operators::aws::s3_bundle::{ConnectionSource, S3Bundle, S3Settings};
use windrose_scheduler::BundleOptions;
use windrose_store::DEFAULT_BUNDLE;
use windrose_web::HookSecrets;
use windrose_worker::lookup::SecretLookup;

use crate::config::Config;

const MINUTE: NonZeroU64 = NonZeroU64::new(60).unwrap();

/// One of `[[bundles]]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum BundleConfig {
    /// A folder of this machine; changes are seen at once.
    Local {
        /// Its name, for people.
        name: String,
        /// The folder.
        path: PathBuf,
    },
    /// A git repository.
    Git {
        /// Its name, for people.
        name: String,
        /// Its address: `https://…`, `ssh://…` or `git@host:path`. Default: the host of the connection.
        #[serde(default)]
        repo_url: Option<String>,
        /// The branch, tag or commit that is followed. Default: the repository's default branch.
        #[serde(default)]
        tracking_ref: Option<String>,
        /// The folder of the repository with the DAGs.
        #[serde(default)]
        subdir: PathBuf,
        /// A connection with the token (its password) or the private key.
        #[serde(default)]
        git_conn_id: Option<String>,
        /// How often the repository is asked, in seconds.
        #[serde(default = "minute")]
        refresh_interval: NonZeroU64,
        /// The variable with the secret that the git server signs its calls of `/webhooks/bundles/NAME` with. Without one
        /// there are no such calls.
        #[serde(default)]
        webhook_secret_variable: Option<String>,
    },
    /// A prefix of an S3 bucket.
    S3 {
        /// Its name, for people.
        name: String,
        /// The bucket.
        bucket_name: String,
        /// Keys begin with it.
        #[serde(default)]
        prefix: String,
        /// An AWS connection. Default: `aws_default` if there is one, or else the SDK's default credential chain.
        #[serde(default)]
        aws_conn_id: Option<String>,
        /// Goes before the connection's region.
        #[serde(default)]
        region_name: Option<String>,
        /// How often the prefix is listed, in seconds.
        #[serde(default = "minute")]
        refresh_interval: NonZeroU64,
    },
}

const fn minute() -> NonZeroU64 {
    MINUTE
}

impl BundleConfig {
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Local { name, .. } | Self::Git { name, .. } | Self::S3 { name, .. } => name,
        }
    }
}

/// Set once connections can be looked up.
pub(crate) type LateLookup = Arc<OnceLock<Arc<SecretLookup>>>;

/// The bundles as the scheduler takes them: those of the configuration, or else the folder `dags`.
pub(crate) fn options(config: &Config, lookup: &LateLookup) -> Result<Vec<BundleOptions>> {
    if config.bundles.is_empty() {
        return Ok(vec![BundleOptions::Folder { name: DEFAULT_BUNDLE.into(), root: config.dags.clone() }]);
    }
    let mut names = BTreeSet::new();
    for bundle in &config.bundles {
        let name = bundle.name();
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        if !is_name {
            bail!("the bundle '{name}' needs a name of letters, digits, '_' and '-'");
        }
        if !names.insert(name) {
            bail!("two bundles are named '{name}'; give one of them another name");
        }
    }
    config.bundles.iter().map(|bundle| one(config, bundle, lookup)).collect()
}

fn one(config: &Config, bundle: &BundleConfig, lookup: &LateLookup) -> Result<BundleOptions> {
    match bundle {
        BundleConfig::Local { name, path } => {
            Ok(BundleOptions::Folder { name: name.as_str().into(), root: path.clone() })
        }
        BundleConfig::Git { name, repo_url, tracking_ref, subdir, git_conn_id, refresh_interval, .. } => {
            let wrong = || format!("the bundle '{name}'");
            let Some(url) = repo_url else { bail!("the bundle '{name}' needs a repo_url") };
            let url = RepositoryUrl::parse(url).map_err(anyhow::Error::msg).with_context(wrong)?;
            let tracking = tracking_ref.as_deref().map_or(Ok(Tracking::Head), Tracking::parse);
            let tracking = tracking.map_err(anyhow::Error::msg).with_context(wrong)?;
            if subdir.components().any(|part| !matches!(part, Component::Normal(_))) {
                bail!("the subdir of the bundle '{name}' must be a folder of the repository, without '..'");
            }
            let location = if subdir.as_os_str().is_empty() {
                format!("{url}, {tracking}")
            } else {
                format!("{url}, {tracking}, folder {}", subdir.display())
            };
            let settings = GitSettings {
                name: name.as_str().into(),
                url,
                tracking,
                subdir: subdir.clone(),
                clone: clone_folder(&config.data, name),
            };
            let access = ConnectionAccess { conn_id: git_conn_id.clone(), lookup: Arc::clone(lookup) };
            Ok(BundleOptions::Remote {
                bundle: Box::new(GitBundle::new(settings, Arc::new(access))),
                location,
                every: Duration::from_secs(refresh_interval.get()),
            })
        }
        BundleConfig::S3 { name, bucket_name, prefix, aws_conn_id, region_name, refresh_interval } => {
            let settings = S3Settings {
                name: name.as_str().into(),
                bucket: bucket_name.clone(),
                prefix: prefix.clone(),
                region: region_name.clone(),
                cache: clone_folder(&config.data, name),
            };
            let source = AwsSource { conn_id: aws_conn_id.clone(), lookup: Arc::clone(lookup) };
            Ok(BundleOptions::Remote {
                bundle: Box::new(S3Bundle::new(settings, Arc::new(source))),
                location: format!("s3://{bucket_name}/{prefix}"),
                every: Duration::from_secs(refresh_interval.get()),
            })
        }
    }
}

/// The bundles that are folders of this machine.
pub(crate) fn folders(config: &Config) -> Vec<PathBuf> {
    if config.bundles.is_empty() {
        return vec![config.dags.clone()];
    }
    let folder = |bundle: &BundleConfig| match bundle {
        BundleConfig::Local { path, .. } => Some(path.clone()),
        BundleConfig::Git { .. } | BundleConfig::S3 { .. } => None,
    };
    config.bundles.iter().filter_map(folder).collect()
}

/// The top of the bundle that a file is in: the folder of the configuration around it, or else the file's own.
pub(crate) fn folder_around(config: &Config, file: &Path) -> PathBuf {
    let own = file.parent().unwrap_or(Path::new("")).to_owned();
    let Ok(file) = file.canonicalize() else { return own };
    let around = |folder: &PathBuf| folder.canonicalize().is_ok_and(|folder| file.starts_with(folder));
    folders(config).into_iter().find(around).unwrap_or(own)
}

/// An AWS connection.
struct AwsSource {
    conn_id: Option<String>,
    lookup: LateLookup,
}

#[async_trait]
impl ConnectionSource for AwsSource {
    async fn connection(&self) -> Result<Option<Connection>, String> {
        const DEFAULT: &str = "aws_default";
        let lookup = self.lookup.get().ok_or_else(|| "connections cannot be looked up yet".to_owned())?;
        let conn_id = self.conn_id.as_deref().unwrap_or(DEFAULT);
        if conn_id.is_empty() {
            return Ok(None);
        }
        match lookup.connection(conn_id).await {
            Ok(connection) => Ok(Some(connection)),
            Err(missing) if conn_id == DEFAULT && !missing.unsure => Ok(None),
            Err(missing) => Err(missing.connection_cause(conn_id).sentence()),
        }
    }
}

fn clone_folder(data: &Path, name: &str) -> PathBuf {
    data.join("bundles").join(name)
}

/// What a connection says of a git server, in the words of Airflow's git provider.
struct ConnectionAccess {
    conn_id: Option<String>,
    lookup: LateLookup,
}

#[async_trait]
impl AccessSource for ConnectionAccess {
    async fn access(&self) -> Result<Access, String> {
        let Some(conn_id) = &self.conn_id else { return Ok(Access::default()) };
        let lookup = self.lookup.get().ok_or_else(|| "connections cannot be looked up yet".to_owned())?;
        let connection = lookup.connection(conn_id).await;
        access_of(&connection.map_err(|missing| missing.connection_cause(conn_id).sentence())?)
    }
}

fn access_of(connection: &Connection) -> Result<Access, String> {
    let extra = connection.extra_object();
    let text = |name: &str| extra.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
    let file = |name: &str| -> Result<Option<String>, String> {
        let Some(path) = text(name) else { return Ok(None) };
        std::fs::read_to_string(&path).map(Some).map_err(|error| {
            format!("{name} of the connection '{}' names '{path}', which cannot be read: {error}", connection.conn_id)
        })
    };
    let login = connection.password.clone().map(|password| {
        (connection.login.clone().filter(|user| !user.is_empty()).unwrap_or_else(|| "user".to_owned()), password)
    });
    Ok(Access {
        login,
        private_key: text("private_key").map_or_else(|| file("key_file"), |key| Ok(Some(key)))?,
        passphrase: text("private_key_passphrase"),
        known_hosts: text("known_hosts").map_or_else(|| file("known_hosts_file"), |hosts| Ok(Some(hosts)))?,
    })
}

/// The variables with the secrets of webhooks.
pub(crate) struct HookVariables {
    variables: HashMap<String, String>,
    lookup: LateLookup,
}

impl HookVariables {
    pub(crate) fn new(config: &Config, lookup: &LateLookup) -> Self {
        let of = |bundle: &BundleConfig| match bundle {
            BundleConfig::Git { name, webhook_secret_variable: Some(variable), .. } => {
                Some((name.clone(), variable.clone()))
            }
            _ => None,
        };
        Self { variables: config.bundles.iter().filter_map(of).collect(), lookup: Arc::clone(lookup) }
    }
}

#[async_trait]
impl HookSecrets for HookVariables {
    async fn secret(&self, bundle: &str) -> Result<Option<String>, String> {
        let Some(variable) = self.variables.get(bundle) else { return Ok(None) };
        let lookup = self.lookup.get().ok_or_else(|| "variables cannot be looked up yet".to_owned())?;
        match lookup.variable(variable).await {
            Ok(secret) if secret.is_empty() => Err(format!("the variable '{variable}' is empty")),
            Ok(secret) => Ok(Some(secret)),
            Err(_) => Err(format!(
                "there is no variable '{variable}'; set it with 'windrose variables set {variable} SECRET'"
            )),
        }
    }
}
