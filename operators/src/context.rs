//! What an operator is given: who it is, and the few services it may ask for.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use indexmap::IndexMap;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use windrose_core::asset::{AssetUpdate, Outlet};
use windrose_core::connection::Connection;
use windrose_core::dag::{Param, SensorSettings};
use windrose_core::ids::{AttemptId, DagId, RunId, TaskInstanceKey};
pub use windrose_core::log_line::{LogLevel, LogSource};
use windrose_core::outcome::XCom;
use windrose_core::run_state::RunType;
use windrose_core::time::Timestamp;

use crate::approvals::Approvals;
use crate::error::TaskError;
use crate::other_dags::OtherDags;

/// Facts about the attempt.
#[derive(Debug, Clone)]
pub struct TaskInfo {
    /// The DAG.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// The task instance.
    pub key: TaskInstanceKey,
    /// The lease.
    pub attempt: AttemptId,
    /// 1 for the first try.
    pub try_number: u32,
    /// How many tries the task may have in all (`retries` + 1).
    pub max_tries: u32,
    /// How often the task instance was cleared: checkpoints of older generations do not count.
    pub generation: u32,
    /// Why the run exists.
    pub run_type: RunType,
    /// When the run after this one is due, if the schedule has one.
    pub next_run_after: Option<Timestamp>,
    /// Makes templates yield values.
    pub render_native: bool,
    /// The top of the bundle, with the files that belong to the DAG's version.
    pub bundle_folder: std::path::PathBuf,
    /// The folder of the DAG file in it, where scripts are found first.
    pub dag_folder: std::path::PathBuf,
    /// Environment variables for processes.
    pub env: IndexMap<String, String>,
    /// The task's own parameters, without those of the DAG: what a person who is asked fills in.
    pub params: IndexMap<String, Param>,
    /// The assets the task may change.
    pub outlets: Vec<Outlet>,
    /// How a sensor waits.
    pub sensor: Option<SensorSettings>,
    /// When this try was first looked at, for a sensor in reschedule mode.
    pub first_poke_at: Option<Timestamp>,
    /// How many looks there were in this try before this attempt.
    pub pokes_before: u32,
    /// The handle of this generation's earlier remote work that has ended or is unknown, when it is to be submitted
    /// anew. It makes the new submit's idempotency token differ from that of the work it replaces.
    pub superseded: Option<Value>,
    /// Airflow's template context as JSON, for processes that want it (`logical_date`, `ds`, `params`, …).
    pub template_context: Value,
}

impl TaskInfo {
    /// The DAG file is at the top of this bundle.
    pub fn is_in(&mut self, bundle: &std::path::Path) {
        bundle.clone_into(&mut self.bundle_folder);
        bundle.clone_into(&mut self.dag_folder);
    }

    /// A file of the DAG's version that the task names.
    ///
    /// # Errors
    /// A sentence that says why it is refused or not there.
    pub fn file(&self, name: &str) -> Result<std::path::PathBuf, String> {
        crate::dag_files::dag_file(&self.bundle_folder, &self.dag_folder, name)
    }
}

/// What an operator may ask of the world around it. The worker provides it; tests bring their own.
#[async_trait]
pub trait TaskServices: Send + Sync {
    /// A connection, from the configured backends, the environment or the metadata database, in that order. Its
    /// secrets are masked in the task's log from here on.
    async fn connection(&self, conn_id: &str) -> Result<Connection, TaskError>;

    /// The same, but a connection that no source knows is `None`.
    async fn find_connection(&self, conn_id: &str) -> Result<Option<Connection>, TaskError>;

    /// A variable; `None` if no source knows it.
    async fn variable(&self, key: &str) -> Result<Option<String>, TaskError>;

    /// A value left by another task of this run.
    async fn xcom_pull(&self, task_id: &str, map_index: Option<i32>, key: &str) -> Result<Option<Value>, TaskError>;

    /// What the last attempt of this task instance and generation saved.
    async fn checkpoint(&self) -> Result<Option<Value>, TaskError>;

    /// Saves a checkpoint. It is durable when this returns.
    async fn save_checkpoint(&self, checkpoint: &Value) -> Result<(), TaskError>;

    /// Leaves a value for other tasks; it is stored together with the attempt's outcome.
    fn xcom_push(&self, xcom: XCom);

    /// Says that the task changes an asset; it becomes an event with the attempt's success. What the same asset and aliases
    /// were said to carry before is kept where this does not replace it.
    fn change_asset(&self, update: AssetUpdate);

    /// The runs of other DAGs.
    fn other_dags(&self) -> &dyn OtherDags;

    /// What this try asks people.
    fn approvals(&self) -> &dyn Approvals;

    /// Writes a line to the task's log, with its secrets masked. Never blocks for long.
    fn log(&self, source: LogSource, level: LogLevel, text: &str);

    /// Masks a text in the task's log and in whatever it reports, from here on.
    fn add_secret(&self, secret: &str);

    /// The present instant.
    fn now(&self) -> Timestamp;

    /// Time since some fixed moment, by a clock that nobody sets: for measuring how long something takes.
    fn monotonic(&self) -> Duration;

    /// Waits. Tests jump.
    async fn sleep(&self, duration: Duration);

    /// Says that the attempt now waits for something outside and gives its slot back, or that it goes on. It returns
    /// when that is durable.
    async fn set_deferred(&self, deferred: bool) -> Result<(), TaskError>;

    /// Waits for one of the worker's places for processes.
    async fn process_slot(&self) -> tokio::sync::OwnedSemaphorePermit;

    /// Where this attempt may keep files; removed after it.
    fn scratch(&self) -> std::path::PathBuf;
}

/// What an operator is given. Cheap to clone.
#[derive(Clone)]
pub struct TaskContext {
    /// Facts about the attempt.
    pub info: Arc<TaskInfo>,
    /// Set when the attempt is to stop.
    pub cancelled: CancellationToken,
    /// The world around it.
    pub services: Arc<dyn TaskServices>,
}

impl TaskContext {
    /// Logs a line at level info.
    pub fn info(&self, text: impl AsRef<str>) {
        self.services.log(LogSource::Task, LogLevel::Info, text.as_ref());
    }

    /// Logs a line at level warning.
    pub fn warn(&self, text: impl AsRef<str>) {
        self.services.log(LogSource::Task, LogLevel::Warning, text.as_ref());
    }

    /// Logs a line at level error.
    pub fn error(&self, text: impl AsRef<str>) {
        self.services.log(LogSource::Task, LogLevel::Error, text.as_ref());
    }

    /// Leaves a value for other tasks under this key.
    pub fn xcom_push(&self, key: impl Into<String>, value: Value) {
        self.services.xcom_push(XCom { key: key.into(), value });
    }

    /// The same for every attempt of this task instance and generation, and different for any other: an idempotency
    /// token that makes a repeated submit harmless. It changes once the work submitted under it is known to have
    /// ended, so that a retry gets new work.
    #[must_use]
    pub fn idempotency_token(&self) -> String {
        let info = &self.info;
        let mut name =
            format!("{}\n{}\n{}\n{}\n{}", info.dag_id, info.run_id, info.key.task, info.key.map_index, info.generation);
        if let Some(handle) = &info.superseded {
            name.push('\n');
            name.push_str(&handle.to_string());
        }
        uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
    }

    /// Waits, and stops waiting when the attempt is cancelled.
    ///
    /// # Errors
    /// [`TaskError::Cancelled`].
    pub async fn sleep(&self, duration: Duration) -> Result<(), TaskError> {
        tokio::select! {
            () = self.services.sleep(duration) => Ok(()),
            () = self.cancelled.cancelled() => Err(TaskError::Cancelled),
        }
    }
}
