//! What a worker needs from outside, as one small interface.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use windrose_core::approval::{Answer, Asked, Question};
use windrose_core::asset::AssetEvent;
use windrose_core::claim::Claim;
use windrose_core::connection::Connection;
use windrose_core::ids::{AttemptId, DagId, RunId, RunKey, TaskId, TaskInstanceKey};
use windrose_core::notify::{NotificationClaim, Notifier};
use windrose_core::outcome::{RenderedFields, Report};
use windrose_core::run::RunFacts;
use windrose_core::task_state::TaskStateName;
use windrose_core::template::{AssetEventQuery, XComQuery};
use windrose_core::time::Timestamp;
use windrose_operators::other_dags::{OtherDag, OtherRun, WantedRun};

/// So many events of an asset a task can see.
pub const MOST_ASSET_EVENTS: u32 = 10_000;

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// It is durable.
    Taken,
    /// The attempt is not the one that holds the task any more; nothing was changed.
    Fenced,
}

/// The other side cannot be reached, or refuses.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PortError {
    /// Try again later.
    #[error("the scheduler or its database is not reachable: {0}")]
    Unavailable(String),
    /// The worker is to stop: the other side is gone for good.
    #[error("the scheduler has stopped")]
    Closed,
}

/// The last successful run before a run, for the `prev_*` names of templates.
#[derive(Debug, Clone, PartialEq)]
pub struct PreviousSuccess {
    /// Its span of data.
    pub data_interval: Option<windrose_core::run::DataInterval>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What a task asks about other DAGs, or wants of their runs; a last text is who wants it.
#[derive(Debug, Clone)]
pub enum DagQuestion {
    /// A DAG.
    Dag(DagId),
    /// A run by its id.
    Run(DagId, RunId),
    /// A run by its logical date.
    RunAt(DagId, Timestamp),
    /// The states of a run's task instances.
    TaskStates(DagId, RunId),
    /// Make a run.
    Trigger(WantedRun),
    /// Have all tasks of a run decided again.
    Clear(DagId, RunId, String),
    /// Stop a run.
    Cancel(DagId, RunId, String),
}

/// The answer to a [`DagQuestion`].
#[derive(Debug, Clone)]
pub enum DagAnswer {
    /// The DAG, if it was ever there.
    Dag(Option<OtherDag>),
    /// The run, if there is one.
    Run(Option<OtherRun>),
    /// The states.
    TaskStates(Vec<(TaskId, TaskStateName)>),
    /// It is done, or refused with this sentence.
    Done(Result<(), String>),
}

/// What became of a try to send a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sending {
    /// It was sent.
    Done,
    /// It was not.
    Failed {
        /// Why, without secrets.
        error: String,
        /// When it is tried again; `None` gives it up.
        next: Option<Timestamp>,
    },
}

/// A file that belongs to a version of a DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFile {
    /// Relative to the bundle.
    pub path: PathBuf,
    /// What it holds.
    pub content: Arc<[u8]>,
}

/// The worker's view of the rest of Windrose.
#[async_trait]
pub trait WorkerPort: Send + Sync {
    /// Waits for the next attempt.
    async fn claim(&self) -> Result<Claim, PortError>;

    /// Waits for the next attempt that is to be cancelled; with a word on who or what wants that.
    async fn cancellation(&self) -> Result<(AttemptId, String), PortError>;

    /// The attempt has begun. Returns at once; the state follows with the scheduler's next batch.
    fn started(&self, attempt: AttemptId);

    /// The attempt gives its slot back, or takes it again. Returns when that is durable.
    async fn deferred(&self, attempt: AttemptId, deferred: bool) -> Result<Ack, PortError>;

    /// The attempt's outcome. Returns when it is durable.
    async fn report(&self, report: Report) -> Result<Ack, PortError>;

    /// The files of the bundle that belong to a version of a DAG, by their path in the bundle. `None` if the folder that
    /// [`Claim::dag_folder`] names is the bundle itself.
    async fn version_files(&self, _dag: &DagId, _version: &str) -> Result<Option<Vec<BundleFile>>, PortError> {
        Ok(None)
    }

    /// What the last attempt of this task instance and generation saved.
    async fn checkpoint(&self, key: &TaskInstanceKey, generation: u32) -> Result<Option<Value>, PortError>;

    /// Saves a checkpoint, durable on return; `Fenced` if another attempt holds the task instance.
    async fn save_checkpoint(
        &self,
        attempt: AttemptId,
        key: &TaskInstanceKey,
        generation: u32,
        checkpoint: &Value,
    ) -> Result<Ack, PortError>;

    /// A value left by a task of a run.
    async fn xcom(
        &self,
        run: RunKey,
        task_id: &str,
        map_index: Option<i32>,
        key: &str,
    ) -> Result<Option<Value>, PortError>;

    /// A value left by a task of another DAG or run; `run` is the one that asks.
    async fn xcom_elsewhere(&self, _run: &RunFacts, _query: &XComQuery) -> Result<Option<Value>, PortError> {
        Ok(None)
    }

    /// What a task asks about other DAGs, or wants of their runs.
    async fn other_dags(&self, _question: &DagQuestion) -> Result<DagAnswer, PortError> {
        Ok(DagAnswer::Done(Err("other DAGs are there only when a scheduler runs the task".to_owned())))
    }

    /// Asset events, oldest first; of more than [`MOST_ASSET_EVENTS`] the newest. `run` is the run that asks.
    async fn asset_events(&self, _run: RunKey, _query: &AssetEventQuery) -> Result<Vec<AssetEvent>, PortError> {
        Ok(Vec::new())
    }

    /// What a try has asked people, and how it stands.
    async fn asked(&self, _key: &TaskInstanceKey, _try_number: u32) -> Result<Option<Asked>, PortError> {
        Ok(None)
    }

    /// Asks people, and tells them. Returns when that is durable.
    async fn ask(&self, _attempt: AttemptId, _question: &Question, _notifiers: &[Notifier]) -> Result<Ack, PortError> {
        Err(PortError::Closed)
    }

    /// Waits for the next attempt whose question has been answered.
    async fn answered(&self) -> Result<AttemptId, PortError> {
        std::future::pending().await
    }

    /// Time is up: this is the answer, unless there is another one. Returns when that is durable.
    async fn answer_by_default(
        &self,
        _key: &TaskInstanceKey,
        _try_number: u32,
        _answer: &Answer,
    ) -> Result<(), PortError> {
        Err(PortError::Closed)
    }

    /// The last successful run of the DAG before this one.
    async fn previous_success(&self, run: RunKey) -> Result<Option<PreviousSuccess>, PortError>;

    /// A connection of the metadata database, decrypted.
    async fn stored_connection(&self, conn_id: &str) -> Result<Option<Connection>, PortError>;

    /// A variable of the metadata database, decrypted.
    async fn stored_variable(&self, key: &str) -> Result<Option<String>, PortError>;

    /// Keeps the operator's parameters as rendered, secrets masked, for people to look at. Losing them harms nothing.
    fn rendered(&self, _attempt: AttemptId, _rendered: RenderedFields) {}

    /// Waits for the next notification that is to be sent.
    async fn notification(&self) -> Result<NotificationClaim, PortError> {
        std::future::pending().await
    }

    /// What became of a try to send a notification. Returns when that is durable.
    async fn notified(&self, _id: &str, _sending: Sending) -> Result<(), PortError> {
        Ok(())
    }
}
