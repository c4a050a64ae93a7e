//! The life of a DAG run.

use serde::{Deserialize, Serialize};

/// Airflow's DAG run states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Created, and waiting for a place under `max_active_runs`.
    Queued,
    /// Its tasks are being decided on.
    Running,
    /// Every leaf succeeded or was skipped.
    Success,
    /// A leaf failed, the run timed out or deadlocked, or a person failed it.
    Failed,
}

impl RunState {
    /// Airflow's word, as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
        }
    }

    /// The state with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Queued, Self::Running, Self::Success, Self::Failed].into_iter().find(|s| s.as_str() == word)
    }

    /// Nothing but a person's clear or mark moves a run from here.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Failed)
    }
}

/// What happens to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEvent {
    /// There is a place under `max_active_runs`.
    Started,
    /// All its tasks are final and the deciding ones are good.
    Succeeded,
    /// The deciding tasks failed, nothing can move any more, or its time is over.
    Failed,
    /// Some of its tasks were cleared: it is to be decided again.
    Cleared,
    /// A person says how it ended.
    Marked {
        /// True for success, false for failure.
        success: bool,
    },
}

/// A run cannot go this way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {} run cannot take the event {event:?}", from.as_str())]
pub struct IllegalRunTransition {
    /// Where it was.
    pub from: RunState,
    /// What was to happen.
    pub event: RunEvent,
}

/// The only place where a run changes state.
///
/// # Errors
/// If the pair is not part of a run's life.
pub fn next(from: RunState, event: RunEvent) -> Result<RunState, IllegalRunTransition> {
    use RunState as S;
    Ok(match (from, event) {
        (S::Queued, RunEvent::Started) => S::Running,
        (S::Running, RunEvent::Succeeded) => S::Success,
        (S::Queued | S::Running, RunEvent::Failed) => S::Failed,
        (S::Success | S::Failed, RunEvent::Cleared) => S::Queued,
        (S::Queued | S::Running, RunEvent::Cleared) => from,
        (_, RunEvent::Marked { success: true }) => S::Success,
        (_, RunEvent::Marked { success: false }) => S::Failed,
        _ => return Err(IllegalRunTransition { from, event }),
    })
}

/// Why a run exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunType {
    /// Its timetable made it.
    Scheduled,
    /// A person or a client triggered it.
    Manual,
    /// It belongs to a backfill.
    Backfill,
    /// Asset events made it.
    AssetTriggered,
}

impl RunType {
    /// Airflow's word, as stored, shown, and put before the `__` of a run id.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Manual => "manual",
            Self::Backfill => "backfill",
            Self::AssetTriggered => "asset_triggered",
        }
    }

    /// The type with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Scheduled, Self::Manual, Self::Backfill, Self::AssetTriggered].into_iter().find(|t| t.as_str() == word)
    }
}
