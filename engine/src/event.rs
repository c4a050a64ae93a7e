//! What can happen to a run, and how it is refused.

use serde::{Deserialize, Serialize};
use windrose_core::ids::{AttemptId, TaskId, TaskInstanceKey};
use windrose_core::outcome::Report;
use windrose_core::run_state::IllegalRunTransition;
use windrose_core::task_state::{FinalState, IllegalTransition};

use crate::past::{PastNews, PreviousRun};
use crate::plan::Plan;

/// What happens to one run.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "an event is passed on once, and most are reports")]
pub enum Event {
    /// There is a place for it under `max_active_runs`.
    Start,
    /// Admission gave a task instance its slots; the attempt is its new lease.
    Dispatched {
        /// Which.
        key: TaskInstanceKey,
        /// The new lease.
        attempt: AttemptId,
    },
    /// A worker has begun.
    Started {
        /// Which.
        key: TaskInstanceKey,
        /// Its lease.
        attempt: AttemptId,
    },
    /// The worker waits for something outside and gives its slots back.
    Deferred {
        /// Which.
        key: TaskInstanceKey,
        /// Its lease.
        attempt: AttemptId,
    },
    /// A deferred worker goes on; admission gave it slots again.
    Resumed {
        /// Which.
        key: TaskInstanceKey,
        /// Its lease.
        attempt: AttemptId,
    },
    /// A worker's last word.
    Ended {
        /// Which.
        key: TaskInstanceKey,
        /// What it says.
        report: Report,
    },
    /// The process that held the attempt is gone.
    Lost {
        /// Which.
        key: TaskInstanceKey,
        /// Its lease.
        attempt: AttemptId,
        /// Which process, and how that was noticed.
        detail: String,
        /// There is a checkpoint of remote work, which the next attempt takes hold of again.
        reattach: bool,
    },
    /// Look at the clock: [`crate::RunMachine::poll_timeout`] has come.
    TimerDue,
    /// A person stops the run, which must not have ended: what runs is cancelled and fails, what waits is skipped, teardowns still run.
    Cancel {
        /// Who.
        by: String,
    },
    /// A person says where a task instance stands; what failed below it is decided again, as in Airflow.
    MarkTask {
        /// Which.
        key: TaskInstanceKey,
        /// Where.
        state: MarkedState,
        /// Who.
        by: String,
    },
    /// The same for many task instances at once.
    MarkTasks {
        /// Which.
        selection: Selection,
        /// Where.
        state: MarkedState,
        /// Who.
        by: String,
    },
    /// A person says how the run ended.
    MarkRun {
        /// True: all its task instances become successful. False: as [`Event::Cancel`].
        success: bool,
        /// Who.
        by: String,
    },
    /// A person wants task instances decided again.
    Clear {
        /// Which.
        selection: Selection,
        /// Who.
        by: String,
    },
    /// The run on which `depends_on_past` depends, as it stands now.
    PreviousRun(PreviousRun),
    /// A task instance of that run has changed.
    PreviousTask {
        /// The task.
        task: TaskId,
        /// What happened to it.
        news: PastNews,
    },
    /// A person moves the run to another version of its DAG: tasks that are gone are removed, new ones are added.
    NewVersion {
        /// The version, compiled.
        plan: std::sync::Arc<Plan>,
        /// Who.
        by: String,
    },
}

/// Where a person can put a task instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkedState {
    /// Done.
    Success,
    /// Failed for good.
    Failed,
    /// Left out.
    Skipped,
}

impl From<MarkedState> for FinalState {
    fn from(state: MarkedState) -> Self {
        match state {
            MarkedState::Success => Self::Success,
            MarkedState::Failed => Self::Failed,
            MarkedState::Skipped => Self::Skipped,
        }
    }
}

/// Which task instances a clear or a mark takes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selection {
    /// These tasks; empty means every task of the run.
    pub tasks: Vec<TaskId>,
    /// And everything upstream of them.
    pub upstream: bool,
    /// And everything downstream of them.
    pub downstream: bool,
    /// Of the named tasks only these mapped instances; empty means all of them.
    pub map_indexes: Vec<i32>,
    /// Of all those, only the failed and upstream_failed ones.
    pub only_failed: bool,
    /// Of all those, only those that a worker holds; together with `only_failed`, either.
    pub only_running: bool,
}

/// The event came too late or does not fit; nothing has changed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refused {
    /// The run has no such task instance.
    #[error("DAG '{dag}' has no task instance '{task}' in this run; look the id up with 'windrose dags show {dag}'")]
    UnknownTask {
        /// The DAG.
        dag: String,
        /// The task.
        task: String,
    },
    /// The task instance is not where the event needs it, or another attempt holds it.
    #[error("{0}; the attempt is out of date, so drop it")]
    Task(#[from] IllegalTransition),
    /// The run is not where the event needs it.
    #[error("{0}; look at the run's state before trying again")]
    Run(#[from] IllegalRunTransition),
}
