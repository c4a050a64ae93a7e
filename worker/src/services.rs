//! What the operators of one attempt may ask of the world, over the port, the lookup and the attempt's log.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Map, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use windrose_core::asset::AssetUpdate;
use windrose_core::claim::Claim;
use windrose_core::connection::Connection;
use windrose_core::outcome::XCom;
use windrose_core::time::{Clock, Timestamp};
use windrose_operators::approvals::Approvals;
use windrose_operators::context::{LogLevel, LogSource, TaskServices};
use windrose_operators::error::TaskError;
use windrose_operators::other_dags::OtherDags;
use windrose_store::task_log::TaskLogWriter;

use crate::approvals::Waiting;
use crate::lookup::SecretLookup;
use crate::masker::Masker;
use crate::patience::patiently;
use crate::port::{Ack, PortError, WorkerPort};

/// The services of one attempt.
pub(crate) struct AttemptServices {
    pub(crate) claim: Arc<Claim>,
    pub(crate) port: Arc<dyn WorkerPort>,
    pub(crate) lookup: Arc<SecretLookup>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) log: TaskLogWriter,
    pub(crate) masker: Masker,
    /// Set when the attempt is to stop; calls through the port are given up then.
    pub(crate) cancelled: CancellationToken,
    /// Another attempt holds the task instance now: nothing is reported any more.
    pub(crate) fenced: AtomicBool,
    pub(crate) began: Instant,
    pub(crate) scratch_folder: PathBuf,
    pub(crate) scratch_made: OnceLock<()>,
    pub(crate) xcoms: Mutex<Vec<XCom>>,
    pub(crate) saved: Mutex<Option<Value>>,
    /// What becomes events if the attempt succeeds.
    pub(crate) assets: Mutex<Vec<AssetUpdate>>,
    /// Who waits for an answer of a person.
    pub(crate) waiting: Arc<Waiting>,
    /// What a notification is about; empty for an attempt.
    pub(crate) notification: Map<String, Value>,
}

impl AttemptServices {
    /// Everything pushed so far, which is left empty.
    pub(crate) fn take_xcoms(&self) -> Vec<XCom> {
        std::mem::take(&mut self.xcoms.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The assets it has changed.
    pub(crate) fn take_assets(&self) -> Vec<AssetUpdate> {
        std::mem::take(&mut self.assets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Within a mapped group a task pulls from the instance that has its own index.
    fn partner_index(&self, task_id: &str) -> Option<i32> {
        let (dag, claim) = (&self.claim.dag, &self.claim);
        let own = dag.mapped_group(claim.position).filter(|_| claim.key.map_index >= 0)?;
        let other = dag.mapped_group(dag.position(task_id)?)?;
        (own.id == other.id).then_some(claim.key.map_index)
    }

    /// A line of Windrose's own in the task's log.
    pub(crate) fn say(&self, level: LogLevel, text: &str) {
        self.log(LogSource::Task, level, text);
    }

    /// The other side is gone, or the attempt is to stop: the operator ends, and whoever stopped it says why.
    pub(crate) fn stopped(&self, _error: PortError) -> TaskError {
        self.cancelled.cancel();
        TaskError::Cancelled
    }

    pub(crate) fn acknowledged(&self, ack: Ack) -> Result<(), TaskError> {
        if ack == Ack::Fenced {
            self.fenced.store(true, Ordering::Release);
            self.cancelled.cancel();
            return Err(TaskError::Cancelled);
        }
        Ok(())
    }

    fn note_short(&self, what: &str, all_masked: bool) {
        if !all_masked {
            self.say(LogLevel::Warning, &format!("A secret of {what} is shorter than 5 characters and is not masked."));
        }
    }
}

#[async_trait]
impl TaskServices for AttemptServices {
    async fn connection(&self, conn_id: &str) -> Result<Connection, TaskError> {
        match self.lookup.connection(conn_id).await {
            Ok(connection) => {
                self.note_short(&format!("connection '{conn_id}'"), self.masker.add_connection(&connection));
                Ok(connection)
            }
            Err(missing) => Err(TaskError::retryable(missing.connection_cause(conn_id))),
        }
    }

    async fn find_connection(&self, conn_id: &str) -> Result<Option<Connection>, TaskError> {
        match self.connection(conn_id).await {
            Ok(connection) => Ok(Some(connection)),
            Err(TaskError::Failed { cause, .. }) => {
                // Not an error for the caller, but a backend that refuses must not look like one that is empty.
                self.log(LogSource::Task, LogLevel::Debug, &cause.sentence());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn variable(&self, key: &str) -> Result<Option<String>, TaskError> {
        match self.lookup.variable(key).await {
            Ok(value) => {
                self.note_short(&format!("variable '{key}'"), self.masker.add_variable(key, &value));
                Ok(Some(value))
            }
            Err(missing) if missing.unsure => Err(TaskError::retryable(missing.variable_cause(key))),
            Err(_) => Ok(None),
        }
    }

    async fn xcom_pull(&self, task_id: &str, map_index: Option<i32>, key: &str) -> Result<Option<Value>, TaskError> {
        let run = self.claim.key.run;
        let map_index = map_index.or_else(|| self.partner_index(task_id));
        patiently("xcom_pull", &self.cancelled, || self.port.xcom(run, task_id, map_index, key))
            .await
            .map_err(|error| self.stopped(error))
    }

    async fn checkpoint(&self) -> Result<Option<Value>, TaskError> {
        if let Some(saved) = self.saved.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Ok(Some(saved));
        }
        // Asked for while cancelling too, so a cancellation does not end it; an unreachable database does.
        let call = || self.port.checkpoint(&self.claim.key, self.claim.generation);
        patiently("checkpoint", &self.cancelled, call).await.map_err(|error| self.stopped(error))
    }

    async fn save_checkpoint(&self, checkpoint: &Value) -> Result<(), TaskError> {
        // Kept here first: whoever cancels the work finds it even if the database cannot be reached.
        *self.saved.lock().unwrap_or_else(PoisonError::into_inner) = Some(checkpoint.clone());
        let claim = &self.claim;
        let call = || self.port.save_checkpoint(claim.attempt, &claim.key, claim.generation, checkpoint);
        let ack = patiently("save_checkpoint", &self.cancelled, call).await.map_err(|error| self.stopped(error))?;
        self.acknowledged(ack)
    }

    fn xcom_push(&self, xcom: XCom) {
        self.xcoms.lock().unwrap_or_else(PoisonError::into_inner).push(xcom);
    }

    fn change_asset(&self, update: AssetUpdate) {
        let mut assets = self.assets.lock().unwrap_or_else(PoisonError::into_inner);
        match assets.iter_mut().find(|known| known.uri == update.uri && known.aliases == update.aliases) {
            Some(known) => known.extra.extend(update.extra),
            None => assets.push(update),
        }
    }

    fn other_dags(&self) -> &dyn OtherDags {
        self
    }

    fn approvals(&self) -> &dyn Approvals {
        self
    }

    fn log(&self, source: LogSource, level: LogLevel, text: &str) {
        self.log.append(self.clock.now(), source, level, &self.masker.mask(text));
    }

    fn add_secret(&self, secret: &str) {
        self.note_short("this task", self.masker.add(secret));
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.began.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn set_deferred(&self, deferred: bool) -> Result<(), TaskError> {
        let call = || self.port.deferred(self.claim.attempt, deferred);
        let ack = patiently("set_deferred", &self.cancelled, call).await.map_err(|error| self.stopped(error))?;
        self.acknowledged(ack)
    }

    #[expect(clippy::expect_used, reason = "nobody closes the worker's semaphore")]
    async fn process_slot(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is open")
    }

    fn scratch(&self) -> PathBuf {
        self.scratch_made.get_or_init(|| {
            if let Err(error) = std::fs::create_dir_all(&self.scratch_folder) {
                self.say(LogLevel::Error, &format!("{} cannot be made: {error}", self.scratch_folder.display()));
            }
        });
        self.scratch_folder.clone()
    }
}

impl Drop for AttemptServices {
    fn drop(&mut self) {
        self.waiting.forget(self.claim.attempt);
        if self.scratch_made.get().is_some() {
            let _ = std::fs::remove_dir_all(&self.scratch_folder);
        }
    }
}
