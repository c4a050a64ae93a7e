//! What a task may know and want of the runs of other DAGs. The worker provides it; tests bring their own.

use async_trait::async_trait;
use serde_json::{Map, Value};
use windrose_core::ids::{DagId, RunId, TaskId};
use windrose_core::run_state::RunState;
use windrose_core::task_state::TaskStateName;
use windrose_core::time::Timestamp;

use crate::error::TaskError;

/// A DAG as a task sees it from outside.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OtherDag {
    /// No run of it starts.
    pub paused: bool,
    /// A file holds it.
    pub present: bool,
    /// Its tasks in its newest version, each with the group it is in.
    pub tasks: Vec<(TaskId, Option<String>)>,
    /// Its groups.
    pub groups: Vec<String>,
}

impl OtherDag {
    /// The tasks of a group and of the groups in it.
    pub fn tasks_of_group(&self, group: &str) -> Vec<&TaskId> {
        let inside = |own: &str| own == group || own.strip_prefix(group).is_some_and(|rest| rest.starts_with('.'));
        self.tasks.iter().filter(|(_, own)| own.as_deref().is_some_and(inside)).map(|(task, _)| task).collect()
    }
}

/// A run as a task sees it from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherRun {
    /// Its id.
    pub run_id: RunId,
    /// Where it is.
    pub state: RunState,
    /// Who or what made it, in words.
    pub triggered_by: String,
}

/// A run that a task wants.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedRun {
    /// The DAG.
    pub dag_id: DagId,
    /// The run's id.
    pub run_id: RunId,
    /// The instant it stands for; now if none.
    pub logical_date: Option<Timestamp>,
    /// Its parameters.
    pub conf: Map<String, Value>,
    /// Who wants it: it becomes [`OtherRun::triggered_by`].
    pub who: String,
}

/// The runs of other DAGs. An error is [`TaskError::Failed`] with the sentence of whoever refused, or
/// [`TaskError::Cancelled`] if the attempt was stopped while the other side was away.
#[async_trait]
pub trait OtherDags: Send + Sync {
    /// A DAG, if it was ever there.
    async fn dag(&self, dag_id: &DagId) -> Result<Option<OtherDag>, TaskError>;

    /// A run by its id.
    async fn run(&self, dag_id: &DagId, run_id: &RunId) -> Result<Option<OtherRun>, TaskError>;

    /// The run that stands for an instant.
    async fn run_at(&self, dag_id: &DagId, logical_date: Timestamp) -> Result<Option<OtherRun>, TaskError>;

    /// The states of all task instances of a run.
    async fn task_states(&self, dag_id: &DagId, run_id: &RunId) -> Result<Vec<(TaskId, TaskStateName)>, TaskError>;

    /// Makes a run. It is durable when this returns.
    async fn trigger(&self, wanted: &WantedRun) -> Result<(), TaskError>;

    /// Has all tasks of a run decided again.
    async fn clear(&self, dag_id: &DagId, run_id: &RunId, who: &str) -> Result<(), TaskError>;

    /// Stops a run.
    async fn cancel(&self, dag_id: &DagId, run_id: &RunId, who: &str) -> Result<(), TaskError>;
}
