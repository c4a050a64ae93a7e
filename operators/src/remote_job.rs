//! Work in another system: submit, poll, finish, cancel, with a checkpoint between submit and the first poll.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::Done;

/// How remote work stands.
#[derive(Debug, Clone)]
pub enum Progress {
    /// It goes on, in that system's words.
    Running(String),
    /// It ended well.
    Succeeded,
    /// It ended badly.
    Failed(TaskError),
    /// The system does not know this work (any more): it is to be submitted again.
    Unknown,
}

/// Work in another system that goes on without the worker. All methods are safe to repeat with the same handle.
#[async_trait]
pub trait RemoteJob: Send + Sync {
    /// Starts the work. The handle is durable before anything is waited for, and is what the next attempt takes hold
    /// of after a crash; where the service has idempotency tokens, [`TaskContext::idempotency_token`] is one.
    ///
    /// # Errors
    /// See [`TaskError`].
    async fn submit(&self, ctx: &TaskContext) -> Result<Value, TaskError>;

    /// Asks how the work stands, once.
    ///
    /// # Errors
    /// An error that is not a verdict on the work: it is retried by the polling policy, and only then ends the attempt.
    async fn poll(&self, ctx: &TaskContext, handle: &Value) -> Result<Progress, TaskError>;

    /// Fetches what the task leaves behind, once the work has succeeded or is not waited for.
    ///
    /// # Errors
    /// See [`TaskError`].
    async fn finish(&self, ctx: &TaskContext, handle: &Value) -> Result<Done, TaskError>;

    /// Stops the work, if the task's parameters want that.
    ///
    /// # Errors
    /// Only logged.
    async fn cancel(&self, ctx: &TaskContext, handle: &Value) -> Result<(), TaskError>;

    /// Between two polls.
    fn poll_interval(&self) -> Duration;

    /// False: [`RemoteJob::finish`] comes right after [`RemoteJob::submit`].
    fn waits(&self) -> bool {
        true
    }

    /// True: the slot is given back while waiting (Airflow's `deferrable`).
    fn deferrable(&self) -> bool {
        false
    }

    /// False: a new attempt submits anew instead of taking hold of the last attempt's work (Airflow's `durable`).
    fn reattaches(&self) -> bool {
        true
    }
}
