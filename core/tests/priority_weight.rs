//! Effective priority weights against Airflow's own.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod vector_file;

use std::collections::HashMap;

use serde_json::Value;
use vector_file::{Family, read_rows};
use windrose_core::catalog::OperatorKind;
use windrose_core::dag::{Dag, Task, WeightRule};

fn dag_of(row: &Value) -> Dag {
    let tasks: Vec<Task> = row["tasks"].as_array().unwrap().iter().map(task_of).collect();
    let position: HashMap<&str, u32> = tasks.iter().map(|t| t.id.as_str()).zip(0..).collect();
    let edges: Vec<_> = row["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| (position[edge[0].as_str().unwrap()], position[edge[1].as_str().unwrap()]))
        .collect();
    Dag::new(row["dag_id"].as_str().unwrap().into(), tasks.clone(), edges)
}

fn task_of(row: &Value) -> Task {
    let mut task = Task::new(row["id"].as_str().unwrap().into(), "bash", OperatorKind::Work);
    task.priority_weight = row["priority_weight"].as_i64().unwrap_or(1);
    task.weight_rule =
        row.get("weight_rule").map_or(WeightRule::Downstream, |rule| serde_json::from_value(rule.clone()).unwrap());
    task
}

fn check_weights(row: &Value, expected: &Value) -> Result<(), String> {
    for row in row["dags"].as_array().unwrap() {
        let dag = dag_of(row);
        for (task, got) in dag.tasks.iter().zip(dag.effective_priority_weights()) {
            let expected = &expected[dag.dag_id.as_str()][task.id.as_str()];
            if *expected != got {
                return Err(format!("{}.{} has {got} instead of {expected}", dag.dag_id, task.id));
            }
        }
    }
    Ok(())
}

#[test]
fn weights_are_those_of_airflow() {
    let mut family = Family::new("pools: effective_priority_weight");
    for row in read_rows("pools.jsonl") {
        if let Some(expected) = row.get("effective_priority_weight") {
            family.record(&row, check_weights(&row, expected));
        }
    }
    Family::finish(&[family]);
}

fn line_of(length: u32, weight: i64) -> Dag {
    let task = |i: u32| {
        let mut task = Task::new(format!("t{i}").into(), "bash", OperatorKind::Work);
        task.priority_weight = weight;
        task
    };
    Dag::new("line".into(), (0..length).map(task).collect(), (1..length).map(|i| (i - 1, i)))
}

#[test]
fn a_relative_reached_over_many_blocks_of_tasks_counts_once() {
    let weights = line_of(1000, 1).effective_priority_weights();
    assert_eq!(weights, (1..=1000).rev().collect::<Vec<i64>>());
}

#[test]
fn a_weight_stays_within_the_range_of_a_database_integer() {
    assert_eq!(line_of(3, i64::from(i32::MAX)).effective_priority_weights(), [i64::from(i32::MAX); 3]);
    assert_eq!(line_of(3, i64::MIN).effective_priority_weights(), [i64::from(i32::MIN); 3]);
}
