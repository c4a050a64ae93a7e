//! What is to be done after an event.

use std::sync::Arc;

use windrose_core::asset::AssetUpdate;
use windrose_core::attempt::AttemptEnd;
use windrose_core::dag::{Dag, Task};
use windrose_core::ids::{AttemptId, TaskInstanceKey};
use windrose_core::notify::Occasion;
use windrose_core::outcome::XCom;
use windrose_core::run_state::RunState;
use windrose_core::task_instance::TaskChange;
use windrose_core::task_state::TaskState;
use windrose_core::time::Timestamp;

/// One thing to do. Rows are written first, in one transaction; the rest follows its commit.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write a task instance.
    SetTask(TaskChange),
    /// Write the run.
    SetRun(RunChange),
    /// Write a task instance that came with a new DAG version or a longer mapped value: state None, no try yet.
    AddTask(TaskInstanceKey),
    /// A mapped task is expanded: the row that stood for all its instances makes way for theirs, which are in state None
    /// with no try yet.
    Expand {
        /// The row that stood for all.
        key: TaskInstanceKey,
        /// Where it was when the effects were drained last. Guard the removal with it.
        from: TaskState,
        /// How many instances there are now; their map indexes begin at 0.
        length: u32,
    },
    /// Write how an attempt ended.
    EndAttempt(AttemptEnd),
    /// Keep these values; they replace those with the same keys.
    PushXComs {
        /// Whose.
        key: TaskInstanceKey,
        /// What.
        xcoms: Vec<XCom>,
    },
    /// A task instance has succeeded and with it changed these assets: an event each.
    EmitAssets {
        /// Which task instance.
        key: TaskInstanceKey,
        /// What it says of them.
        assets: Vec<AssetUpdate>,
    },
    /// Forget all values of this task instance: a new try begins.
    ClearXComs(TaskInstanceKey),
    /// Tell people of a task instance, as the task says.
    Notify {
        /// Which.
        key: TaskInstanceKey,
        /// The try that it is about; the next one may have begun.
        try_number: u32,
        /// What has happened.
        occasion: Occasion,
        /// Why, as a sentence; empty if nothing went wrong.
        cause: String,
    },
    /// Tell people of how the run ended, as the DAG says.
    NotifyOfRun {
        /// The task instance that decided; none if there is no task.
        key: Option<TaskInstanceKey>,
        /// What has happened.
        occasion: Occasion,
        /// Why, as a sentence; empty if nothing went wrong.
        cause: String,
    },
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

/// More than any two effective priority weights differ by: a backfill's task instances wait behind all others, so that it
/// never holds up a scheduled run.
pub const BACKFILL_BEHIND: i64 = 1 << 40;

/// A task instance that wants slots.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Which.
    pub key: TaskInstanceKey,
    /// The DAG version of its run.
    pub dag: Arc<Dag>,
    /// The position of the task in [`Dag::tasks`].
    pub position: usize,
    /// Its effective priority weight: higher goes first. That of a backfill's task instance is lower by [`BACKFILL_BEHIND`].
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
