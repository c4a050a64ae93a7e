//! A line of a task's log.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Where a line of a task's log comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// Windrose and its operators.
    Task,
    /// A process's standard output.
    Stdout,
    /// A process's standard error.
    Stderr,
    /// A log kept by another system.
    Remote,
}

/// How grave a line of a task's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// For developers.
    Debug,
    /// The ordinary course.
    Info,
    /// Something a person may want to change.
    Warning,
    /// Something failed.
    Error,
}

/// A line of a task's log, as stored and shown. Its secrets are masked already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Its place in the log of this try, from 1.
    pub seq: u64,
    /// When it was written.
    pub ts: Timestamp,
    /// Where it comes from.
    pub source: LogSource,
    /// How grave it is.
    pub level: LogLevel,
    /// What it says.
    pub text: String,
}
