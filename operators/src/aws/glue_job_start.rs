//! Starting a run of a Glue job, and finding a run whose start was not recorded.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use windrose_core::time::Timestamp;

use super::error::AwsError;
use super::glue_job::{GlueJobParameters, JobTask};
use super::json_call::{check_keys, with_body};
use crate::error::TaskError;

/// Our clock and AWS's may differ by this much.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

const KNOWN_KEYS: [&str; 11] = [
    "JobRunQueuingEnabled",
    "JobRunId",
    "AllocatedCapacity",
    "Timeout",
    "MaxCapacity",
    "SecurityConfiguration",
    "NotificationProperty",
    "WorkerType",
    "NumberOfWorkers",
    "ExecutionClass",
    "ExecutionRoleSessionPolicy",
];

/// Checks what can be known before anything is called.
///
/// # Errors
/// A sentence that names the parameter.
pub(super) fn check(p: &GlueJobParameters) -> Result<(), String> {
    if p.run_job_kwargs.contains_key("Arguments") {
        return Err("run_job_kwargs has 'Arguments'; give them as script_args".to_owned());
    }
    check_keys(&p.run_job_kwargs, &KNOWN_KEYS, &[]).map_err(|e| format!("run_job_kwargs: {e}"))?;
    match p.script_args.iter().find(|(_, value)| !value.is_string()) {
        Some((key, value)) => Err(format!("script_args: '{key}' is {value}, but arguments of a Glue job are texts")),
        None => Ok(()),
    }
}

impl JobTask<'_> {
    /// Starts a run and returns its id. If the job is busy this waits for a free slot, if the task wants that.
    pub(super) async fn start(&self) -> Result<String, TaskError> {
        loop {
            let error = match self.start_once().await {
                Ok(run) => return Ok(run),
                Err(error) => error,
            };
            if !error.is("ConcurrentRunsExceededException") {
                self.ctx.error(format!("Failed to run aws glue job, error: {error}"));
                return Err(error.into());
            }
            let busy = format!("Running: {}.", self.active_runs().await);
            if !self.p.wait_for_free_slot {
                let error = error.with_hint(&format!(
                    "{busy} Retry later, raise the job's MaxConcurrentRuns, or set wait_for_free_slot = true."
                ));
                self.ctx.error(format!("Failed to run aws glue job, error: {error}"));
                return Err(error.into());
            }
            self.ctx.info(format!("The Glue job {} has no free slot. {busy}", self.p.job_name));
            self.ctx.sleep(self.p.job_poll_interval.0).await?;
        }
    }

    async fn start_once(&self) -> Result<String, AwsError> {
        let p = self.p;
        let mut request = Map::new();
        request.insert("JobName".to_owned(), json!(p.job_name));
        request.insert("Arguments".to_owned(), Value::Object(p.script_args.clone()));
        request.extend(p.run_job_kwargs.clone());
        let call = self.glue.start_job_run().job_name(&p.job_name).customize().mutate_request(with_body(&request));
        let answer = call.send().await.map_err(|e| self.session.error("glue", "StartJobRun", &e))?;
        Ok(answer.job_run_id.unwrap_or_default())
    }

    /// For people: trouble with it is no trouble.
    async fn active_runs(&self) -> String {
        let Ok(answer) = self.glue.get_job_runs().job_name(&self.p.job_name).send().await else {
            return "unknown".to_owned();
        };
        let ended = |state: &str| matches!(state, "SUCCEEDED" | "FAILED" | "STOPPED" | "TIMEOUT" | "ERROR" | "EXPIRED");
        let active = answer.job_runs().iter().filter(|r| !r.job_run_state().is_none_or(|s| ended(s.as_str())));
        active.filter_map(|run| run.id()).collect::<Vec<_>>().join(", ")
    }

    /// The run that an earlier attempt started after `asked_at` without having recorded its id: the youngest with our
    /// arguments.
    pub(super) async fn unrecorded(&self, asked_at: Timestamp) -> Result<Option<String>, TaskError> {
        let answer = match self.glue.get_job_runs().job_name(&self.p.job_name).send().await {
            Ok(answer) => answer,
            Err(error) => {
                let error = self.session.error("glue", "GetJobRuns", &error);
                return if error.is("EntityNotFoundException") { Ok(None) } else { Err(error.into()) };
            }
        };
        let earliest = asked_at.minus(CLOCK_SKEW).as_micros();
        let ours: HashMap<String, String> =
            self.p.script_args.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
        let found = answer.job_runs().iter().find(|run| {
            let began = run.started_on().and_then(|at| at.to_millis().ok()).unwrap_or_default() * 1000;
            began >= earliest && run.arguments().map_or_else(|| ours.is_empty(), |theirs| *theirs == ours)
        });
        Ok(found.and_then(|run| run.id()).map(str::to_owned))
    }
}
