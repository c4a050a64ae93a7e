//! The facts of a run that templates may name.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::claim::Claim;
use crate::dag::{Dag, Task};
use crate::python_text::{datetime_isoformat, fixed};
use crate::run::RunFacts;
use crate::time::Timestamp;

/// The facts of a run that templates may name.
#[derive(Debug, Clone)]
pub struct TemplateContext {
    /// The DAG version the run is pinned to.
    pub dag: Arc<Dag>,
    /// The position of the task in [`Dag::tasks`].
    pub position: usize,
    /// The run.
    pub run: Arc<RunFacts>,
    /// When the run began.
    pub run_started_at: Option<Timestamp>,
    /// 1 for the first try.
    pub try_number: u32,
    /// −1 for a task that is not mapped.
    pub map_index: i32,
    /// What this mapped instance, or the mapped group around it, was given: `{{ mapped.<name> }}`.
    pub mapped: Map<String, Value>,
    /// What a notification is about: `{{ notification.<name> }}`; empty for tasks.
    pub notification: Map<String, Value>,
    /// The run's parameters, see [`merged_params`].
    pub params: Map<String, Value>,
    /// The present, for `macros.datetime.now()` and the like.
    pub now: Timestamp,
}

impl TemplateContext {
    /// The context of an attempt.
    #[must_use]
    pub fn of_claim(claim: &Claim, now: Timestamp) -> Self {
        Self {
            dag: Arc::clone(&claim.dag),
            position: claim.position,
            run: Arc::clone(&claim.run),
            run_started_at: Some(claim.run_started_at),
            try_number: claim.try_number,
            map_index: claim.key.map_index,
            mapped: Map::new(),
            notification: Map::new(),
            params: merged_params(&claim.dag, claim.task(), &claim.run.conf),
            now,
        }
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.dag.tasks[self.position]
    }
}

/// A task's `params`: the DAG's defaults, then the task's, then what the run was given, all of it, as Airflow merges
/// them. They are not checked against their schemas here.
#[must_use]
pub fn merged_params(dag: &Dag, task: &Task, conf: &Map<String, Value>) -> Map<String, Value> {
    let declared = dag.params.iter().chain(&task.params);
    let mut merged: Map<_, _> =
        declared.map(|(name, param)| (name.clone(), param.default.clone().unwrap_or_default())).collect();
    merged.extend(conf.clone());
    merged
}

/// `isoformat()` in UTC.
pub(super) fn iso(at: Timestamp) -> String {
    datetime_isoformat(&fixed(&at.to_utc()))
}

/// The part of Airflow's context that JSON can hold, for processes.
#[must_use]
pub fn context_json(ctx: &TemplateContext) -> Value {
    let run = &ctx.run;
    let interval = run.data_interval;
    let dates = [
        ("logical_date", run.logical_date),
        ("data_interval_start", interval.map(|i| i.start)),
        ("data_interval_end", interval.map(|i| i.end)),
        ("run_after", Some(run.run_after)),
        ("start_date", ctx.run_started_at),
    ];
    let date = |name: &str| dates.iter().find(|(n, _)| *n == name).and_then(|(_, at)| *at).map(iso);
    let mut dag_run = json!({
        "dag_id": run.dag_id, "run_id": run.run_id, "run_type": run.run_type.as_str(), "conf": run.conf,
    });
    for (name, _) in dates {
        dag_run[name] = json!(date(name));
    }
    let mut context = json!({
        "dag_id": run.dag_id,
        "task_id": ctx.task().id,
        "run_id": run.run_id,
        "try_number": ctx.try_number,
        "map_index": ctx.map_index, "mapped": ctx.mapped,
        "params": ctx.params,
        "dag_run": dag_run,
        "dag": {"dag_id": ctx.dag.dag_id, "tags": ctx.dag.tags, "description": ctx.dag.description},
        "task": {"task_id": ctx.task().id, "retries": ctx.task().retries, "pool": ctx.task().pool},
        "ti": {
            "dag_id": run.dag_id, "task_id": ctx.task().id, "run_id": run.run_id,
            "try_number": ctx.try_number, "map_index": ctx.map_index, "max_tries": ctx.task().retries,
        },
        "task_instance_key_str": task_instance_key(ctx),
    });
    if let Some(logical_date) = run.logical_date {
        let texts = DateTexts::of(logical_date);
        for (name, text) in texts.named() {
            context[name] = json!(text);
        }
        for name in ["logical_date", "data_interval_start", "data_interval_end"] {
            context[name] = json!(date(name));
        }
    }
    context
}

/// `ds`, `ts` and their forms.
pub(super) struct DateTexts {
    ds: String,
    ts: String,
}

impl DateTexts {
    pub(super) fn of(logical_date: Timestamp) -> Self {
        let ts = iso(logical_date);
        Self { ds: ts.chars().take(10).collect(), ts }
    }

    pub(super) fn named(&self) -> [(&'static str, String); 5] {
        let compact: String = self.ts.replace(['-', ':'], "");
        [
            ("ds", self.ds.clone()),
            ("ds_nodash", self.ds.replace('-', "")),
            ("ts", self.ts.clone()),
            ("ts_nodash", compact.chars().take(15).collect()),
            ("ts_nodash_with_tz", compact),
        ]
    }
}

/// `task_instance_key_str`
pub(super) fn task_instance_key(ctx: &TemplateContext) -> String {
    let when = match ctx.run.logical_date {
        Some(at) => at.to_utc().format("%Y%m%d").to_string(),
        None => ctx.run.run_id.to_string(),
    };
    format!("{}__{}__{when}", ctx.run.dag_id, ctx.task().id)
}
