//! A run as rows: what is written, and what a restart reads.

use windrose_core::ids::TaskId;
use windrose_core::outcome::Routing;
use windrose_core::run_state::RunState;
use windrose_core::task_state::TaskState;
use windrose_core::time::Timestamp;

/// A task instance's row.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskSnapshot {
    /// The task; task mapping is not part of it yet.
    pub task: TaskId,
    /// Where it is.
    pub state: TaskState,
    /// 1 for the first try, 0 before it. A clear does not set it back.
    pub try_number: u32,
    /// The last try number that may be followed by another one.
    pub max_tries: u32,
    /// How often it was cleared.
    pub generation: u32,
    /// When this try was first looked at, for a sensor in reschedule mode.
    pub first_poke_at: Option<Timestamp>,
    /// How many looks there were in this try.
    pub pokes: u32,
    /// When the current attempt was dispatched.
    pub queued_at: Option<Timestamp>,
    /// When the current or last attempt began.
    pub started_at: Option<Timestamp>,
    /// When it got its final state.
    pub ended_at: Option<Timestamp>,
    /// Which way a branching task sent the run.
    pub routing: Option<Routing>,
}

impl TaskSnapshot {
    /// The row of a task instance that nothing has happened to.
    #[must_use]
    pub const fn new(task: TaskId, retries: u32) -> Self {
        Self {
            task,
            state: TaskState::None,
            try_number: 0,
            max_tries: retries,
            generation: 0,
            first_poke_at: None,
            pokes: 0,
            queued_at: None,
            started_at: None,
            ended_at: None,
            routing: None,
        }
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
    /// In the order of the DAG file.
    pub tasks: Vec<TaskSnapshot>,
}
