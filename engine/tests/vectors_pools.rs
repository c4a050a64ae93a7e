//! Admission, against what one critical section of Airflow's scheduler does.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "../../core/tests/vector_file/mod.rs"]
mod vector_file;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};
use vector_file::{Family, read_rows};
use windrose_core::catalog::OperatorKind;
use windrose_core::dag::{Dag, Task};
use windrose_core::ids::{RunKey, TaskInstanceKey};
use windrose_core::run_state::RunType;
use windrose_core::time::Timestamp;
use windrose_engine::admission::{QueuedRun, runs_to_start};
use windrose_engine::{Admission, Candidate};

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn instant(value: &Value) -> Timestamp {
    serde_json::from_value::<chrono::DateTime<chrono::Utc>>(value.clone()).unwrap().into()
}

fn number(value: &Value) -> Option<u32> {
    value.as_u64().map(|n| u32::try_from(n).unwrap())
}

fn task_of(row: &Value) -> Task {
    let mut task = Task::new(text(&row["id"]).into(), "op", OperatorKind::Work);
    task.priority_weight = row["priority_weight"].as_i64().unwrap_or(1);
    task.weight_rule = row.get("weight_rule").map_or(task.weight_rule, |r| serde_json::from_value(r.clone()).unwrap());
    task.pool = row["pool"].as_str().unwrap_or("default_pool").to_owned();
    task.pool_slots = number(&row["pool_slots"]).unwrap_or(1);
    task.max_active_tis_per_dag = number(&row["max_active_tis_per_dag"]);
    task.max_active_tis_per_dagrun = number(&row["max_active_tis_per_dagrun"]);
    task
}

fn dag_of(row: &Value) -> Arc<Dag> {
    let tasks: Vec<Task> = items(&row["tasks"]).map(task_of).collect();
    let position: HashMap<&str, u32> = tasks.iter().map(|t| t.id.as_str()).zip(0..).collect();
    let edges: Vec<_> = items(&row["edges"]).map(|e| (position[text(&e[0])], position[text(&e[1])])).collect();
    let mut dag = Dag::new(text(&row["dag_id"]).into(), tasks.clone(), edges);
    dag.max_active_tasks = number(&row["max_active_tasks"]).unwrap_or(16);
    Arc::new(dag)
}

/// Puts a run's task instances where the row says they are.
fn place(admission: &mut Admission, dag: &Arc<Dag>, key: RunKey, run: &Value) -> Vec<Candidate> {
    let mut offered = Vec::new();
    let weights = dag.effective_priority_weights();
    let running = run["state"] == "running";
    for (task, state) in run["tis"].as_object().unwrap() {
        let position = dag.position(task).unwrap();
        let candidate = Candidate {
            key: TaskInstanceKey::unmapped(key, task.as_str().into()),
            dag: Arc::clone(dag),
            position,
            weight: weights[position],
            run_date: instant(&run["logical_date"]),
        };
        match state.as_str() {
            // A machine offers nothing while its run is not running.
            Some("scheduled") if running => {
                offered.push(candidate.clone());
                admission.offer(candidate);
            }
            Some("queued" | "running") => admission.occupy(candidate, false),
            Some("deferred") => admission.occupy(candidate, true),
            _ => {}
        }
    }
    offered
}

/// The candidates one critical section looks at: as many as there are free slots in all pools together, best first, and
/// of each run no more than `max_active_tasks`. What comes after them is left to its next pass, which is only a matter of
/// time, so nothing is said about it here.
fn examined(row: &Value, admission: &Admission, offered: &[Candidate]) -> Vec<TaskInstanceKey> {
    let open =
        |pool: &str| admission.pool_use(pool).map(|(used, all)| if all < 0 { i64::MAX } else { (all - used).max(0) });
    let free = items(&row["pools"]).filter_map(|p| open(text(&p["name"]))).fold(0_i64, i64::saturating_add);
    let limit = free.min(row["max_tis"].as_i64().unwrap());
    let paused =
        |c: &Candidate| items(&row["dags"]).any(|d| d["paused"] == true && d["dag_id"] == c.dag.dag_id.as_str());
    let mut order: Vec<&Candidate> = offered.iter().filter(|c| open(&c.task().pool) != Some(0) && !paused(c)).collect();
    order.sort_by_key(|c| (std::cmp::Reverse(c.weight), c.run_date, c.position));
    let mut of_run: HashMap<RunKey, u32> = HashMap::new();
    order.retain(|c| {
        let rank = of_run.entry(c.key.run).or_default();
        *rank += 1;
        *rank <= c.dag.max_active_tasks && admission.active_in_run(c.key.run) < c.dag.max_active_tasks
    });
    order.iter().take(usize::try_from(limit).unwrap()).map(|c| c.key.clone()).collect()
}

fn check_queue(row: &Value) -> Result<(), String> {
    let mut admission = Admission::new();
    for pool in items(&row["pools"]) {
        admission.set_pool(text(&pool["name"]), pool["slots"].as_i64().unwrap(), pool["include_deferred"] == true);
    }
    let (mut dates, mut offered) = (HashMap::new(), Vec::new());
    for row in items(&row["dags"]) {
        let dag = dag_of(row);
        admission.set_paused(&dag.dag_id, row["paused"] == true);
        for run in items(&row["runs"]) {
            let key = RunKey(i64::try_from(dates.len()).unwrap());
            dates.insert(key, run["logical_date"].clone());
            offered.extend(place(&mut admission, &dag, key, run));
        }
    }
    let limit = row["executor_slots"].as_u64().unwrap().min(row["max_tis"].as_u64().unwrap());
    let seen = examined(row, &admission, &offered);
    let admitted = admission.admit(Timestamp::from_micros(0), usize::try_from(limit).unwrap());
    let in_window: Vec<_> = admitted.iter().filter(|a| seen.contains(&a.candidate.key)).cloned().collect();
    // An empty window makes Airflow look further; then everything it finds has to be what we find.
    let admitted = if in_window.is_empty() { admitted } else { in_window };
    let got: Vec<Value> = admitted
        .iter()
        .map(|a| {
            let key = &a.candidate.key;
            json!({"dag_id": a.candidate.dag.dag_id, "logical_date": dates[&key.run], "task_id": key.task})
        })
        .collect();
    let want: Vec<Value> = items(&row["expect"]).cloned().collect();
    if got == want { Ok(()) } else { Err(format!("\n    want {want:?}\n    got  {got:?}")) }
}

fn check_start_runs(row: &Value) -> Result<(), String> {
    let (mut queued, mut running, mut names) = (Vec::new(), HashMap::new(), HashMap::new());
    for dag in items(&row["dags"]) {
        for run in items(&dag["runs"]) {
            let key = RunKey(i64::try_from(names.len()).unwrap());
            names.insert(key, (dag["dag_id"].clone(), run["logical_date"].clone()));
            match text(&run["state"]) {
                "running" => *running.entry(text(&dag["dag_id"]).into()).or_insert(0) += 1,
                "queued" if dag["paused"] != true => queued.push(QueuedRun {
                    run: key,
                    dag_id: text(&dag["dag_id"]).into(),
                    run_type: run["run_type"].as_str().map_or(RunType::Scheduled, |t| RunType::parse(t).unwrap()),
                    run_after: instant(&run["logical_date"]),
                    max_active_runs: number(&dag["max_active_runs"]).unwrap(),
                }),
                _ => {}
            }
        }
    }
    let now = Timestamp::from_micros(i64::MAX);
    let mut started: Vec<_> = runs_to_start(now, &queued, &running).iter().map(|key| names[key].clone()).collect();
    let before = |run: &Value| {
        items(&row["dags"])
            .filter(|d| d["dag_id"] == run["dag_id"])
            .flat_map(|d| items(&d["runs"]).cloned().collect::<Vec<_>>())
            .any(|r| r["logical_date"] == run["logical_date"] && r["state"] == "queued")
    };
    let mut want: Vec<_> = items(&row["expect"])
        .filter(|run| run["state"] == "running" && before(run))
        .map(|run| (run["dag_id"].clone(), run["logical_date"].clone()))
        .collect();
    started.sort_by_key(|s| s.1.to_string());
    want.sort_by_key(|s| s.1.to_string());
    if started == want { Ok(()) } else { Err(format!("\n    want {want:?}\n    got  {started:?}")) }
}

#[test]
fn admission_decides_as_in_airflow() {
    let mut families = ["queue", "start_runs"].map(|kind| Family::new(&format!("pools: {kind}")));
    for row in read_rows("pools.jsonl") {
        match text(&row["kind"]) {
            "queue" => families[0].judge(&row, check_queue),
            "start_runs" => families[1].judge(&row, check_start_runs),
            other => panic!("unknown kind {other}"),
        }
    }
    Family::finish_kinds("pools", &families);
}
