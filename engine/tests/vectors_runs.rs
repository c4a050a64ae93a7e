//! How runs resolve, against what Airflow did.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;
#[path = "../../core/tests/vector_file/mod.rs"]
mod vector_file;

use std::sync::Arc;

use serde_json::{Value, json};
use vector_file::{Family, read_rows};
use windrose_engine::simulate::{Outcomes, simulate};

fn check(row: &Value) -> Result<(), String> {
    let dag = Arc::new(support::dag_of(&row["dag"]));
    let runs: Vec<Value> = row["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| json!({"run_type": run["run_type"], "script": run["script"]}))
        .collect();
    let outcomes: Outcomes = serde_json::from_value(json!({"mode": row["mode"], "runs": runs})).unwrap();
    let report = simulate(&dag, &outcomes, &[]).map_err(|e| e.to_string())?;
    let got = serde_json::to_value(&report).unwrap();
    for (number, (run, got)) in row["runs"].as_array().unwrap().iter().zip(got["runs"].as_array().unwrap()).enumerate()
    {
        let odd = run["quirks"].as_array().is_some_and(|q| q.contains(&json!("running_ti_changed_by_scheduler")));
        let got = json!({"state": got["state"], "end_wave": got["end_wave"], "tis": got["tis"]});
        if !odd && got != run["expect"] {
            return Err(format!("run {number}\n    want {}\n    got  {got}\n{}", run["expect"], report.timeline()));
        }
    }
    Ok(())
}

#[test]
fn runs_resolve_as_in_airflow() {
    let mut families: Vec<Family> = Vec::new();
    for row in read_rows("runs.jsonl") {
        let kind = row["kind"].as_str().unwrap();
        if kind == "invalid" {
            continue;
        }
        let name = format!("runs: {kind}");
        let at = families.iter().position(|f| f.name == name).unwrap_or_else(|| {
            families.push(Family::new(&name));
            families.len() - 1
        });
        families[at].record(&row, check(&row));
    }
    Family::finish(&families);
}
