//! The worker itself: takes every attempt it is offered, and stops those that are cancelled.
//!
//! A claim is taken at once and costs a task on the runtime: waiting is free. Only processes are limited, by a
//! semaphore that operators ask for a place.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use windrose_core::claim::Claim;
use windrose_core::ids::AttemptId;
use windrose_operators::process;
use windrose_store::task_log::TaskLogs;

use crate::approvals::{Waiting, wake_all};
use crate::attempt::{self, Stop};
use crate::lookup::SecretLookup;
use crate::mapping::MappedValues;
use crate::notifications::send_all;
use crate::options::WorkerOptions;
use crate::patience::patiently;
use crate::port::{PortError, WorkerPort};
use crate::version_folders::VersionFolders;

/// Cancellations that came before their claim are remembered, so many of them.
const EARLY_CANCELLATIONS: usize = 1024;

/// Runs attempts.
pub struct Worker {
    shared: Arc<Shared>,
}

/// What all attempts share.
pub(crate) struct Shared {
    pub(crate) port: Arc<dyn WorkerPort>,
    pub(crate) options: WorkerOptions,
    pub(crate) lookup: Arc<SecretLookup>,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) logs: TaskLogs,
    pub(crate) scratch: PathBuf,
    pub(crate) versions: VersionFolders,
    /// What mapped tasks are mapped over, read once for all their instances.
    pub(crate) mapped_values: MappedValues,
    /// Attempts that wait for an answer of a person.
    pub(crate) waiting: Arc<Waiting>,
    /// Set when the worker is to stop.
    pub(crate) stopped: CancellationToken,
    running: Mutex<Running>,
}

#[derive(Default)]
struct Running {
    attempts: HashMap<AttemptId, watch::Sender<Stop>>,
    early: VecDeque<(AttemptId, String)>,
}

impl Worker {
    /// A worker that claims through this port. Must be made within a Tokio runtime.
    #[must_use]
    pub fn new(port: Arc<dyn WorkerPort>, options: WorkerOptions) -> Self {
        let lookup = SecretLookup::new(
            options.backends.clone(),
            Arc::clone(&options.environment),
            Arc::clone(&port),
            options.secrets_ttl,
        );
        let shared = Shared {
            lookup: Arc::new(lookup),
            places: Arc::new(Semaphore::new(options.processes.max(1))),
            logs: TaskLogs::new(options.logs.clone()),
            scratch: options.scratch.join(process::owner_name()),
            versions: VersionFolders::new(options.versions.clone()),
            mapped_values: MappedValues::default(),
            waiting: Arc::default(),
            stopped: CancellationToken::new(),
            running: Mutex::default(),
            port,
            options,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The logs of the tasks it runs.
    #[must_use]
    pub fn logs(&self) -> TaskLogs {
        self.shared.logs.clone()
    }

    /// Runs attempts until `shutdown` is set or the port is closed. Then processes are ended, remote work goes on, and
    /// attempts that are not done are not reported, so that they are found lost and taken up again.
    pub async fn run(self, shutdown: CancellationToken) {
        let shared = self.shared;
        sweep(&shared.options.scratch).await;
        shared.versions.remove_old(std::time::SystemTime::now());
        let attempts = TaskTracker::new();
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = claim_all(&shared, &attempts) => {}
            () = cancel_all(&shared) => {}
            () = send_all(&shared, &attempts) => {}
            () = wake_all(&shared) => {}
        }
        shared.stopped.cancel();
        for stop in shared.running().attempts.values() {
            stop.send_replace(Stop::Shutdown);
        }
        attempts.close();
        attempts.wait().await;
        let _ = tokio::fs::remove_dir_all(&shared.scratch).await;
    }
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends what workers that were killed have left running.
async fn sweep(scratch: &std::path::Path) {
    let scratch = scratch.to_owned();
    match tokio::task::spawn_blocking(move || process::sweep(&scratch)).await {
        Ok(0) => {}
        Ok(groups) => tracing::info!(groups, "ended process groups that a killed worker had left"),
        Err(error) => tracing::error!(%error, "could not look for processes of killed workers"),
    }
}

/// Returns when the port is closed.
async fn claim_all(shared: &Arc<Shared>, attempts: &TaskTracker) {
    loop {
        match patiently("claim", &shared.stopped, || shared.port.claim()).await {
            Ok(claim) => start(shared, attempts, claim),
            Err(PortError::Closed | PortError::Unavailable(_)) => return,
        }
    }
}

fn start(shared: &Arc<Shared>, attempts: &TaskTracker, claim: Claim) {
    let attempt = claim.attempt;
    let (stop, stopped) = watch::channel(Stop::GoOn);
    {
        let mut running = shared.running();
        if let Some(place) = running.early.iter().position(|(early, _)| *early == attempt)
            && let Some((_, by)) = running.early.remove(place)
        {
            stop.send_replace(Stop::Cancelled(by));
        }
        running.attempts.insert(attempt, stop);
    }
    let shared = Arc::clone(shared);
    attempts.spawn(async move {
        attempt::run(Arc::clone(&shared), claim, stopped).await;
        shared.running().attempts.remove(&attempt);
    });
}

/// Returns when the port is closed.
async fn cancel_all(shared: &Arc<Shared>) {
    loop {
        let (attempt, by) = match patiently("cancellation", &shared.stopped, || shared.port.cancellation()).await {
            Ok(cancellation) => cancellation,
            Err(PortError::Closed | PortError::Unavailable(_)) => return,
        };
        let mut running = shared.running();
        if let Some(stop) = running.attempts.get(&attempt) {
            stop.send_if_modified(|stop| {
                let first = *stop == Stop::GoOn;
                if first {
                    *stop = Stop::Cancelled(by);
                }
                first
            });
        } else {
            if running.early.len() == EARLY_CANCELLATIONS {
                running.early.pop_front();
            }
            running.early.push_back((attempt, by));
        }
    }
}
