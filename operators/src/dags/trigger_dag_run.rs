//! `trigger_dag_run`: makes a run of another DAG and, if told to, waits for its end.
//!
//! The run's id is kept before the run is made, so a crash makes no second one: the next attempt takes hold of the run,
//! or makes it under the same id.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use windrose_core::catalog::OperatorKind;
use windrose_core::cause::Cause;
use windrose_core::ids::{DagId, RunId};
use windrose_core::run_state::{RunState, RunType};
use windrose_core::time::Timestamp;
use windrose_core::timetable::run_id;

use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Parameters, Runnable};
use crate::other_dags::{OtherRun, WantedRun};
use crate::remote_job::{Progress, RemoteJob};
use crate::seconds::Seconds;

/// Parameters of `trigger_dag_run`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "these are Airflow's parameters")]
pub struct TriggerDagRunParameters {
    /// The DAG.
    #[schemars(extend("x-template" = true))]
    trigger_dag_id: String,
    /// The run's id; without it `manual__` and the logical date.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    trigger_run_id: Option<String>,
    /// The run's parameters.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    conf: Option<Map<String, Value>>,
    /// The instant the run stands for: `2026-01-01`, `2026-01-01T06:00:00Z`; without it now.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    logical_date: Option<String>,
    /// If there is such a run already, clear it, so that it runs again.
    #[serde(default)]
    reset_dag_run: bool,
    /// Wait for the run's end. A task that is cancelled meanwhile cancels the run.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    wait_for_completion: bool,
    /// Between two looks at the run.
    #[serde(default = "a_minute")]
    poke_interval: Seconds,
    /// States of the run in which the task succeeds; `["success"]` if not given.
    #[serde(default)]
    allowed_states: Option<Vec<String>>,
    /// States of the run in which the task fails; `["failed"]` if not given.
    #[serde(default)]
    failed_states: Option<Vec<String>>,
    /// If there is such a run already, skip the task.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    skip_when_already_exists: bool,
    /// Fail if the DAG is paused; otherwise the run waits until it is not.
    #[serde(default)]
    fail_when_dag_is_paused: bool,
    /// Give the slot back while waiting.
    #[serde(default)]
    deferrable: bool,
}

fn a_minute() -> Seconds {
    Seconds::from_whole(60)
}

impl Parameters for TriggerDagRunParameters {
    const NAME: &'static str = "trigger_dag_run";
    const AIRFLOW: &'static str = "airflow.providers.standard.operators.trigger_dagrun.TriggerDagRunOperator";
    const SUMMARY: &'static str = "Makes a run of another DAG and, if told to, waits for its end.";
    const KIND: OperatorKind = OperatorKind::Remote;

    fn build(self) -> Result<Runnable, String> {
        let given = |states: Option<Vec<String>>, otherwise| match states {
            None => Ok(vec![otherwise]),
            Some(words) => words.iter().map(|word| run_state(word)).collect(),
        };
        let mut allowed: Vec<RunState> = given(self.allowed_states, RunState::Success)?;
        if allowed.is_empty() {
            allowed.push(RunState::Success);
        }
        let logical_date = self.logical_date.as_deref().filter(|text| !text.is_empty()).map(instant).transpose()?;
        if self.trigger_dag_id.is_empty() {
            return Err("trigger_dag_id must not be empty".to_owned());
        }
        Ok(Runnable::Remote(Box::new(TriggerDagRun {
            dag_id: self.trigger_dag_id.into(),
            run_id: self.trigger_run_id.filter(|id| !id.is_empty()).map(RunId::from),
            conf: self.conf.unwrap_or_default(),
            logical_date,
            reset: self.reset_dag_run,
            waits: self.wait_for_completion,
            poke_interval: self.poke_interval.0,
            allowed,
            failed: given(self.failed_states, RunState::Failed)?,
            skip_existing: self.skip_when_already_exists,
            fail_paused: self.fail_when_dag_is_paused,
            deferrable: self.deferrable,
        })))
    }
}

pub(super) fn run_state(word: &str) -> Result<RunState, String> {
    RunState::parse(word)
        .ok_or_else(|| format!("'{word}' is no state of a run; use queued, running, success or failed"))
}

/// An instant as people write it; without a zone it is UTC.
fn instant(text: &str) -> Result<Timestamp, String> {
    let text = text.trim();
    let local = |at: NaiveDateTime| Timestamp::from(at.and_utc());
    let zoned =
        || DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%:z"));
    let plain = || {
        let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
        formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
    };
    let date = || text.parse::<NaiveDate>().ok().and_then(|date| date.and_hms_opt(0, 0, 0));
    let found = zoned().ok().map(|at| Timestamp::from(at.to_utc())).or_else(|| plain().or_else(date).map(local));
    found.ok_or_else(|| format!("logical_date must be an instant such as 2026-01-01T06:00:00Z, not '{text}'"))
}

struct TriggerDagRun {
    dag_id: DagId,
    run_id: Option<RunId>,
    conf: Map<String, Value>,
    logical_date: Option<Timestamp>,
    reset: bool,
    waits: bool,
    poke_interval: Duration,
    allowed: Vec<RunState>,
    failed: Vec<RunState>,
    skip_existing: bool,
    fail_paused: bool,
    deferrable: bool,
}

fn run_of(handle: &Value) -> Option<RunId> {
    handle["run_id"].as_str().map(RunId::from)
}

fn who(ctx: &TaskContext) -> String {
    format!("{}.{} of {}", ctx.info.dag_id, ctx.info.key.task, ctx.info.run_id)
}

impl TriggerDagRun {
    /// There is such a run already, and it is not this task's.
    async fn existing(&self, ctx: &TaskContext, run: &OtherRun) -> Result<Value, TaskError> {
        let (dag, id) = (&self.dag_id, &run.run_id);
        if self.reset {
            ctx.info(format!("Clearing run {id} of {dag}, which exists already"));
            if run.state != RunState::Queued {
                ctx.services.other_dags().clear(dag, id, &who(ctx)).await?;
            }
            return Ok(json!({ "dag_id": dag, "run_id": id }));
        }
        if self.skip_existing {
            let reason = format!("run {id} of {dag} exists already, and skip_when_already_exists is set");
            return Err(TaskError::Skip { reason });
        }
        Err(TaskError::failed(format!(
            "DAG '{dag}' has a run '{id}' already ({}). Choose another trigger_run_id or logical_date, or set reset_dag_run or \
             skip_when_already_exists.",
            run.state.as_str()
        )))
    }
}

#[async_trait]
impl RemoteJob for TriggerDagRun {
    async fn submit(&self, ctx: &TaskContext) -> Result<Value, TaskError> {
        let others = ctx.services.other_dags();
        let Some(dag) = others.dag(&self.dag_id).await?.filter(|dag| dag.present) else {
            return Err(TaskError::failed(format!("There is no DAG '{}'; see 'windrose dags list'.", self.dag_id)));
        };
        if dag.paused && self.fail_paused {
            return Err(TaskError::failed(format!("Dag {} is paused", self.dag_id)));
        }
        // An id that was chosen and whose run was never made.
        let chosen = match ctx.info.superseded.as_ref().and_then(run_of) {
            Some(id) if others.run(&self.dag_id, &id).await?.is_none() => Some(id),
            _ => None,
        };
        let now = ctx.services.now();
        let made = || self.run_id.clone().unwrap_or_else(|| run_id(RunType::Manual, self.logical_date.unwrap_or(now)));
        let wanted = WantedRun {
            dag_id: self.dag_id.clone(),
            run_id: chosen.unwrap_or_else(made),
            logical_date: self.logical_date,
            conf: self.conf.clone(),
            who: who(ctx),
        };
        let of_date = match self.logical_date {
            Some(date) => others.run_at(&self.dag_id, date).await?,
            None => None,
        };
        if let Some(run) = others.run(&self.dag_id, &wanted.run_id).await?.or(of_date) {
            return self.existing(ctx, &run).await;
        }
        let handle = json!({ "dag_id": wanted.dag_id, "run_id": wanted.run_id });
        ctx.services.save_checkpoint(&handle).await?;
        others.trigger(&wanted).await?;
        ctx.info(format!("Triggered run {} of {}", wanted.run_id, wanted.dag_id));
        Ok(handle)
    }

    async fn poll(&self, ctx: &TaskContext, handle: &Value) -> Result<Progress, TaskError> {
        let Some(id) = run_of(handle) else { return Ok(Progress::Unknown) };
        let Some(run) = ctx.services.other_dags().run(&self.dag_id, &id).await? else { return Ok(Progress::Unknown) };
        Ok(match run.state {
            _ if !self.waits => Progress::Succeeded,
            state if self.failed.contains(&state) => {
                let message = format!("{} failed with failed states {}: run {id}", self.dag_id, state.as_str());
                Progress::Failed(TaskError::retryable(Cause::Failed { message }))
            }
            state if self.allowed.contains(&state) => Progress::Succeeded,
            state => Progress::Running(state.as_str().to_owned()),
        })
    }

    async fn finish(&self, ctx: &TaskContext, handle: &Value) -> Result<Done, TaskError> {
        ctx.xcom_push("trigger_dag_id", handle["dag_id"].clone());
        ctx.xcom_push("trigger_run_id", handle["run_id"].clone());
        Ok(Done::default())
    }

    async fn cancel(&self, ctx: &TaskContext, handle: &Value) -> Result<(), TaskError> {
        match run_of(handle) {
            Some(id) if self.waits => {
                let others = ctx.services.other_dags();
                match others.run(&self.dag_id, &id).await? {
                    Some(run) if !run.state.is_final() => others.cancel(&self.dag_id, &id, &who(ctx)).await,
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn poll_interval(&self) -> Duration {
        self.poke_interval
    }

    fn waits(&self) -> bool {
        self.waits
    }

    fn deferrable(&self) -> bool {
        self.deferrable
    }
}
