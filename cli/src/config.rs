//! The configuration: `windrose.toml`, overridden by environment variables, overridden by the command line.
//!
//! An environment variable is `WINDROSE__` and the path of the key, with `__` between its parts:
//! `WINDROSE__WEB__BIND=127.0.0.1:9000`. Unknown keys are refused wherever they stand.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use figment::Figment;
use figment::providers::{Env, Format as _, Serialized, Toml};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use windrose_core::dag_file::Defaults;
use windrose_core::mapping::MAX_MAP_LENGTH;
use windrose_operators::secrets::{SecretsBackend, backend_from_config};

use crate::bundles::BundleConfig;

/// The file that is read if no other is named.
pub(crate) const FILE: &str = "windrose.toml";

const MAX_MAP: NonZeroUsize = NonZeroUsize::new(MAX_MAP_LENGTH).unwrap();
const SWEEP_SECONDS: NonZeroU64 = NonZeroU64::new(30).unwrap();

/// Everything that can be configured.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the metadata lives: `sqlite:PATH` or `postgres://user:password@host/database`. Default: a SQLite file in
    /// the data folder.
    pub database: Option<String>,
    /// The folder for the database, task logs, the encryption key and caches.
    pub data: PathBuf,
    /// The folder with DAG files, if there are no `bundles`.
    pub dags: PathBuf,
    /// Where DAG files come from.
    pub bundles: Vec<BundleConfig>,
    /// Base64 of the 32 bytes with which connections and variables are encrypted; several, separated by commas, for
    /// rotation (the first encrypts). Default: the file `key` in the data folder, made at the first start.
    pub encryption_key: Option<String>,
    /// What is logged: `info`, `debug`, `windrose_scheduler=debug,info`.
    pub log: String,
    /// How DAG files are read.
    pub dag_defaults: DagDefaults,
    /// Scheduling.
    pub scheduler: SchedulerConfig,
    /// Running tasks.
    pub worker: WorkerConfig,
    /// The web server.
    pub web: WebConfig,
    /// Where connections and variables come from, before the environment and the metadata database.
    pub secrets: SecretsConfig,
}

/// What a DAG has if its file says nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DagDefaults {
    /// New DAGs start paused (Airflow's `dags_are_paused_at_creation`).
    pub paused_at_creation: bool,
    /// The zone of DAGs that name none.
    pub timezone: String,
    /// Cron strings mean `CronDataIntervalTimetable`.
    pub create_cron_data_intervals: bool,
    /// `every` means `DeltaDataIntervalTimetable`.
    pub create_delta_data_intervals: bool,
}

/// Scheduling.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SchedulerConfig {
    /// How many attempts may hold a slot at once, over all pools (Airflow's `parallelism`).
    pub parallelism: u32,
    /// A task that returns a longer list or dict fails if others are mapped over it (Airflow's `max_map_length`).
    pub max_map_length: NonZeroUsize,
    /// How often the scheduler looks for what nobody told it of, in seconds. It is told of everything, so this is for
    /// what got lost; how much that was is `windrose_sweep_caught_total` on the page `/metrics`.
    pub sweep_seconds: NonZeroU64,
}

/// Running tasks.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkerConfig {
    /// How many processes tasks may have at once; waiting needs none.
    pub processes: usize,
    /// How long a process has between TERM and KILL, in seconds.
    pub grace_seconds: u64,
    /// The queues whose tasks it takes; none named is all of them.
    pub queues: BTreeSet<String>,
}

impl WorkerConfig {
    /// `None` is all of them.
    pub(crate) fn served_queues(&self) -> Option<BTreeSet<String>> {
        (!self.queues.is_empty()).then(|| self.queues.clone())
    }
}

/// The web server.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebConfig {
    /// The address it listens on.
    pub bind: SocketAddr,
}

/// Where connections and variables come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretsConfig {
    /// Asked in this order.
    pub backends: Vec<BackendConfig>,
    /// How long an answer is kept, in seconds.
    pub cache_seconds: u64,
}

/// One secrets backend.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BackendConfig {
    /// `aws_secrets_manager`, or Airflow's class path of it.
    pub backend: String,
    /// Airflow's `backend_kwargs`.
    #[serde(default)]
    pub kwargs: Map<String, Value>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            database: None,
            data: ".windrose".into(),
            dags: "dags".into(),
            bundles: Vec::new(),
            encryption_key: None,
            log: "info".into(),
            dag_defaults: DagDefaults {
                paused_at_creation: true,
                timezone: "UTC".into(),
                create_cron_data_intervals: false,
                create_delta_data_intervals: false,
            },
            scheduler: SchedulerConfig { parallelism: 128, max_map_length: MAX_MAP, sweep_seconds: SWEEP_SECONDS },
            worker: WorkerConfig { processes: 32, grace_seconds: 10, queues: BTreeSet::new() },
            web: WebConfig { bind: SocketAddr::from(([127, 0, 0, 1], 8080)) },
            secrets: SecretsConfig { backends: Vec::new(), cache_seconds: 60 },
        }
    }
}

impl Config {
    /// Reads `file`, or `windrose.toml` in this folder if there is one, and the environment.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self> {
        let path = file.unwrap_or(Path::new(FILE));
        if file.is_some() && !path.exists() {
            anyhow::bail!("there is no configuration file {}", path.display());
        }
        let mut layers = Figment::from(Serialized::defaults(Self::default()));
        if path.exists() {
            layers = layers.merge(Toml::file_exact(path));
        }
        layers
            .merge(Env::prefixed("WINDROSE__").split("__"))
            .extract()
            .map_err(|e| anyhow::anyhow!("{}", one_sentence(&e)))
            .with_context(|| format!("the configuration is wrong (from {} and WINDROSE__… variables)", path.display()))
    }

    /// The database's URL, the default filled in.
    pub(crate) fn database_url(&self) -> String {
        self.database.clone().unwrap_or_else(|| format!("sqlite:{}", self.data.join("windrose.db").display()))
    }

    /// What DAG files mean where they say nothing.
    pub(crate) fn dag_file_defaults(&self) -> Result<Defaults> {
        let given = &self.dag_defaults;
        let timezone = given.timezone.parse().map_err(|_| {
            anyhow::anyhow!("dag_defaults.timezone is '{}', which is no IANA zone such as Europe/Paris", given.timezone)
        })?;
        Ok(Defaults {
            timezone,
            dags_are_paused_at_creation: given.paused_at_creation,
            max_map_length: self.scheduler.max_map_length.get(),
            create_cron_data_intervals: given.create_cron_data_intervals,
            create_delta_data_intervals: given.create_delta_data_intervals,
            ..Defaults::default()
        })
    }

    /// The secrets backends, in the order in which they are asked.
    pub(crate) fn backends(&self) -> Result<Vec<Arc<dyn SecretsBackend>>> {
        let backend = |b: &BackendConfig| {
            let made = backend_from_config(&b.backend, b.kwargs.clone());
            made.map(Arc::from).map_err(|message| anyhow::anyhow!("secrets.backends: {message}"))
        };
        self.secrets.backends.iter().map(backend).collect()
    }

    /// Where task logs are kept.
    pub(crate) fn log_folder(&self) -> PathBuf {
        self.data.join("logs")
    }
}

fn one_sentence(error: &figment::Error) -> String {
    error.clone().into_iter().map(|e| e.to_string()).collect::<Vec<_>>().join("; ")
}
