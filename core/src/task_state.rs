//! The life of a task instance, on one screen: [`next`].

use serde::{Deserialize, Serialize};

use crate::ids::AttemptId;
use crate::time::Timestamp;

/// Airflow's words for the states, as stored and shown. [`TaskState`] carries what each needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskStateName {
    /// Its trigger rule has not decided yet.
    None,
    /// Ready, and waiting for admission: pool slots, `max_active_tasks` and the like.
    Scheduled,
    /// Dispatched to a worker.
    Queued,
    /// A worker is at it.
    Running,
    /// A worker waits for something outside, and holds no slot.
    Deferred,
    /// Failed, and due to be tried again.
    UpForRetry,
    /// A sensor between two pokes, holding nothing.
    UpForReschedule,
    /// Done.
    Success,
    /// Failed for good.
    Failed,
    /// Left out: by a branch, a short circuit, its own code or its trigger rule.
    Skipped,
    /// Not run because what it needs failed.
    UpstreamFailed,
    /// The DAG version that the run now has no longer holds this task.
    Removed,
}

impl TaskStateName {
    /// Every state.
    pub const ALL: [Self; 12] = [
        Self::None,
        Self::Scheduled,
        Self::Queued,
        Self::Running,
        Self::Deferred,
        Self::UpForRetry,
        Self::UpForReschedule,
        Self::Success,
        Self::Failed,
        Self::Skipped,
        Self::UpstreamFailed,
        Self::Removed,
    ];

    /// Airflow's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Deferred => "deferred",
            Self::UpForRetry => "up_for_retry",
            Self::UpForReschedule => "up_for_reschedule",
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::UpstreamFailed => "upstream_failed",
            Self::Removed => "removed",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == word)
    }

    /// Only a person moves a task instance from here.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Skipped | Self::UpstreamFailed | Self::Removed)
    }
}

/// Where a task instance is. A variant carries exactly what is valid there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskState {
    /// See [`TaskStateName::None`].
    None,
    /// See [`TaskStateName::Scheduled`].
    Scheduled,
    /// Dispatched under this lease.
    Queued(AttemptId),
    /// Running under this lease.
    Running(AttemptId),
    /// Waiting outside any slot under this lease.
    Deferred(AttemptId),
    /// To be tried again at that instant.
    UpForRetry(Timestamp),
    /// To be poked again at that instant.
    UpForReschedule(Timestamp),
    /// One of the final states.
    Final(FinalState),
}

/// Where a task instance can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinalState {
    /// See [`TaskStateName::Success`].
    Success,
    /// See [`TaskStateName::Failed`].
    Failed,
    /// See [`TaskStateName::Skipped`].
    Skipped,
    /// See [`TaskStateName::UpstreamFailed`].
    UpstreamFailed,
    /// See [`TaskStateName::Removed`].
    Removed,
}

impl TaskState {
    /// The word for it.
    #[must_use]
    pub const fn name(&self) -> TaskStateName {
        match self {
            Self::None => TaskStateName::None,
            Self::Scheduled => TaskStateName::Scheduled,
            Self::Queued(_) => TaskStateName::Queued,
            Self::Running(_) => TaskStateName::Running,
            Self::Deferred(_) => TaskStateName::Deferred,
            Self::UpForRetry(_) => TaskStateName::UpForRetry,
            Self::UpForReschedule(_) => TaskStateName::UpForReschedule,
            Self::Final(FinalState::Success) => TaskStateName::Success,
            Self::Final(FinalState::Failed) => TaskStateName::Failed,
            Self::Final(FinalState::Skipped) => TaskStateName::Skipped,
            Self::Final(FinalState::UpstreamFailed) => TaskStateName::UpstreamFailed,
            Self::Final(FinalState::Removed) => TaskStateName::Removed,
        }
    }

    /// The lease under which a worker holds it.
    #[must_use]
    pub const fn attempt(&self) -> Option<AttemptId> {
        match *self {
            Self::Queued(a) | Self::Running(a) | Self::Deferred(a) => Some(a),
            _ => None,
        }
    }

    /// When its own timer wakes it.
    #[must_use]
    pub const fn due(&self) -> Option<Timestamp> {
        match *self {
            Self::UpForRetry(at) | Self::UpForReschedule(at) => Some(at),
            _ => None,
        }
    }

    /// Only a person moves it from here.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Final(_))
    }

    /// Puts the parts of a row together again; `None` if they do not fit one another.
    #[must_use]
    pub fn from_parts(name: TaskStateName, attempt: Option<AttemptId>, due: Option<Timestamp>) -> Option<Self> {
        Some(match name {
            TaskStateName::None => Self::None,
            TaskStateName::Scheduled => Self::Scheduled,
            TaskStateName::Queued => Self::Queued(attempt?),
            TaskStateName::Running => Self::Running(attempt?),
            TaskStateName::Deferred => Self::Deferred(attempt?),
            TaskStateName::UpForRetry => Self::UpForRetry(due?),
            TaskStateName::UpForReschedule => Self::UpForReschedule(due?),
            TaskStateName::Success => Self::Final(FinalState::Success),
            TaskStateName::Failed => Self::Final(FinalState::Failed),
            TaskStateName::Skipped => Self::Final(FinalState::Skipped),
            TaskStateName::UpstreamFailed => Self::Final(FinalState::UpstreamFailed),
            TaskStateName::Removed => Self::Final(FinalState::Removed),
        })
    }
}

/// What happens to a task instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskEvent {
    /// Its trigger rule says run, and its dates and dependencies on the past allow it.
    Ready,
    /// Admission gave it a slot, and it goes to a worker under a new lease.
    Dispatched(AttemptId),
    /// The worker has begun.
    Started(AttemptId),
    /// The worker waits for something outside and gives its slot back.
    Deferred(AttemptId),
    /// What the operator waited for has come; the worker goes on.
    Resumed(AttemptId),
    /// The worker is done, and it ends there.
    Ended(AttemptId, FinalState),
    /// The worker is done, and the task is to be tried again at that instant.
    Retry(AttemptId, Timestamp),
    /// The sensor's condition does not hold yet; look again at that instant.
    Reschedule(AttemptId, Timestamp),
    /// The worker that held it is gone; it goes back to admission at once.
    Lost(AttemptId),
    /// Its timer went off.
    Due,
    /// The scheduler decides it without running it: a trigger rule, a branch, `fail_fast`, a run's end, `empty`.
    Decided(FinalState),
    /// A person wants it decided again.
    Cleared,
    /// A person says where it stands.
    Marked(FinalState),
}

/// A task instance cannot go this way; a report under an old lease ends here, hence is ignored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a task instance that is {} cannot take the event {event:?}", from.name().as_str())]
pub struct IllegalTransition {
    /// Where it was.
    pub from: TaskState,
    /// What was to happen.
    pub event: TaskEvent,
}

/// The only place where a task instance changes state.
///
/// # Errors
/// If the pair is not part of a task instance's life, or the event's lease is not the one that holds it.
pub fn next(from: TaskState, event: TaskEvent) -> Result<TaskState, IllegalTransition> {
    use TaskEvent as E;
    use TaskState as S;
    let held_by = |lease: AttemptId| from.attempt() == Some(lease);
    Ok(match (from, event) {
        (S::None | S::UpForRetry(_) | S::UpForReschedule(_), E::Ready) => S::Scheduled,
        (S::UpForRetry(_) | S::UpForReschedule(_), E::Due) => S::Scheduled,
        (S::Scheduled, E::Dispatched(lease)) => S::Queued(lease),
        (S::Queued(_), E::Started(lease)) if held_by(lease) => S::Running(lease),
        (S::Queued(_) | S::Running(_), E::Deferred(lease)) if held_by(lease) => S::Deferred(lease),
        (S::Deferred(_), E::Resumed(lease)) if held_by(lease) => S::Running(lease),
        (_, E::Ended(lease, end)) if held_by(lease) => S::Final(end),
        (_, E::Retry(lease, due)) if held_by(lease) => S::UpForRetry(due),
        (_, E::Reschedule(lease, due)) if held_by(lease) => S::UpForReschedule(due),
        (_, E::Lost(lease)) if held_by(lease) => S::Scheduled,
        (from, E::Decided(end)) if !from.is_final() => S::Final(end),
        // A branch, a short circuit or `fail_fast` overrules what the trigger rule has marked (Airflow's SkipMixin).
        (S::Final(FinalState::UpstreamFailed), E::Decided(FinalState::Skipped)) => S::Final(FinalState::Skipped),
        (_, E::Cleared) => S::None,
        (_, E::Marked(end)) => S::Final(end),
        _ => return Err(IllegalTransition { from, event }),
    })
}
