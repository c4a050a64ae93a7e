//! How links between tasks and groups resolve, against Airflow.

use std::fmt::Write;

use serde_json::Value;

use crate::read;
use crate::vector_file::{Family, read_rows};

fn quoted(id: &Value) -> String {
    format!("\"{}\"", id.as_str().unwrap())
}

/// A row's DAG as a file. Edges become chains, whose links count in the order they are written.
fn file_of(dag: &Value) -> String {
    let edges: Vec<String> = dag["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| format!("[{}, {}]", quoted(&edge[0]), quoted(&edge[1])))
        .collect();
    let mut text = format!("fail_fast = {}\nchains = [{}]\n", dag["fail_fast"], edges.join(", "));
    for group in dag["groups"].as_array().into_iter().flatten() {
        writeln!(text, "[groups.{}]", quoted(group)).unwrap();
    }
    for task in dag["tasks"].as_array().unwrap() {
        writeln!(text, "[tasks.{}]", quoted(&task["id"])).unwrap();
        let operator = match task["op"].as_str() {
            Some("branch") => "\"branch\"\nchoose = \"x\"",
            Some("short_circuit") => "\"short_circuit\"\ncondition = \"x\"",
            _ => "\"empty\"",
        };
        writeln!(text, "operator = {operator}").unwrap();
        for field in
            ["retries", "depends_on_past", "wait_for_downstream", "setup", "trigger_rule", "on_failure_fail_dagrun"]
        {
            writeln!(text, "{field} = {}", task[field]).unwrap();
        }
        if task["teardown"] == true {
            let setups = task["setups"].as_array().map_or(Vec::new(), |ids| ids.iter().map(quoted).collect());
            writeln!(
                text,
                "teardown = {}",
                if setups.is_empty() { "true".to_owned() } else { format!("[{}]", setups.join(", ")) }
            )
            .unwrap();
        }
    }
    text
}

fn check(row: &Value) -> Result<(), String> {
    let dag = read(&file_of(&row["dag"])).map_err(|found| found.to_string())?;
    for task in row["dag"]["tasks"].as_array().unwrap() {
        let position = dag.position(task["id"].as_str().unwrap()).ok_or("a task is missing")?;
        let mut upstream: Vec<&str> =
            dag.upstream(position).into_iter().map(|above| dag.tasks[above].id.as_str()).collect();
        upstream.sort_unstable();
        if task["upstream"] != serde_json::json!(upstream) {
            return Err(format!("{} is below {upstream:?} instead of {}", task["id"], task["upstream"]));
        }
        if dag.tasks[position].group.as_deref() != task["group"].as_str() {
            return Err(format!("{} is in the group {:?}", task["id"], dag.tasks[position].group));
        }
    }
    Ok(())
}

#[test]
fn edges_resolve_to_the_upstream_that_airflow_finds() {
    let mut families: Vec<Family> = Vec::new();
    for row in read_rows("runs.jsonl") {
        let name = format!("runs: {}", row["kind"].as_str().unwrap());
        let index = families.iter().position(|family| family.name == name).unwrap_or_else(|| {
            families.push(Family::new(&name));
            families.len() - 1
        });
        let result = if row.get("expect_error").is_some() {
            read(&file_of(&row["dag"])).map_or(Ok(()), |_| Err("the DAG is not refused".to_owned()))
        } else {
            check(&row)
        };
        families[index].record(&row, result);
    }
    Family::finish(&families);
}
