//! What a DAG file says about telling people: which notifiers, on which occasions.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::claim::Claim;
use crate::time::Timestamp;

/// A notifier as it is written: its name, and its parameters before their templates are rendered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notifier {
    /// `webhook`, `slack`, ….
    pub notifier: String,
    /// Everything else.
    pub parameters: Map<String, Value>,
}

/// When people are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Occasion {
    /// A task or a run has succeeded.
    Success,
    /// A task has failed for good, or a run has failed.
    Failure,
    /// A try has failed, and another one follows.
    Retry,
    /// A task's own code asked to be skipped.
    Skipped,
}

impl Occasion {
    /// The field of the DAG file.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Success => "on_success",
            Self::Failure => "on_failure",
            Self::Retry => "on_retry",
            Self::Skipped => "on_skipped",
        }
    }
}

/// The notifiers of a task, or of a DAG's runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Notifiers {
    /// By occasion, in the order of the file.
    pub on: Vec<(Occasion, Notifier)>,
}

impl Notifiers {
    /// Those of one occasion.
    pub fn of(&self, occasion: Occasion) -> impl Iterator<Item = &Notifier> {
        self.on.iter().filter(move |(on, _)| *on == occasion).map(|(_, notifier)| notifier)
    }

    /// Whether anybody is told then.
    #[must_use]
    pub fn has(&self, occasion: Occasion) -> bool {
        self.of(occasion).next().is_some()
    }
}

/// A notification that is to be sent, with all that its templates can name.
#[derive(Debug, Clone)]
pub struct NotificationClaim {
    /// Its row.
    pub id: String,
    /// The task instance it is about. For a notification about a run it is the one that decided, or the DAG's first.
    pub claim: Claim,
    /// By what it is sent.
    pub notifier: Notifier,
    /// The template name `notification`.
    pub facts: Map<String, Value>,
    /// How often sending it has failed.
    pub tries: u32,
    /// When it is to be tried.
    pub due_at: Timestamp,
}
