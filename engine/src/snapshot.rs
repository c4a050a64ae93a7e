//! A run as rows: what is written, and what a restart reads.

use windrose_core::ids::{RunKey, TaskId, TaskInstanceKey};
use windrose_core::run_state::RunState;
use windrose_core::task_instance::TaskColumns;
use windrose_core::task_state::TaskState;
use windrose_core::time::Timestamp;

/// A task instance's row.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskSnapshot {
    /// The task.
    pub task: TaskId,
    /// Which of its mapped instances; −1 for a task that is not mapped, or not expanded yet.
    pub map_index: i32,
    /// Where it is.
    pub state: TaskState,
    /// Everything else.
    pub columns: TaskColumns,
}

impl TaskSnapshot {
    /// Its key in this run.
    #[must_use]
    pub fn key(&self, run: RunKey) -> TaskInstanceKey {
        TaskInstanceKey { run, task: self.task.clone(), map_index: self.map_index }
    }

    /// The row of a task instance that nothing has happened to.
    #[must_use]
    pub fn new(task: TaskId, retries: u32) -> Self {
        Self { task, map_index: -1, state: TaskState::None, columns: TaskColumns::new(retries) }
    }
}

/// A run's row and those of its task instances.
#[derive(Debug, Clone, PartialEq)]
pub struct RunSnapshot {
    /// Where it is.
    pub state: RunState,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// In the order of the DAG file; mapped instances from index 1 on come after them, in the order of their creation.
    pub tasks: Vec<TaskSnapshot>,
}
