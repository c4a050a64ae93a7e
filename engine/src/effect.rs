//! What is to be done after an event.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use windrose_core::cause::Cause;
use windrose_core::dag::{Dag, Task};
use windrose_core::ids::{AttemptId, TaskInstanceKey};
use windrose_core::outcome::{Routing, XCom};
use windrose_core::run_state::RunState;
use windrose_core::task_state::TaskState;
use windrose_core::time::Timestamp;

/// One thing to do. Rows are written first, in one transaction; the rest follows its commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write a task instance.
    SetTask(TaskChange),
    /// Write the run.
    SetRun(RunChange),
    /// Write a task instance that came with a new DAG version: state None, no try yet.
    AddTask(TaskInstanceKey),
    /// Write how an attempt ended.
    EndAttempt(AttemptEnd),
    /// Keep these values; they replace those with the same keys.
    PushXComs {
        /// Whose.
        key: TaskInstanceKey,
        /// What.
        xcoms: Vec<XCom>,
    },
    /// Forget all values of this task instance: a new try begins.
    ClearXComs(TaskInstanceKey),
    /// To admission: it is ready.
    Offer(Candidate),
    /// To admission: it is not ready any more.
    Withdraw(TaskInstanceKey),
    /// To admission, after a restart: it holds slots already.
    Occupy {
        /// Who.
        candidate: Candidate,
        /// It is deferred, so it holds slots only in pools that count deferred ones.
        deferred: bool,
    },
    /// To admission: its attempt is over.
    Release(TaskInstanceKey),
    /// To admission: its attempt is deferred.
    Defer(TaskInstanceKey),
    /// To the worker: stop this attempt; its report will be refused.
    CancelAttempt {
        /// Whose.
        key: TaskInstanceKey,
        /// Which.
        attempt: AttemptId,
        /// Who or what wants that.
        by: String,
    },
}

/// A task instance's row before and after. Guard the write with `from`.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskChange {
    /// Which.
    pub key: TaskInstanceKey,
    /// Before.
    pub from: TaskState,
    /// After; it can be equal to `from` when other columns change.
    pub to: TaskState,
    /// 1 for the first try, 0 before it. A clear does not set it back.
    pub try_number: u32,
    /// The last try number that may be followed by another one (Airflow's column of that name).
    pub max_tries: u32,
    /// How often the task instance was cleared.
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
    /// Why the last try failed, if this change is a failure.
    pub cause: Option<Cause>,
}

/// The run's row before and after. Guard the write with `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunChange {
    /// Before.
    pub from: RunState,
    /// After.
    pub to: RunState,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptEnd {
    /// Whose.
    pub key: TaskInstanceKey,
    /// Which.
    pub attempt: AttemptId,
    /// Its try.
    pub try_number: u32,
    /// How.
    pub outcome: AttemptOutcome,
    /// Why, if it did not end well.
    pub cause: Option<Cause>,
    /// When the operator began, if it did.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Timestamp,
}

/// The word for how an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The work is done.
    Success,
    /// It failed for good.
    Failed,
    /// It failed, and another try follows.
    UpForRetry,
    /// A sensor looked, and will look again.
    UpForReschedule,
    /// Its code asked to be skipped.
    Skipped,
    /// Its process is gone.
    Lost,
    /// A person or a rule took the task instance away from it.
    Cancelled,
}

impl AttemptOutcome {
    /// The word, as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::UpForRetry => "up_for_retry",
            Self::UpForReschedule => "up_for_reschedule",
            Self::Skipped => "skipped",
            Self::Lost => "lost",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A task instance that wants slots.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Which.
    pub key: TaskInstanceKey,
    /// The DAG version of its run.
    pub dag: Arc<Dag>,
    /// The position of the task in [`Dag::tasks`].
    pub position: usize,
    /// Its effective priority weight: higher goes first.
    pub weight: i64,
    /// The run's logical date, or the date it runs after: older goes first among equal weights.
    pub run_date: Timestamp,
}

impl Candidate {
    /// The task.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.dag.tasks[self.position]
    }
}

/// The same task instance with the same weight.
impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.weight == other.weight && self.run_date == other.run_date
    }
}
