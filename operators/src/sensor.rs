//! Sensors: a condition, and the waiting around it, which is written once for every mode.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use windrose_core::cause::Cause;
use windrose_core::dag::{SensorMode, SensorSettings};
use windrose_core::poke_interval::PokeName;
use windrose_core::sensor_run::{FailReason, PokeResult, SensorStep, SkipReason, after_poke};

use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::Done;

/// What a look at the condition found.
#[derive(Debug, Clone, PartialEq)]
pub enum Poke {
    /// It does not hold yet.
    NotYet,
    /// It holds; the value is the `return_value` XCom.
    Done(Option<Value>),
}

/// A condition to wait for.
#[async_trait]
pub trait Sensor: Send + Sync {
    /// Looks once.
    ///
    /// # Errors
    /// An error ends the attempt, unless the sensor's settings say otherwise.
    async fn poke(&self, ctx: &TaskContext) -> Result<Poke, TaskError>;

    /// True: the slot is given back while waiting, whatever the task's `mode` says (Airflow's `deferrable`).
    fn deferrable(&self) -> bool {
        false
    }

    /// What it waits for, and what to check if that never comes: for the message of a timeout.
    fn awaited(&self) -> Option<String> {
        None
    }
}

/// Waits for the condition in the mode of the task's settings. The first look is immediate.
///
/// In poke and deferred mode the attempt stays, and time is measured from its beginning by the monotonic clock; in
/// deferred mode it gives its slot back before the first wait. In reschedule mode it ends with
/// [`TaskError::Reschedule`] after each look, and time is measured from the first look of the try.
///
/// # Errors
/// See [`TaskError`]; the rules are those of [`after_poke`].
pub async fn run_sensor(sensor: &dyn Sensor, ctx: &TaskContext) -> Result<Done, TaskError> {
    let Some(mut settings) = ctx.info.sensor else {
        return Err(TaskError::fatal(Cause::Internal {
            message: "a sensor was started without its settings".to_owned(),
        }));
    };
    if sensor.deferrable() {
        settings.mode = SensorMode::Deferred;
    }
    let mut wait = Waiting::begin(ctx, settings);
    loop {
        let (result, looked) = match look(sensor, ctx).await {
            Ok(Poke::Done(value)) => return Ok(Done { value, routing: None }),
            Ok(Poke::NotYet) => (PokeResult::NotYet, None),
            Err(error) => match result_of(&error) {
                Some(result) => (result, Some(error)),
                None => return Err(error),
            },
        };
        match wait.step(result) {
            SensorStep::Succeed => return Ok(Done::default()),
            SensorStep::Skip(reason) => return Err(skipped(ctx, reason, looked, &wait)),
            SensorStep::Fail { reason, retry } => {
                return Err(failed(sensor, ctx, reason, retry, looked, &wait));
            }
            SensorStep::Sleep(pause) => {
                report_silenced(ctx, looked.as_ref());
                wait.defer().await?;
                ctx.sleep(pause).await?;
            }
            SensorStep::Reschedule(pause) => {
                report_silenced(ctx, looked.as_ref());
                ctx.info("Rescheduling task, marking task as UP_FOR_RESCHEDULE");
                return Err(TaskError::Reschedule { at: ctx.services.now().plus(pause) });
            }
        }
    }
}

/// What an `execution_timeout` means for a sensor: `soft_fail` and `never_fail` turn it into a skip.
#[must_use]
pub fn after_execution_timeout(ctx: &TaskContext, settings: SensorSettings, cause: Cause) -> TaskError {
    let mut wait = Waiting::begin(ctx, settings);
    match wait.step(PokeResult::ExecutionTimeout) {
        SensorStep::Skip(reason) => skipped(ctx, reason, Some(TaskError::retryable(cause)), &wait),
        SensorStep::Fail { retry, .. } => TaskError::Failed { cause, retry },
        _ => TaskError::retryable(cause),
    }
}

/// One look, given up when the attempt is cancelled.
async fn look(sensor: &dyn Sensor, ctx: &TaskContext) -> Result<Poke, TaskError> {
    tokio::select! {
        biased;
        () = ctx.cancelled.cancelled() => Err(TaskError::Cancelled),
        found = sensor.poke(ctx) => found,
    }
}

/// `None` for errors that are orders rather than results.
fn result_of(error: &TaskError) -> Option<PokeResult> {
    match error {
        TaskError::Failed { retry: true, .. } => Some(PokeResult::Error),
        TaskError::Failed { retry: false, .. } => Some(PokeResult::FatalError),
        TaskError::Skip { .. } => Some(PokeResult::Skip),
        TaskError::Cancelled | TaskError::Reschedule { .. } => None,
    }
}

/// How far the waiting has come.
struct Waiting<'a> {
    ctx: &'a TaskContext,
    settings: SensorSettings,
    looks: u32,
    began: Duration,
    deferred: bool,
}

impl<'a> Waiting<'a> {
    fn begin(ctx: &'a TaskContext, settings: SensorSettings) -> Self {
        let looks = if settings.mode == SensorMode::Reschedule { ctx.info.pokes_before } else { 0 };
        Self { ctx, settings, looks, began: ctx.services.monotonic(), deferred: false }
    }

    fn step(&mut self, result: PokeResult) -> SensorStep {
        self.looks = self.looks.saturating_add(1);
        let name = PokeName {
            dag_id: self.ctx.info.dag_id.as_str(),
            task_id: self.ctx.info.key.task.as_str(),
            first_poke_at: self.ctx.info.first_poke_at.unwrap_or_else(|| self.ctx.services.now().minus(self.elapsed())),
        };
        after_poke(&self.settings, &name, self.looks, self.elapsed(), result)
    }

    fn elapsed(&self) -> Duration {
        match (self.settings.mode, self.ctx.info.first_poke_at) {
            (SensorMode::Reschedule, Some(first)) => self.ctx.services.now().since(first),
            _ => self.ctx.services.monotonic().saturating_sub(self.began),
        }
    }

    async fn defer(&mut self) -> Result<(), TaskError> {
        if self.settings.mode == SensorMode::Deferred && !self.deferred {
            self.ctx.services.set_deferred(true).await?;
            self.deferred = true;
        }
        Ok(())
    }
}

fn report_silenced(ctx: &TaskContext, error: Option<&TaskError>) {
    if let Some(error) = error {
        ctx.error(format!("{error} The sensor goes on waiting because silent_fail is set."));
    }
}

fn skipped(ctx: &TaskContext, reason: SkipReason, looked: Option<TaskError>, wait: &Waiting<'_>) -> TaskError {
    let what = looked.map_or_else(|| timed_out(wait), |error| error.to_string());
    let reason = match reason {
        SkipReason::Asked => what.trim_start_matches("skipped: ").to_owned(),
        SkipReason::SoftFail => format!("Skipping due to soft_fail is set to True. {what}"),
        SkipReason::NeverFail => format!("Skipping due to never_fail is set to True. {what}"),
    };
    ctx.info(&reason);
    TaskError::Skip { reason }
}

fn failed(
    sensor: &dyn Sensor,
    ctx: &TaskContext,
    reason: FailReason,
    retry: bool,
    looked: Option<TaskError>,
    wait: &Waiting<'_>,
) -> TaskError {
    match (reason, looked) {
        (FailReason::Poke, Some(TaskError::Failed { cause, .. })) => TaskError::Failed { cause, retry },
        _ => {
            ctx.error(timed_out(wait));
            let cause = Cause::Timeout {
                what: sensor.awaited().map_or_else(
                    || "sensor timeout".to_owned(),
                    |awaited| format!("sensor timeout (waiting for {awaited})"),
                ),
                limit_seconds: wait.settings.timeout.as_secs_f64(),
                ran_seconds: wait.elapsed().as_secs_f64(),
            };
            TaskError::Failed { cause, retry }
        }
    }
}

fn timed_out(wait: &Waiting<'_>) -> String {
    format!(
        "Sensor has timed out; run duration of {} seconds exceeds the specified timeout of {}.",
        wait.elapsed().as_secs_f64(),
        wait.settings.timeout.as_secs_f64()
    )
}

#[cfg(test)]
#[path = "sensor_tests.rs"]
mod tests;
