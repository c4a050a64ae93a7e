//! One attempt, from the claim to the report: whatever the operator does, one outcome.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use futures::FutureExt;
use serde_json::{Map, Value};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use windrose_core::cause::Cause;
use windrose_core::claim::Claim;
use windrose_core::outcome::{Outcome, Report};
use windrose_operators::context::{LogLevel, TaskContext, TaskServices};
use windrose_operators::error::TaskError;
use windrose_operators::operator::{Done, Runnable};
use windrose_operators::sensor::after_execution_timeout;
use windrose_store::task_log::TaskLogId;

use crate::masker::Masker;
use crate::patience::patiently;
use crate::port::Ack;
use crate::prepare::prepare;
use crate::services::AttemptServices;
use crate::verdict::{self, Ended};
use crate::worker::Shared;

/// Why an attempt is to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Not at all.
    GoOn,
    /// Someone cancelled it; its remote work is cancelled too.
    Cancelled(String),
    /// The worker shuts down: processes end, remote work goes on, and nothing is reported, so that the attempt is
    /// found lost and taken up again.
    Shutdown,
}

/// How long a cancelled operator's last call may take.
const CANCEL_CALL: Duration = Duration::from_secs(60);

/// Runs an attempt and reports its outcome.
pub(crate) async fn run(shared: Arc<Shared>, claim: Claim, stop: watch::Receiver<Stop>) {
    let claim = Arc::new(claim);
    let started_at = shared.options.clock.now();
    shared.port.started(claim.attempt);
    let services = services_of(&shared, Arc::clone(&claim), None);
    services.say(LogLevel::Info, &opening(&claim));
    let working = work(&shared, &services, stop);
    let ended = match AssertUnwindSafe(working).catch_unwind().await {
        Ok(Some(ended)) => ended,
        Ok(None) => {
            services.say(LogLevel::Warning, "The worker stops before the task is done; it is taken up again later.");
            services.log.flush().await;
            return;
        }
        Err(panic) => Ended::Panicked(panic_text(panic.as_ref())),
    };
    if services.fenced.load(Ordering::Acquire) {
        services.say(LogLevel::Warning, "Another attempt holds this task now; this one stops and reports nothing.");
        services.log.flush().await;
        return;
    }
    let times = (started_at, shared.options.clock.now());
    let left = verdict::Left { xcoms: services.take_xcoms(), assets: services.take_assets() };
    let report = verdict::report(&claim, ended, left, &services.masker, times);
    services.say(level_of(&report.outcome), &closing(&report.outcome));
    services.log.flush().await;
    deliver(&shared, report).await;
}

/// For an attempt or, with what it is about, for a notification, which has a log of its own.
pub(crate) fn services_of(
    shared: &Shared,
    claim: Arc<Claim>,
    notification: Option<Map<String, Value>>,
) -> Arc<AttemptServices> {
    let log = shared.logs.writer(&TaskLogId {
        dag_id: claim.dag.dag_id.to_string(),
        run_id: claim.run.run_id.to_string(),
        task_id: match notification {
            None => claim.key.task.to_string(),
            Some(_) => format!("{}.notifications", claim.key.task),
        },
        map_index: claim.key.map_index,
        try_number: claim.try_number,
    });
    Arc::new(AttemptServices {
        scratch_folder: shared.scratch.join(claim.attempt.to_string()),
        claim,
        port: Arc::clone(&shared.port),
        lookup: Arc::clone(&shared.lookup),
        waiting: Arc::clone(&shared.waiting),
        clock: Arc::clone(&shared.options.clock),
        places: Arc::clone(&shared.places),
        log,
        masker: Masker::default(),
        cancelled: CancellationToken::new(),
        fenced: AtomicBool::new(false),
        began: Instant::now(),
        scratch_made: OnceLock::new(),
        xcoms: Mutex::default(),
        saved: Mutex::default(),
        assets: Mutex::default(),
        notification: notification.unwrap_or_default(),
    })
}

/// `None` if the worker shuts down.
async fn work(shared: &Shared, services: &Arc<AttemptServices>, mut stop: watch::Receiver<Stop>) -> Option<Ended> {
    let claim = &services.claim;
    let prepared = tokio::select! {
        prepared = prepare(shared, services) => prepared,
        stop = told_to_stop(&mut stop) => return by_order(stop),
    };
    let (runnable, info) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => return Some(Ended::ByItself(Err(error))),
    };
    let ctx = TaskContext {
        info: Arc::new(info),
        cancelled: services.cancelled.clone(),
        services: Arc::clone(services) as Arc<dyn TaskServices>,
    };
    let began = Instant::now();
    let mut executing = std::pin::pin!(runnable.execute(&ctx));
    let interrupted = tokio::select! {
        biased;
        done = &mut executing => return Some(Ended::ByItself(done)),
        stop = told_to_stop(&mut stop) => Interrupted::Stopped(stop),
        limit = limit_reached(claim.task().execution_timeout) => Interrupted::TimedOut(limit),
    };
    ctx.cancelled.cancel();
    // The operator ends its processes or puts down what it has in hand; one that does not listen is dropped.
    let last_word = last_word(&ctx, shared.options.cancel_grace, executing.as_mut()).await;
    if interrupted != Interrupted::Stopped(Stop::Shutdown) && !services.fenced.load(Ordering::Acquire) {
        cancel(&runnable, &ctx).await;
    }
    match interrupted {
        Interrupted::Stopped(stop) => by_order(stop),
        Interrupted::TimedOut(limit) => Some(Ended::ByItself(timed_out(&ctx, limit, began.elapsed(), last_word))),
    }
}

async fn last_word(
    ctx: &TaskContext,
    grace: Duration,
    executing: impl Future<Output = Result<Done, TaskError>>,
) -> Option<Result<Done, TaskError>> {
    // A panic must not turn the order to stop into a failure that is tried again.
    match tokio::time::timeout(grace, AssertUnwindSafe(executing).catch_unwind()).await.ok()? {
        Ok(ended) => Some(ended),
        Err(panic) => {
            ctx.error(format!("The operator panicked while it was being stopped: {}", panic_text(panic.as_ref())));
            None
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Interrupted {
    Stopped(Stop),
    TimedOut(Duration),
}

fn by_order(stop: Stop) -> Option<Ended> {
    match stop {
        Stop::Cancelled(by) => Some(Ended::Cancelled(by)),
        Stop::Shutdown | Stop::GoOn => None,
    }
}

/// Returns when the attempt is to stop. A sender that is gone is a worker that is gone.
async fn told_to_stop(stop: &mut watch::Receiver<Stop>) -> Stop {
    stop.wait_for(|stop| *stop != Stop::GoOn).await.map_or(Stop::Shutdown, |stop| stop.clone())
}

async fn limit_reached(limit: Option<Duration>) -> Duration {
    match limit {
        Some(limit) => {
            tokio::time::sleep(limit).await;
            limit
        }
        None => std::future::pending().await,
    }
}

fn timed_out(
    ctx: &TaskContext,
    limit: Duration,
    ran: Duration,
    last_word: Option<Result<Done, TaskError>>,
) -> Result<Done, TaskError> {
    if let Some(Err(error @ TaskError::Failed { .. })) = last_word {
        ctx.warn(format!("While it was being stopped: {error}"));
    }
    let cause = Cause::Timeout {
        what: "execution timeout".to_owned(),
        limit_seconds: limit.as_secs_f64(),
        ran_seconds: ran.as_secs_f64(),
    };
    Err(match ctx.info.sensor {
        Some(settings) => after_execution_timeout(ctx, settings, cause),
        None => TaskError::retryable(cause),
    })
}

async fn cancel(runnable: &Runnable, ctx: &TaskContext) {
    match tokio::time::timeout(CANCEL_CALL, AssertUnwindSafe(runnable.cancel(ctx)).catch_unwind()).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Err(panic)) => {
            let text = panic_text(panic.as_ref());
            ctx.error(format!("The operator panicked while it stopped what it had started elsewhere: {text}"));
        }
        Ok(Ok(Err(error))) => ctx.error(format!("What the task started elsewhere could not be stopped: {error}")),
        Err(_) => ctx.error("What the task started elsewhere did not answer the order to stop; it may still run."),
    }
}

/// Repeats the report until it is durable, or refused because another attempt holds the task instance.
async fn deliver(shared: &Shared, report: Report) {
    let attempt = report.attempt;
    match patiently("report", &shared.stopped, || shared.port.report(report.clone())).await {
        Ok(Ack::Taken) => {}
        Ok(Ack::Fenced) => tracing::info!(%attempt, "the attempt was fenced; its outcome was refused"),
        Err(error) => tracing::warn!(%attempt, %error, "an outcome could not be reported; the attempt counts as lost"),
    }
}

fn opening(claim: &Claim) -> String {
    let index = if claim.key.map_index < 0 { String::new() } else { format!("[{}]", claim.key.map_index) };
    format!(
        "Starting attempt {} of {}: {}{index} of DAG run {} of {}",
        claim.try_number,
        claim.task().retries + 1,
        claim.key.task,
        claim.run.run_id,
        claim.dag.dag_id
    )
}

fn closing(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Success => "Task succeeded.".to_owned(),
        Outcome::Skipped { reason } => format!("Task skipped: {reason}"),
        Outcome::Failed { cause, .. } => format!("Task failed: {}", cause.sentence()),
        Outcome::Reschedule { at } => format!("To be looked at again at {at}."),
    }
}

const fn level_of(outcome: &Outcome) -> LogLevel {
    match outcome {
        Outcome::Failed { .. } => LogLevel::Error,
        _ => LogLevel::Info,
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a message".to_owned())
}
