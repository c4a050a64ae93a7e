//! What a worker can be told.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use windrose_core::time::Clock;
use windrose_operators::operator::OperatorEntry;
use windrose_operators::registry;
use windrose_operators::secrets::SecretsBackend;

use crate::lookup::Environment;

/// Options of a [`crate::Worker`].
#[derive(Clone)]
pub struct WorkerOptions {
    /// How many processes run at once; waiting tasks are not limited.
    pub processes: usize,
    /// Under it each attempt has a folder while it runs.
    pub scratch: PathBuf,
    /// Under it are the files of DAG versions. Workers of one machine may share it.
    pub versions: PathBuf,
    /// Under it are the tasks' logs.
    pub logs: PathBuf,
    /// What a task's operator is looked up in; the registry by default.
    pub operators: fn(&str) -> Option<&'static OperatorEntry>,
    /// Where connections and variables are looked for first, in order.
    pub backends: Vec<Arc<dyn SecretsBackend>>,
    /// Where they are looked for next; the process's environment by default.
    pub environment: Environment,
    /// How long what was found is kept.
    pub secrets_ttl: Duration,
    /// How long an operator may take to stop when it is told to, before it is dropped.
    pub cancel_grace: Duration,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
}

impl WorkerOptions {
    /// Options for a worker that keeps its files under these folders.
    #[must_use]
    pub fn new(scratch: impl Into<PathBuf>, logs: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        let scratch = scratch.into();
        Self {
            versions: scratch.with_extension("versions"),
            processes: 2 * std::thread::available_parallelism().map_or(4, usize::from),
            scratch,
            logs: logs.into(),
            operators: registry::find,
            backends: Vec::new(),
            environment: Arc::new(|name| std::env::var(name).ok()),
            secrets_ttl: Duration::from_secs(60),
            cancel_grace: Duration::from_secs(30),
            clock,
        }
    }
}

impl fmt::Debug for WorkerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerOptions")
            .field("processes", &self.processes)
            .field("scratch", &self.scratch)
            .field("logs", &self.logs)
            .finish_non_exhaustive()
    }
}
