//! A task instance's row: what the engine decides and the store keeps, in one shape for both.

use crate::cause::Cause;
use crate::ids::TaskInstanceKey;
use crate::outcome::Routing;
use crate::task_state::TaskState;
use crate::time::Timestamp;

/// What a task instance's row holds besides its key, its state and the cause of its last failure.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskColumns {
    /// 1 for the first try, 0 before it. A clear does not set it back.
    pub try_number: u32,
    /// The last try number that may be followed by another one (Airflow's column of that name).
    pub max_tries: u32,
    /// How often it was cleared.
    pub generation: u32,
    /// When this try was first looked at, for a sensor in reschedule mode.
    pub first_poke_at: Option<Timestamp>,
    /// How many looks there were in this try.
    pub pokes: u32,
    /// When the current or last attempt was dispatched.
    pub queued_at: Option<Timestamp>,
    /// When the current or last attempt began.
    pub started_at: Option<Timestamp>,
    /// When the last try ended, or the task instance got its final state.
    pub ended_at: Option<Timestamp>,
    /// Which way a branching task sent the run.
    pub routing: Option<Routing>,
    /// For a task that others are mapped over: the length of what it returned; for one instance of a mapped task 1, if it
    /// returned anything (Airflow's `TaskMap`).
    pub mapped_length: Option<u32>,
}

impl TaskColumns {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(retries: u32) -> Self {
        Self { max_tries: retries, ..Self::default() }
    }
}

/// A task instance's row before and after. The write is guarded by `from`: state and attempt are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskChange {
    /// Which.
    pub key: TaskInstanceKey,
    /// Before.
    pub from: TaskState,
    /// After; it can be equal to `from` when other columns change.
    pub to: TaskState,
    /// After.
    pub columns: TaskColumns,
    /// Why the last try failed, if it did.
    pub cause: Option<Cause>,
}
