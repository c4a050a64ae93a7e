//! `external_task_sensor`: waits for a run, for tasks or for a group of another DAG, by logical date.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use windrose_core::catalog::OperatorKind;
use windrose_core::ids::{DagId, TaskId};
use windrose_core::task_state::TaskStateName;
use windrose_core::time::Timestamp;

use super::trigger_dag_run::run_state;
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Parameters, Runnable};
use crate::other_dags::OtherDag;
use crate::seconds::Seconds;
use crate::sensor::{Poke, Sensor};

/// Parameters of `external_task_sensor`. Without a task and a group it waits for the whole run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExternalTaskSensorParameters {
    /// The DAG.
    #[schemars(extend("x-template" = true))]
    external_dag_id: String,
    /// The task.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    external_task_id: Option<String>,
    /// The tasks; all of them are waited for.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    external_task_ids: Option<Vec<String>>,
    /// The group; all of its tasks are waited for.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    external_task_group_id: Option<String>,
    /// States that are waited for; `["success"]` if not given.
    #[serde(default)]
    allowed_states: Vec<String>,
    /// States that skip the sensor.
    #[serde(default)]
    skipped_states: Vec<String>,
    /// States that fail the sensor; none if not given, so a failure is waited over until the timeout.
    #[serde(default)]
    failed_states: Vec<String>,
    /// How much earlier than this run the other one's logical date is.
    #[serde(default)]
    execution_delta: Option<Seconds>,
    /// Fail at once if there is no such DAG, task or group.
    #[serde(default)]
    check_existence: bool,
    /// Give the slot back while waiting.
    #[serde(default)]
    deferrable: bool,
}

impl Parameters for ExternalTaskSensorParameters {
    const NAME: &'static str = "external_task_sensor";
    const AIRFLOW: &'static str = "airflow.providers.standard.sensors.external_task.ExternalTaskSensor";
    const SUMMARY: &'static str = "Waits for a run, for tasks or for a task group of another DAG.";
    const KIND: OperatorKind = OperatorKind::Sensor;

    fn build(self) -> Result<Runnable, String> {
        let several = self.external_task_ids.filter(|ids| !ids.is_empty());
        let awaited = match (self.external_task_id, several, self.external_task_group_id) {
            (Some(_), Some(_), _) => return Err(only_one("external_task_id", "external_task_ids")),
            (Some(_), _, Some(_)) => return Err(only_one("external_task_id", "external_task_group_id")),
            (_, Some(_), Some(_)) => return Err(only_one("external_task_group_id", "external_task_ids")),
            (Some(id), None, None) => Awaited::Tasks(vec![id.into()]),
            (None, Some(ids), None) => Awaited::Tasks(ids.into_iter().map(TaskId::from).collect()),
            (None, None, Some(group)) => Awaited::Group(group),
            (None, None, None) => Awaited::Run,
        };
        if let Awaited::Tasks(ids) = &awaited
            && ids.iter().enumerate().any(|(at, id)| ids[..at].contains(id))
        {
            return Err("Duplicate task_ids passed in external_task_ids parameter".to_owned());
        }
        let mut allowed = self.allowed_states;
        if allowed.is_empty() {
            allowed.push("success".to_owned());
        }
        let states = [allowed, self.skipped_states, self.failed_states];
        check_states(&states, &awaited)?;
        let [allowed, skipped, failed] = states;
        Ok(Runnable::Sensor(Box::new(ExternalTaskSensor {
            dag_id: self.external_dag_id.into(),
            awaited,
            allowed,
            skipped,
            failed,
            delta: self.execution_delta.map_or(Duration::ZERO, |delta| delta.0),
            check_existence: self.check_existence,
            deferrable: self.deferrable,
        })))
    }
}

fn only_one(one: &str, other: &str) -> String {
    format!("Only one of `{one}` or `{other}` may be provided to ExternalTaskSensor")
}

fn check_states(states: &[Vec<String>; 3], awaited: &Awaited) -> Result<(), String> {
    let all: Vec<&String> = states.iter().flatten().collect();
    if all.iter().enumerate().any(|(at, word)| all[..at].contains(word)) {
        return Err("Duplicate values provided across allowed_states, skipped_states and failed_states.".to_owned());
    }
    for word in all {
        if *awaited == Awaited::Run {
            run_state(word)?;
        } else if TaskStateName::parse(word).is_none() {
            return Err(format!(
                "'{word}' is no state of a task; use success, failed, skipped, upstream_failed and the like"
            ));
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
enum Awaited {
    Run,
    Tasks(Vec<TaskId>),
    Group(String),
}

struct ExternalTaskSensor {
    dag_id: DagId,
    awaited: Awaited,
    allowed: Vec<String>,
    skipped: Vec<String>,
    failed: Vec<String>,
    delta: Duration,
    check_existence: bool,
    deferrable: bool,
}

/// What one look found.
#[derive(Debug, PartialEq)]
struct Found {
    /// The states of what is waited for; a task without instances is missing.
    states: Vec<&'static str>,
    /// How many states there would be if nothing were missing.
    wanted: usize,
}

impl ExternalTaskSensor {
    fn described(&self) -> String {
        match &self.awaited {
            Awaited::Run => format!("the run of DAG {}", self.dag_id),
            Awaited::Tasks(ids) => {
                let ids: Vec<_> = ids.iter().map(TaskId::as_str).collect();
                format!("tasks {} in dag {}", ids.join(", "), self.dag_id)
            }
            Awaited::Group(group) => format!("task_group '{group}' in dag {}", self.dag_id),
        }
    }

    fn must_exist(&self, dag: Option<&OtherDag>) -> Result<(), TaskError> {
        let Some(dag) = dag.filter(|dag| dag.present) else {
            return Err(TaskError::failed(format!("The external DAG {} does not exist.", self.dag_id)));
        };
        let missing = match &self.awaited {
            Awaited::Run => None,
            Awaited::Tasks(ids) => {
                let missing = ids.iter().find(|id| !dag.tasks.iter().any(|(known, _)| known == *id));
                missing.map(|id| format!("task {id}"))
            }
            Awaited::Group(group) => (!dag.groups.contains(group)).then(|| format!("task group '{group}'")),
        };
        match missing {
            None => Ok(()),
            Some(what) => Err(TaskError::failed(format!("The external {what} in DAG {} does not exist.", self.dag_id))),
        }
    }

    async fn look(&self, ctx: &TaskContext, dag: Option<&OtherDag>, date: Timestamp) -> Result<Found, TaskError> {
        let others = ctx.services.other_dags();
        let tasks: Vec<&TaskId> = match &self.awaited {
            Awaited::Run => Vec::new(),
            Awaited::Tasks(ids) => ids.iter().collect(),
            Awaited::Group(group) => dag.map(|dag| dag.tasks_of_group(group)).unwrap_or_default(),
        };
        let wanted = if self.awaited == Awaited::Run { 1 } else { tasks.len() };
        let Some(run) = others.run_at(&self.dag_id, date).await? else {
            return Ok(Found { states: Vec::new(), wanted: wanted.max(1) });
        };
        if self.awaited == Awaited::Run {
            return Ok(Found { states: vec![run.state.as_str()], wanted });
        }
        let instances = others.task_states(&self.dag_id, &run.run_id).await?;
        let mut found = Found { states: Vec::new(), wanted: 0 };
        for task in tasks {
            let of_task: Vec<_> =
                instances.iter().filter(|(id, _)| id == task).map(|(_, state)| state.as_str()).collect();
            // A mapped task counts with each of its instances.
            found.wanted += of_task.len().max(1);
            found.states.extend(of_task);
        }
        found.wanted = found.wanted.max(1);
        Ok(found)
    }
}

/// This run's logical date or, if it has none, the instant after which it runs.
fn own_date(ctx: &TaskContext) -> Result<Timestamp, TaskError> {
    let context = &ctx.info.template_context;
    let dates = [&context["logical_date"], &context["dag_run"]["run_after"]];
    let date = dates
        .into_iter()
        .filter(|date| !date.is_null())
        .find_map(|date: &Value| serde_json::from_value::<Timestamp>(date.clone()).ok());
    date.ok_or_else(|| TaskError::failed("Neither logical_date nor dag_run.run_after is known."))
}

#[async_trait]
impl Sensor for ExternalTaskSensor {
    async fn poke(&self, ctx: &TaskContext) -> Result<Poke, TaskError> {
        let date = own_date(ctx)?.minus(self.delta);
        ctx.info(format!("Poking for {} on {date} ...", self.described()));
        let needs_dag = self.check_existence || matches!(self.awaited, Awaited::Group(_));
        let dag = if needs_dag { ctx.services.other_dags().dag(&self.dag_id).await? } else { None };
        if self.check_existence {
            self.must_exist(dag.as_ref())?;
        }
        let found = self.look(ctx, dag.as_ref(), date).await?;
        let within = |states: &[String]| found.states.iter().filter(|state| states.iter().any(|s| s == *state)).count();
        if within(&self.failed) > 0 {
            let message = format!("Some of what is waited for has failed: {} on {date}.", self.described());
            return Err(match ctx.info.sensor.is_some_and(|sensor| sensor.soft_fail) {
                true => TaskError::Skip { reason: format!("{message} Skipping due to soft_fail.") },
                false => TaskError::failed(message),
            });
        }
        if within(&self.skipped) > 0 {
            let reason =
                format!("{} on {date} reached a state in our states-to-skip-on list. Skipping.", self.described());
            return Err(TaskError::Skip { reason });
        }
        Ok(if within(&self.allowed) == found.wanted { Poke::Done(None) } else { Poke::NotYet })
    }

    fn deferrable(&self) -> bool {
        self.deferrable
    }

    fn awaited(&self) -> Option<String> {
        Some(self.described())
    }
}
