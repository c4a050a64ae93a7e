//! Names and keys. Text ids are cheap to clone; numeric keys are made by the application, never by the database.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

text_id!(
    /// A DAG's id: letters, digits, `_ - .`, at most 250 characters, unique in an installation.
    DagId
);
text_id!(
    /// A task's full id as Airflow shows it, its group's prefix included.
    TaskId
);
text_id!(
    /// A DAG run's id, unique within its DAG: `scheduled__2026-01-01T00:00:00+00:00`, `manual__…`.
    RunId
);
text_id!(
    /// The name of a bundle of DAG files, unique in an installation.
    BundleName
);
text_id!(
    /// An asset's URI in the form in which URIs are compared (see [`crate::asset::normalise`]).
    AssetUri
);

/// The key of a DAG run's row: time-ordered, unique over all DAGs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunKey(pub i64);

impl RunKey {
    /// Microseconds since the epoch, and ten random bits that keep two processes apart within one microsecond.
    /// A collision is still possible, so the insert is guarded by the primary key.
    #[must_use]
    pub fn new(now: crate::time::Timestamp, random: u16) -> Self {
        Self((now.as_micros() << 10) | i64::from(random & 0x3ff))
    }
}

/// One try's lease identity: every dispatch makes a new one, and an outcome that names another one is refused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AttemptId(pub u128);

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttemptId({self})")
    }
}

impl From<AttemptId> for String {
    fn from(id: AttemptId) -> Self {
        id.to_string()
    }
}

/// The text was not the 32 hexadecimal digits of an attempt id.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not an attempt id: 32 hexadecimal digits are expected")]
pub struct BadAttemptId(String);

impl std::str::FromStr for AttemptId {
    type Err = BadAttemptId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match u128::from_str_radix(text, 16) {
            Ok(value) if text.len() == 32 => Ok(Self(value)),
            _ => Err(BadAttemptId(text.to_owned())),
        }
    }
}

impl TryFrom<String> for AttemptId {
    type Error = BadAttemptId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// One task of one run; mapped instances are told apart by `map_index`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskInstanceKey {
    /// The run it belongs to.
    pub run: RunKey,
    /// The task.
    pub task: TaskId,
    /// −1 for a task that is not mapped.
    pub map_index: i32,
}

impl TaskInstanceKey {
    /// The instance of a task that is not mapped.
    #[must_use]
    pub fn unmapped(run: RunKey, task: TaskId) -> Self {
        Self { run, task, map_index: -1 }
    }
}
