//! The words of backfills: runs that are made for dates of the past (Airflow 3's backfills).

use serde::{Deserialize, Serialize};

/// What a backfill does with a date that has a run already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reprocess {
    /// It is left as it is.
    #[default]
    None,
    /// It runs again if it failed.
    Failed,
    /// It runs again if it has ended.
    Completed,
}

impl Reprocess {
    /// Every behaviour.
    pub const ALL: [Self; 3] = [Self::None, Self::Failed, Self::Completed];

    /// Airflow's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Failed => "failed",
            Self::Completed => "completed",
        }
    }

    /// The behaviour with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|behaviour| behaviour.as_str() == word)
    }
}

/// Why a backfill made no run for a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoRun {
    /// There is a run that this backfill is to leave as it is.
    AlreadyExists,
    /// There is a run that has not ended.
    InFlight,
    /// A run of another date has the run id.
    RunIdTaken,
    /// The DAG's file was gone when its turn came.
    DagGone,
}

impl NoRun {
    /// The word for it, as stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AlreadyExists => "already_exists",
            Self::InFlight => "in_flight",
            Self::RunIdTaken => "run_id_taken",
            Self::DagGone => "dag_gone",
        }
    }

    /// The reason with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::AlreadyExists, Self::InFlight, Self::RunIdTaken, Self::DagGone].into_iter().find(|r| r.as_str() == word)
    }
}

/// What a backfill does for one date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackfillStep {
    /// It makes a run.
    Create,
    /// It clears the run that there is.
    Reprocess,
    /// Nothing.
    Skip(NoRun),
}
