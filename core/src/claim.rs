//! What a worker gets with an attempt.

use std::path::PathBuf;
use std::sync::Arc;

use crate::dag::{Dag, Task};
use crate::ids::{AttemptId, TaskInstanceKey};
use crate::run::RunFacts;
use crate::time::Timestamp;

/// An attempt that was dispatched: everything a worker needs to run it.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The lease: every report names it.
    pub attempt: AttemptId,
    /// The task instance.
    pub key: TaskInstanceKey,
    /// The DAG version the run is pinned to.
    pub dag: Arc<Dag>,
    /// The folder of the DAG file, relative to its bundle; or an absolute one, where the bundle is a folder of this machine.
    pub dag_folder: PathBuf,
    /// The position of the task in [`Dag::tasks`].
    pub position: usize,
    /// The run.
    pub run: Arc<RunFacts>,
    /// When the run began.
    pub run_started_at: Timestamp,
    /// 1 for the first try.
    pub try_number: u32,
    /// How often the task instance was cleared.
    pub generation: u32,
    /// When this try was first looked at, for a sensor in reschedule mode.
    pub first_poke_at: Option<Timestamp>,
    /// How many looks there were in this try before this attempt.
    pub pokes_before: u32,
    /// When what a mapped task is mapped over was last returned: a version of those values.
    pub mapped_at: Option<Timestamp>,
    /// When admission dispatched it.
    pub queued_at: Timestamp,
}

impl Claim {
    /// The task.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.dag.tasks[self.position]
    }
}
