//! DAGs and runs for tests.

#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod harness;
pub(crate) mod random_dag;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::{Map, Value};
use windrose_core::catalog::OperatorKind;
use windrose_core::dag::{Catchup, Dag, Group, Task};
use windrose_core::ids::RunKey;
use windrose_core::run::RunFacts;
use windrose_core::run_state::RunType;
use windrose_core::time::Timestamp;

/// The DAG of a row of `runs.jsonl`. Edges are what the row says that Airflow made of them.
pub(crate) fn dag_of(row: &Value) -> Dag {
    let rows = row["tasks"].as_array().unwrap();
    let tasks: Vec<Task> = rows.iter().map(task_of).collect();
    let position: HashMap<&str, u32> = tasks.iter().map(|t| t.id.as_str()).zip(0..).collect();
    let mut edges = Vec::new();
    for row in rows {
        let below = position[row["id"].as_str().unwrap()];
        for above in row["upstream"].as_array().unwrap() {
            edges.push((position[above.as_str().unwrap()], below));
        }
    }
    let mut dag = Dag::new("d".into(), tasks.clone(), edges);
    dag.fail_fast = row["fail_fast"] == true;
    dag.catchup = if row["catchup"] == true { Catchup::All } else { Catchup::No };
    // The vectors were made without limits.
    dag.max_active_tasks = 1000;
    dag.groups = groups_of(row);
    dag
}

fn groups_of(row: &Value) -> IndexMap<String, Group> {
    let ids = row["groups"].as_array().unwrap().iter().map(|g| g.as_str().unwrap());
    ids.map(|id| {
        let parent = id.rsplit_once('.').map(|(parent, _)| parent.to_owned());
        (id.to_owned(), Group { id: id.to_owned(), parent, tooltip: None, expansion: None })
    })
    .collect()
}

fn task_of(row: &Value) -> Task {
    let kind = match row.get("op").and_then(Value::as_str) {
        None => OperatorKind::Work,
        Some("branch") => OperatorKind::Branch,
        Some("short_circuit") => OperatorKind::ShortCircuit,
        Some(other) => panic!("unknown op {other}"),
    };
    let mut task = Task::new(row["id"].as_str().unwrap().into(), "op", kind);
    task.trigger_rule = serde_json::from_value(row["trigger_rule"].clone()).unwrap();
    task.retries = u32::try_from(row["retries"].as_u64().unwrap()).unwrap();
    task.retry_delay = Duration::ZERO;
    task.depends_on_past = row["depends_on_past"] == true;
    task.wait_for_downstream = row["wait_for_downstream"] == true;
    task.setup = row["setup"] == true;
    task.teardown = (row["teardown"] == true).then(Vec::new);
    task.on_failure_fail_dagrun = row["on_failure_fail_dagrun"] == true;
    task.group = row.get("group").and_then(Value::as_str).map(str::to_owned);
    if let Some(ignore) = row.get("ignore_downstream_trigger_rules") {
        task.parameters.insert("ignore_downstream_trigger_rules".to_owned(), ignore.clone());
    }
    task
}

/// Facts of a run of this DAG.
pub(crate) fn facts_of(dag: &Dag, key: i64) -> Arc<RunFacts> {
    let date = Timestamp::from_micros(key * 86_400_000_000);
    Arc::new(RunFacts {
        key: RunKey(key),
        dag_id: dag.dag_id.clone(),
        run_id: format!("run_{key}").into(),
        run_type: RunType::Scheduled,
        logical_date: Some(date),
        data_interval: None,
        run_after: date,
        conf: Map::new(),
        dag_version: String::new(),
        triggered_by: "test".to_owned(),
    })
}
