//! Work in another system: submit, poll, finish, cancel, with a checkpoint between submit and the first poll.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::Done;
use crate::poll_patience::PollPatience;

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

/// Submits the work, or takes hold of what the last attempt submitted, waits for it and fetches what it leaves behind.
///
/// The handle is durable before the first poll. A poll that fails for reasons that pass is repeated (see
/// [`PollPatience`]). When the attempt is cancelled this ends with [`TaskError::Cancelled`] after a submit that is under
/// way, so that its handle is known to whoever cancels the work.
///
/// # Errors
/// See [`TaskError`].
pub async fn run_remote(job: &dyn RemoteJob, ctx: &TaskContext) -> Result<Done, TaskError> {
    let handle = match take_hold(job, ctx).await? {
        Hold::Running(handle) => handle,
        Hold::Succeeded(handle) => return job.finish(ctx, &handle).await,
        Hold::Nothing { superseded } => submit(job, ctx, superseded).await?,
    };
    if job.waits() {
        wait(job, ctx, &handle).await?;
    }
    job.finish(ctx, &handle).await
}

/// What is left of the last attempt's work.
enum Hold {
    Running(Value),
    Succeeded(Value),
    Nothing { superseded: Option<Value> },
}

async fn take_hold(job: &dyn RemoteJob, ctx: &TaskContext) -> Result<Hold, TaskError> {
    let Some(handle) = ctx.services.checkpoint().await? else { return Ok(Hold::Nothing { superseded: None }) };
    if !job.reattaches() {
        return Ok(Hold::Nothing { superseded: Some(handle) });
    }
    Ok(match poll_patiently(job, ctx, &handle).await? {
        Progress::Running(state) => {
            ctx.info(format!("Reconnecting to existing job {} ({state})", shown(&handle)));
            Hold::Running(handle)
        }
        Progress::Succeeded => {
            ctx.info(format!("Job already completed successfully, skipping resubmission: {}", shown(&handle)));
            Hold::Succeeded(handle)
        }
        Progress::Failed(error) => {
            ctx.info(format!("Prior job in terminal state, resubmitting fresh: {} ({error})", shown(&handle)));
            Hold::Nothing { superseded: Some(handle) }
        }
        Progress::Unknown => {
            ctx.info(format!("Prior job {} is not known any more, resubmitting fresh", shown(&handle)));
            Hold::Nothing { superseded: Some(handle) }
        }
    })
}

/// Not cut short by a cancellation: work whose handle nobody has cannot be cancelled.
async fn submit(job: &dyn RemoteJob, ctx: &TaskContext, superseded: Option<Value>) -> Result<Value, TaskError> {
    if ctx.cancelled.is_cancelled() {
        return Err(TaskError::Cancelled);
    }
    let mut info = ctx.info.as_ref().clone();
    info.superseded = superseded;
    let anew = TaskContext { info: Arc::new(info), ..ctx.clone() };
    let handle = job.submit(&anew).await?;
    ctx.services.save_checkpoint(&handle).await?;
    Ok(handle)
}

async fn wait(job: &dyn RemoteJob, ctx: &TaskContext, handle: &Value) -> Result<(), TaskError> {
    let mut deferred = false;
    let mut last_state = None;
    loop {
        match poll_patiently(job, ctx, handle).await? {
            Progress::Succeeded => return Ok(()),
            Progress::Failed(error) => return Err(error),
            Progress::Unknown => {
                return Err(TaskError::failed(format!(
                    "The remote work {} is not known any more to the system it was submitted to. \
                     Another try submits it anew.",
                    shown(handle)
                )));
            }
            Progress::Running(state) => {
                if last_state.as_ref() != Some(&state) {
                    ctx.info(format!("The remote work {} is {state}", shown(handle)));
                    last_state = Some(state);
                }
            }
        }
        if job.deferrable() && !deferred {
            ctx.services.set_deferred(true).await?;
            deferred = true;
        }
        ctx.sleep(job.poll_interval()).await?;
    }
}

async fn poll_patiently(job: &dyn RemoteJob, ctx: &TaskContext, handle: &Value) -> Result<Progress, TaskError> {
    let mut patience = PollPatience::new(job.poll_interval());
    loop {
        let polled = tokio::select! {
            biased;
            () = ctx.cancelled.cancelled() => return Err(TaskError::Cancelled),
            polled = job.poll(ctx, handle) => polled,
        };
        let error = match polled {
            Ok(progress) => return Ok(progress),
            Err(error) => error,
        };
        let Some(pause) = patience.after(&error, rand::random()) else { return Err(error) };
        ctx.warn(format!(
            "Could not ask how the remote work stands, trying again in {:.1} s: {error}",
            pause.as_secs_f64()
        ));
        ctx.sleep(pause).await?;
    }
}

/// A handle for people: a text as it is, anything else as JSON.
fn shown(handle: &Value) -> String {
    handle.as_str().map_or_else(|| handle.to_string(), str::to_owned)
}

#[cfg(test)]
#[path = "remote_job_tests.rs"]
mod tests;
