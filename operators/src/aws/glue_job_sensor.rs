//! `glue_job_sensor`: waits until a run of a Glue job has ended, and fails if it did not end well.
//!
//! A look costs one GetJobRun; with `verbose` one more and FilterLogEvents on both log groups. Throttled looks are tried
//! five times.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use windrose_core::catalog::OperatorKind;
use windrose_core::dag::SensorMode;

use super::glue_job_log::{LogPosition, print_new_lines};
use super::glue_job_run::{RunId, RunState, get_job_run};
use super::parameters::{AwsParameters, aws_parameters};
use super::session::{AwsSession, session_for};
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Parameters, Runnable};
use crate::poll_patience::PollPatience;
use crate::remote_job::Progress;
use crate::sensor::{Poke, Sensor};

/// So often a look is tried.
const TRIES: u32 = 5;

fn default_max_retries() -> u32 {
    60
}

aws_parameters! {
    /// Parameters of `glue_job_sensor`.
    pub struct GlueJobSensorParameters {
        /// The job.
        #[schemars(extend("x-template" = true))]
        job_name: String,
        /// The run: `{{ ti.xcom_pull('submit_glue_job') }}`.
        #[schemars(extend("x-template" = true))]
        run_id: String,
        /// Bring the driver's log into the task's log.
        #[serde(default)]
        verbose: bool,
        /// Gives the slot back while waiting, as `mode = "deferred"` does.
        #[serde(default)]
        deferrable: bool,
        /// If `deferrable`, the task fails after so many looks.
        #[serde(default = "default_max_retries")]
        max_retries: u32,
    }
}

impl Parameters for GlueJobSensorParameters {
    const NAME: &'static str = "glue_job_sensor";
    const AIRFLOW: &'static str = "airflow.providers.amazon.aws.sensors.glue.GlueJobSensor";
    const SUMMARY: &'static str = "Waits for an AWS Glue job run to end.";
    const KIND: OperatorKind = OperatorKind::Sensor;
    const POKE_INTERVAL: Duration = Duration::from_secs(120);

    fn build(self) -> Result<Runnable, String> {
        let aws = self.aws();
        Ok(Runnable::Sensor(Box::new(GlueJobSensor { aws, p: self, looks: AtomicU32::new(0), log: Mutex::default() })))
    }
}

struct GlueJobSensor {
    aws: AwsParameters,
    p: GlueJobSensorParameters,
    looks: AtomicU32,
    log: Mutex<Option<LogPosition>>,
}

#[async_trait]
impl Sensor for GlueJobSensor {
    async fn poke(&self, ctx: &TaskContext) -> Result<Poke, TaskError> {
        let session = session_for(ctx, &self.aws).await?;
        let id = RunId { job: &self.p.job_name, run: &self.p.run_id };
        ctx.info(format!("Poking for job run status :for Glue Job {} and ID {}", id.job, id.run));
        let run = patient_get_job_run(ctx, &session, id).await?;
        if self.p.verbose {
            self.print_log(ctx, &session, id).await?;
        }
        match run.progress(&session, id) {
            Progress::Succeeded => {
                ctx.info(run.verdict(id));
                Ok(Poke::Done(None))
            }
            Progress::Failed(error) => {
                ctx.error(run.verdict(id));
                Err(error)
            }
            Progress::Running(_) | Progress::Unknown => self.not_yet(id, &run.state),
        }
    }

    fn deferrable(&self) -> bool {
        self.p.deferrable
    }

    fn awaited(&self) -> Option<String> {
        Some(format!("run {} of Glue job '{}'", self.p.run_id, self.p.job_name))
    }
}

async fn patient_get_job_run(ctx: &TaskContext, session: &AwsSession, id: RunId<'_>) -> Result<RunState, TaskError> {
    let glue = session.glue();
    let mut patience = PollPatience::new(Duration::from_secs(1));
    let mut tried = 0;
    loop {
        let error = match get_job_run(session, &glue, id, true).await {
            Ok(run) => return Ok(run),
            Err(error) if error.is("EntityNotFoundException") => {
                let (job, run, region) = (id.job, id.run, session.region_or_default());
                let hint = format!(
                    "There is no Glue job '{job}' with a run '{run}' in {region}; correct job_name, run_id or region_name."
                );
                return Err(error.with_hint(&hint).into());
            }
            Err(error) => TaskError::from(error),
        };
        tried += 1;
        match patience.after(&error, rand::random()) {
            Some(pause) if tried < TRIES => {
                ctx.warn(format!("{error} Trying again in {:.1} s.", pause.as_secs_f64()));
                ctx.sleep(pause).await?;
            }
            _ => return Err(error),
        }
    }
}

impl GlueJobSensor {
    fn not_yet(&self, id: RunId<'_>, state: &str) -> Result<Poke, TaskError> {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
        if self.p.deferrable && looks >= self.p.max_retries {
            return Err(TaskError::failed(format!(
                "Waiter error: max attempts reached. Glue job run {} for job {} is still {state} after {looks} looks, and \
                 goes on.",
                id.run, id.job
            )));
        }
        Ok(Poke::NotYet)
    }

    /// Between the looks of a sensor in reschedule mode, how far the log was read is kept in the checkpoint.
    async fn print_log(&self, ctx: &TaskContext, session: &AwsSession, id: RunId<'_>) -> Result<(), TaskError> {
        let known = self.log.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut position = match known {
            Some(position) => position,
            None if ctx.info.pokes_before > 0 => self.stored_position(ctx).await?,
            None => LogPosition::default(),
        };
        print_new_lines(ctx, session, id, &mut position).await;
        if ctx.info.sensor.is_some_and(|s| s.mode == SensorMode::Reschedule) {
            ctx.services.save_checkpoint(&json!({"run_id": id.run, "log": position})).await?;
        }
        *self.log.lock().unwrap_or_else(PoisonError::into_inner) = Some(position);
        Ok(())
    }

    async fn stored_position(&self, ctx: &TaskContext) -> Result<LogPosition, TaskError> {
        let stored = ctx.services.checkpoint().await?.filter(|stored| stored["run_id"] == self.p.run_id.as_str());
        Ok(stored.and_then(|stored| LogPosition::deserialize(&stored["log"]).ok()).unwrap_or_default())
    }
}
