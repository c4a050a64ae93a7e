//! A run of a Glue job: how it stands, what that means for a task, and where to look.

use aws_sdk_glue::Client;
use windrose_core::cause::Cause;

use super::error::AwsError;
use super::glue_job_log::LOG_SUFFIXES;
use super::partition::{console_domain, log_stream_url, url_quoted};
use super::session::AwsSession;
use crate::error::TaskError;
use crate::remote_job::Progress;

/// Where Glue writes its logs unless the job says otherwise.
const DEFAULT_LOG_GROUP: &str = "/aws-glue/jobs";

/// Which run.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunId<'a> {
    /// The job's name.
    pub job: &'a str,
    /// `jr_…`.
    pub run: &'a str,
}

/// How a run stands.
#[derive(Debug, Clone)]
pub(super) struct RunState {
    /// In Glue's words.
    pub state: String,
    error_message: Option<String>,
    /// The part of the log groups' names before `/output` and `/error`.
    pub log_group: String,
    /// When it began, in milliseconds since the epoch.
    pub started_ms: Option<i64>,
}

/// Asks how a run stands. With `predecessors`, as Airflow asks for the state.
///
/// # Errors
/// The call failed.
pub(super) async fn get_job_run(
    session: &AwsSession,
    glue: &Client,
    id: RunId<'_>,
    predecessors: bool,
) -> Result<RunState, AwsError> {
    let mut call = glue.get_job_run().job_name(id.job).run_id(id.run);
    if predecessors {
        call = call.predecessors_included(true);
    }
    let answer = call.send().await.map_err(|e| session.error("glue", "GetJobRun", &e))?;
    let run = answer.job_run();
    let text = |value: Option<&str>| value.filter(|t| !t.is_empty()).map(str::to_owned);
    Ok(RunState {
        state: run.and_then(|r| r.job_run_state()).map(|s| s.as_str().to_owned()).unwrap_or_default(),
        error_message: text(run.and_then(|r| r.error_message())),
        log_group: text(run.and_then(|r| r.log_group_name())).unwrap_or_else(|| DEFAULT_LOG_GROUP.to_owned()),
        started_ms: run.and_then(|r| r.started_on()).and_then(|at| at.to_millis().ok()),
    })
}

impl RunState {
    /// What the state means for a task that waits for the run. A state that nobody knows means waiting.
    pub(super) fn progress(&self, session: &AwsSession, id: RunId<'_>) -> Progress {
        match self.state.as_str() {
            "SUCCEEDED" => Progress::Succeeded,
            "FAILED" | "TIMEOUT" | "ERROR" | "EXPIRED" | "STOPPED" => Progress::Failed(self.failure(session, id)),
            other => Progress::Running(other.to_owned()),
        }
    }

    /// What Airflow would say, which is what people search logs for.
    pub(super) fn verdict(&self, id: RunId<'_>) -> String {
        match self.state.as_str() {
            "STOPPED" => {
                format!("Glue job run {} for job {} ended in state 'STOPPED' instead of succeeding.", id.run, id.job)
            }
            state => format!("Exiting Job {} Run State: {state}", id.run),
        }
    }

    fn failure(&self, session: &AwsSession, id: RunId<'_>) -> TaskError {
        let region = session.region_or_default();
        let mut links = vec![console_url(region, id)];
        links.extend(
            LOG_SUFFIXES.iter().map(|suffix| log_stream_url(region, &format!("{}/{suffix}", self.log_group), id.run)),
        );
        TaskError::retryable(Cause::RemoteFailed {
            what: format!("The run of Glue job '{}',", id.job),
            id: id.run.to_owned(),
            state: self.state.clone(),
            message: self.error_message.clone(),
            links,
        })
    }
}

/// The console's page of a run.
pub(super) fn console_url(region: &str, id: RunId<'_>) -> String {
    format!(
        "https://console.{}/gluestudio/home?region={region}#/job/{}/run/{}",
        console_domain(region),
        url_quoted(id.job),
        id.run
    )
}
