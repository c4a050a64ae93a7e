//! How runs resolve, against what Airflow did.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;
#[path = "../../core/tests/vector_file/mod.rs"]
mod vector_file;

use std::sync::Arc;

use serde_json::{Value, json};
use vector_file::{Family, read_rows};
use windrose_core::dag::Dag;
use windrose_engine::simulate::{Outcomes, simulate};

fn runs_of(row: &Value) -> Vec<Value> {
    let runs = row["runs"].as_array().unwrap();
    runs.iter().map(|run| json!({"run_type": run["run_type"], "script": run["script"]})).collect()
}

fn check(row: &Value) -> Result<(), String> {
    let dag = Arc::new(support::dag_of(&row["dag"]));
    let outcomes: Outcomes = serde_json::from_value(json!({"mode": row["mode"], "runs": runs_of(row)})).unwrap();
    let report = simulate(&dag, &outcomes, &[]).map_err(|e| e.to_string())?;
    let got = serde_json::to_value(&report).unwrap();
    for (number, (run, got)) in row["runs"].as_array().unwrap().iter().zip(got["runs"].as_array().unwrap()).enumerate()
    {
        let odd = run["quirks"].as_array().is_some_and(|q| q.contains(&json!("running_ti_changed_by_scheduler")));
        let got = json!({"state": got["state"], "end_wave": got["end_wave"], "tis": got["tis"]});
        if !odd && got != run["expect"] {
            return Err(format!("run {number}\n    want {}\n    got  {got}\n{}", run["expect"], report.story()));
        }
    }
    Ok(())
}

/// The row's outcomes with every duration written by `span`, which gets the waves.
fn outcomes_with(row: &Value, dag: &Dag, span: impl Fn(u64) -> Value) -> Outcomes {
    let mut runs = runs_of(row);
    for run in &mut runs {
        let script = run["script"].as_object_mut().unwrap();
        for task in &dag.tasks {
            let entry = script.entry(task.id.to_string()).or_insert_with(|| json!({}));
            let waves = entry.get("duration").and_then(Value::as_u64).unwrap_or(1);
            entry["duration"] = span(waves);
        }
    }
    serde_json::from_value(json!({"mode": row["mode"], "runs": runs})).unwrap()
}

/// By the clock, marks travel at once, as they do in production. In waves they do so too, as far as anyone can tell, if
/// every task takes so long that all marks have arrived before the next report.
fn check_by_clock(row: &Value) -> Result<(), String> {
    let dag = Arc::new(support::dag_of(&row["dag"]));
    let by_clock = outcomes_with(row, &dag, |waves| json!(format!("{waves}s")));
    let by_clock = simulate(&dag, &by_clock, &[]).map_err(|e| e.to_string())?;
    let in_waves =
        simulate(&dag, &outcomes_with(row, &dag, |waves| json!(waves * 1000)), &[]).map_err(|e| e.to_string())?;
    for (clock, waves) in by_clock.runs.iter().zip(&in_waves.runs) {
        let same = clock.tis.iter().all(|(id, a)| (a.state, a.tries) == (waves.tis[id].state, waves.tis[id].tries));
        if !same || clock.state != waves.state {
            return Err(format!("\n{}\n{}", by_clock.story(), in_waves.story()));
        }
    }
    Ok(())
}

fn check_all(what: &str, check: fn(&Value) -> Result<(), String>) {
    let mut families: Vec<Family> = Vec::new();
    for row in read_rows("runs.jsonl") {
        let kind = row["kind"].as_str().unwrap();
        if kind == "invalid" {
            continue;
        }
        let name = format!("{what}: {kind}");
        let at = families.iter().position(|f| f.name == name).unwrap_or_else(|| {
            families.push(Family::new(&name));
            families.len() - 1
        });
        families[at].judge(&row, check);
    }
    Family::finish_kinds(what, &families);
}

#[test]
fn runs_resolve_as_in_airflow() {
    check_all("runs", check);
}

#[test]
fn the_clock_and_slow_waves_end_alike() {
    check_all("runs by the clock", check_by_clock);
}
