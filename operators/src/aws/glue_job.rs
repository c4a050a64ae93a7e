//! `glue_job`: runs a Glue job, creating or updating it first if need be, and may wait for the run.
//!
//! Calls: GetJob, (if it is missing) iam:GetRole and CreateJob, StartJobRun, then GetJobRun per poll; with `verbose` one
//! more GetJobRun and FilterLogEvents on both log groups per poll. Before StartJobRun the checkpoint says that a run is
//! about to be started, so that an attempt that takes over looks for it instead of starting a second one.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use windrose_core::catalog::OperatorKind;
use windrose_core::time::Timestamp;

use super::glue_job_definition;
use super::glue_job_log::{LogPosition, print_new_lines};
use super::glue_job_run::{RunId, console_url, get_job_run};
use super::glue_job_start;
use super::parameters::{AwsParameters, aws_parameters};
use super::partition::{console_domain, partition, url_quoted};
use super::session::{AwsSession, session_for};
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Parameters, Runnable};
use crate::remote_job::{Progress, RemoteJob};
use crate::seconds::Seconds;

mod defaults {
    use crate::seconds::Seconds;

    pub(super) fn job_name() -> String {
        "aws_glue_default_job".to_owned()
    }

    pub(super) fn job_desc() -> String {
        "AWS Glue Job with Airflow".to_owned()
    }

    pub(super) fn concurrent_run_limit() -> u32 {
        1
    }

    pub(super) fn yes() -> bool {
        true
    }

    pub(super) fn nothing() -> Seconds {
        Seconds::from_whole(0)
    }

    pub(super) fn job_poll_interval() -> Seconds {
        Seconds::from_whole(6)
    }

    pub(super) fn waiter_delay() -> Seconds {
        Seconds::from_whole(60)
    }

    pub(super) fn waiter_max_attempts() -> u32 {
        75
    }
}

aws_parameters! {
    /// Parameters of `glue_job`.
    pub struct GlueJobParameters {
        /// The job.
        #[serde(default = "defaults::job_name")]
        #[schemars(extend("x-template" = true))]
        job_name: String,
        /// The job's description, if it is created or updated.
        #[serde(default = "defaults::job_desc")]
        job_desc: String,
        /// The script: an `s3://` URL, or a file that is uploaded to `s3_bucket`. Used if the job is created or updated.
        #[serde(default)]
        #[schemars(extend("x-template" = true, "x-bundle-file" = "file"))]
        script_location: Option<String>,
        /// How many runs the job may have at once, if it is created or updated.
        #[serde(default = "defaults::concurrent_run_limit")]
        concurrent_run_limit: u32,
        /// The run's arguments: names that begin with `--`, and texts.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        script_args: Map<String, Value>,
        /// How often Glue itself retries a run, if the job is created or updated.
        #[serde(default)]
        retry_limit: u32,
        /// The job's capacity in DPUs if it is created or updated, 10 if not given; not together with `WorkerType` in
        /// `create_job_kwargs`.
        #[serde(default)]
        num_of_dpus: Option<f64>,
        /// The bucket for the script and for logs.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        s3_bucket: Option<String>,
        /// The job's role, by name, if it is created or updated.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        iam_role_name: Option<String>,
        /// The job's role, by ARN, if it is created or updated.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        iam_role_arn: Option<String>,
        /// More of the job in the words of the CreateJob API. They go before the other parameters.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        create_job_kwargs: Map<String, Value>,
        /// More of the run in the words of the StartJobRun API.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        run_job_kwargs: Map<String, Value>,
        /// Wait until the run has ended.
        #[serde(default = "defaults::yes")]
        wait_for_completion: bool,
        /// Give the slot back while waiting; implies waiting, and then `waiter_delay` and `waiter_max_attempts` count.
        #[serde(default)]
        deferrable: bool,
        /// Bring the driver's log into the task's log.
        #[serde(default)]
        verbose: bool,
        /// Replace a script of the same name in `s3_bucket`.
        #[serde(default)]
        replace_script_file: bool,
        /// Update the job if it exists and differs. If false, a job that exists is used as it is.
        #[serde(default)]
        update_config: bool,
        /// Stop the run when the task is cancelled or exceeds its time. If it is not given, the run is stopped.
        #[serde(default)]
        stop_job_run_on_kill: Option<bool>,
        /// Seconds to wait after the run has succeeded: Glue needs some to free the slot of a run.
        #[serde(default = "defaults::nothing")]
        sleep_before_return: Seconds,
        /// Seconds between two looks at the run.
        #[serde(default = "defaults::job_poll_interval")]
        job_poll_interval: Seconds,
        /// Seconds between two looks at the run if `deferrable`.
        #[serde(default = "defaults::waiter_delay")]
        waiter_delay: Seconds,
        /// After so many looks a `deferrable` task fails; the run goes on.
        #[serde(default = "defaults::waiter_max_attempts")]
        waiter_max_attempts: u32,
        /// A retry takes hold of the run that the try before it started, instead of starting another one.
        #[serde(default = "defaults::yes")]
        durable: bool,
        /// Deprecated: say `durable`.
        #[serde(default)]
        resume_glue_job_on_retry: Option<bool>,
        /// If the job has as many runs as it may have at once, wait until one of them has ended instead of failing.
        #[serde(default)]
        wait_for_free_slot: bool,
        /// OpenLineage: not supported yet.
        #[serde(default)]
        #[schemars(extend("x-not-supported" = true))]
        openlineage_inject_parent_job_info: bool,
        /// OpenLineage: not supported yet.
        #[serde(default)]
        #[schemars(extend("x-not-supported" = true))]
        openlineage_inject_transport_info: bool,
    }
}

impl Parameters for GlueJobParameters {
    const NAME: &'static str = "glue_job";
    const AIRFLOW: &'static str = "airflow.providers.amazon.aws.operators.glue.GlueJobOperator";
    const SUMMARY: &'static str = "Runs an AWS Glue job, creating or updating it if need be.";
    const KIND: OperatorKind = OperatorKind::Remote;

    fn build(self) -> Result<Runnable, String> {
        glue_job_definition::check(&self)?;
        glue_job_start::check(&self)?;
        if self.openlineage_inject_parent_job_info || self.openlineage_inject_transport_info {
            return Err("openlineage_inject_parent_job_info and openlineage_inject_transport_info are not supported \
                        yet"
            .to_owned());
        }
        Ok(Runnable::Remote(Box::new(GlueJob {
            aws: self.aws(),
            p: self,
            found: Mutex::default(),
            left_xcoms: AtomicBool::new(false),
            polls: AtomicU32::new(0),
            log: tokio::sync::Mutex::default(),
        })))
    }
}

/// What it takes to define and start the job; the neighbours do both.
pub(super) struct JobTask<'a> {
    pub ctx: &'a TaskContext,
    pub session: &'a AwsSession,
    pub glue: &'a aws_sdk_glue::Client,
    pub p: &'a GlueJobParameters,
}

struct GlueJob {
    aws: AwsParameters,
    p: GlueJobParameters,
    /// The id of a run whose start was not recorded.
    found: Mutex<Option<String>>,
    left_xcoms: AtomicBool,
    polls: AtomicU32,
    log: tokio::sync::Mutex<LogPosition>,
}

/// What an attempt that takes over must know.
#[derive(Serialize, Deserialize)]
struct Handle {
    job_name: String,
    /// None: the run was about to be started.
    run_id: Option<String>,
    /// When it was about to be started.
    asked_at: Timestamp,
}

#[async_trait]
impl RemoteJob for GlueJob {
    async fn submit(&self, ctx: &TaskContext) -> Result<Value, TaskError> {
        let session = session_for(ctx, &self.aws).await?;
        let glue = session.glue();
        let p = &self.p;
        ctx.info(format!("Initializing AWS Glue Job: {}. Wait for completion: {}", p.job_name, p.wait_for_completion));
        let task = JobTask { ctx, session: &session, glue: &glue, p };
        task.ensure_job().await?;
        let mut handle = Handle { job_name: p.job_name.clone(), run_id: None, asked_at: ctx.services.now() };
        if self.reattaches() {
            ctx.services.save_checkpoint(&json!(handle)).await?;
        }
        let run = task.start().await?;
        self.leave_xcoms(ctx, &session, &run);
        handle.run_id = Some(run);
        Ok(json!(handle))
    }

    async fn poll(&self, ctx: &TaskContext, handle: &Value) -> Result<Progress, TaskError> {
        let session = session_for(ctx, &self.aws).await?;
        let Some((job, run)) = self.run_of(ctx, &session, handle).await? else { return Ok(Progress::Unknown) };
        let id = RunId { job: &job, run: &run };
        self.leave_xcoms(ctx, &session, &run);
        let state = match get_job_run(&session, &session.glue(), id, true).await {
            Ok(state) => state,
            Err(error) if error.is("EntityNotFoundException") => return Ok(Progress::Unknown),
            Err(error) => return Err(error.into()),
        };
        if self.p.verbose {
            print_new_lines(ctx, &session, id, &mut *self.log.lock().await).await;
        }
        let progress = state.progress(&session, id);
        match &progress {
            Progress::Running(state) => {
                ctx.info(format!("Polling for AWS Glue Job {job} current run state with status {state}"));
                if let Some(given_up) = self.given_up(id, state) {
                    return Ok(Progress::Failed(given_up));
                }
            }
            _ => ctx.info(state.verdict(id)),
        }
        Ok(progress)
    }

    async fn finish(&self, ctx: &TaskContext, handle: &Value) -> Result<Done, TaskError> {
        let session = session_for(ctx, &self.aws).await?;
        let run = self.run_of(ctx, &session, handle).await?.map(|(_, run)| run).unwrap_or_default();
        self.leave_xcoms(ctx, &session, &run);
        if self.waits() {
            ctx.info(format!("AWS Glue Job: {} status: SUCCEEDED. Run Id: {run}", self.p.job_name));
            ctx.sleep(self.p.sleep_before_return.0).await?;
        } else {
            ctx.info(format!("AWS Glue Job: {}. Run Id: {run}", self.p.job_name));
        }
        Ok(Done::with(Value::String(run)))
    }

    async fn cancel(&self, ctx: &TaskContext, handle: &Value) -> Result<(), TaskError> {
        if self.p.stop_job_run_on_kill == Some(false) {
            return Ok(());
        }
        let session = session_for(ctx, &self.aws).await?;
        let Some((job, run)) = self.run_of(ctx, &session, handle).await? else { return Ok(()) };
        ctx.info(format!("Stopping AWS Glue Job: {job}. Run Id: {run}"));
        let answer = session.glue().batch_stop_job_run().job_name(&job).job_run_ids(&run).send().await;
        let answer = answer.map_err(|e| session.error("glue", "BatchStopJobRun", &e))?;
        if answer.successful_submissions().is_empty() {
            let why = answer.errors().iter().find_map(|e| e.error_detail()?.error_message()).unwrap_or_default();
            ctx.error(format!("Failed to stop AWS Glue Job: {job}. Run Id: {run}. {why}"));
        }
        Ok(())
    }

    fn poll_interval(&self) -> Duration {
        if self.p.deferrable { self.p.waiter_delay.0 } else { self.p.job_poll_interval.0 }
    }

    fn waits(&self) -> bool {
        self.p.wait_for_completion || self.p.deferrable
    }

    fn deferrable(&self) -> bool {
        self.p.deferrable
    }

    fn reattaches(&self) -> bool {
        self.p.resume_glue_job_on_retry.unwrap_or(self.p.durable)
    }
}

impl GlueJob {
    /// The job and the run that a handle means; `None` if none was started.
    async fn run_of(
        &self,
        ctx: &TaskContext,
        session: &AwsSession,
        handle: &Value,
    ) -> Result<Option<(String, String)>, TaskError> {
        let Ok(handle) = Handle::deserialize(handle) else { return Ok(None) };
        let known = handle.run_id.clone().or_else(|| self.found_run());
        if let Some(run) = known {
            return Ok(Some((handle.job_name, run)));
        }
        let task = JobTask { ctx, session, glue: &session.glue(), p: &self.p };
        let Some(run) = task.unrecorded(handle.asked_at).await? else { return Ok(None) };
        ctx.warn(format!("Found run {run}, which an earlier attempt started without recording it."));
        *self.found.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(run.clone());
        let recorded = Handle { run_id: Some(run.clone()), ..handle };
        ctx.services.save_checkpoint(&json!(recorded)).await?;
        Ok(Some((recorded.job_name, run)))
    }

    fn found_run(&self) -> Option<String> {
        self.found.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The run's id and what its page in the console is made of, once per attempt.
    fn leave_xcoms(&self, ctx: &TaskContext, session: &AwsSession, run: &str) {
        if self.left_xcoms.swap(true, Ordering::Relaxed) {
            return;
        }
        let region = session.region_or_default();
        ctx.xcom_push("glue_job_run_id", json!(run));
        ctx.xcom_push(
            "glue_job_run_details",
            json!({
                "region_name": region,
                "aws_domain": console_domain(region),
                "aws_partition": partition(region),
                "job_name": url_quoted(&self.p.job_name),
                "job_run_id": run,
            }),
        );
        let page = console_url(region, RunId { job: &self.p.job_name, run });
        ctx.info(format!("You can monitor this Glue Job run at: {page}"));
    }

    /// A deferrable task looks only so often.
    fn given_up(&self, id: RunId<'_>, state: &str) -> Option<TaskError> {
        let polls = self.polls.fetch_add(1, Ordering::Relaxed) + 1;
        (self.p.deferrable && polls >= self.p.waiter_max_attempts).then(|| {
            TaskError::failed(format!(
                "Waiter error: max attempts reached. Glue job run {} for job {} is still {state} after {polls} looks \
                 every {} s, and goes on.",
                id.run,
                id.job,
                self.p.waiter_delay.0.as_secs_f64()
            ))
        })
    }
}
