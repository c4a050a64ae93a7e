//! Airflow's trigger rules, by name. What each decides is the engine's truth table.

use serde::{Deserialize, Serialize};

/// When a task may run, given how its direct upstream tasks ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerRule {
    /// All succeeded.
    #[default]
    AllSuccess,
    /// All failed or `upstream_failed`.
    AllFailed,
    /// All are final.
    AllDone,
    /// All are final, and not one failed for want of a good setup (Airflow's rule for teardowns).
    AllDoneSetupSuccess,
    /// All are final, and at least one succeeded.
    AllDoneMinOneSuccess,
    /// All were skipped.
    AllSkipped,
    /// At least one succeeded; does not wait for the others.
    OneSuccess,
    /// At least one failed; does not wait for the others.
    OneFailed,
    /// At least one succeeded or failed; does not wait for the others.
    OneDone,
    /// None failed: succeeded or skipped.
    NoneFailed,
    /// None failed, and at least one succeeded.
    NoneFailedMinOneSuccess,
    /// None was skipped.
    NoneSkipped,
    /// No condition at all.
    Always,
}

impl TriggerRule {
    /// Every rule.
    pub const ALL: [Self; 13] = [
        Self::AllSuccess,
        Self::AllFailed,
        Self::AllDone,
        Self::AllDoneSetupSuccess,
        Self::AllDoneMinOneSuccess,
        Self::AllSkipped,
        Self::OneSuccess,
        Self::OneFailed,
        Self::OneDone,
        Self::NoneFailed,
        Self::NoneFailedMinOneSuccess,
        Self::NoneSkipped,
        Self::Always,
    ];

    /// Airflow's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllSuccess => "all_success",
            Self::AllFailed => "all_failed",
            Self::AllDone => "all_done",
            Self::AllDoneSetupSuccess => "all_done_setup_success",
            Self::AllDoneMinOneSuccess => "all_done_min_one_success",
            Self::AllSkipped => "all_skipped",
            Self::OneSuccess => "one_success",
            Self::OneFailed => "one_failed",
            Self::OneDone => "one_done",
            Self::NoneFailed => "none_failed",
            Self::NoneFailedMinOneSuccess => "none_failed_min_one_success",
            Self::NoneSkipped => "none_skipped",
            Self::Always => "always",
        }
    }

    /// The rule with this name. `dummy` is Airflow's old name of `always`, `none_failed_or_skipped` of
    /// `none_failed_min_one_success`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "dummy" => Some(Self::Always),
            "none_failed_or_skipped" => Some(Self::NoneFailedMinOneSuccess),
            _ => Self::ALL.into_iter().find(|r| r.as_str() == name),
        }
    }
}
