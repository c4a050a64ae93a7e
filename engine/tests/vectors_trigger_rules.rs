//! Trigger rules, against what Airflow decides in one scheduler pass.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;
#[path = "../../core/tests/vector_file/mod.rs"]
mod vector_file;

use std::sync::Arc;

use serde_json::Value;
use vector_file::{Family, read_rows};
use windrose_core::catalog::OperatorKind;
use windrose_core::dag::{Dag, Task};
use windrose_core::ids::AttemptId;
use windrose_core::run_state::RunState;
use windrose_core::task_state::{TaskState, TaskStateName};
use windrose_core::time::Timestamp;
use windrose_core::trigger_rule::TriggerRule;
use windrose_engine::{Event, Plan, RunMachine, TaskSnapshot};

const NOW: Timestamp = Timestamp::from_micros(0);

/// What becomes of the last task when the ones before it are in these states.
fn decide(tasks: Vec<Task>, edges: Vec<(u32, u32)>, states: &[&str]) -> &'static str {
    let rows = states.iter().zip(&tasks).map(|(word, task)| {
        let name = TaskStateName::parse(word).unwrap();
        let state = TaskState::from_parts(name, Some(AttemptId(1)), None).unwrap();
        TaskSnapshot { state, ..TaskSnapshot::new(task.id.clone(), 0) }
    });
    let rows = rows.collect();
    let judged = tasks.len() - 1;
    let dag = Dag::new("d".into(), tasks, edges);
    let facts = support::facts_of(&dag, 1);
    let plan = Arc::new(Plan::new(Arc::new(dag)));
    let mut machine = RunMachine::restore(plan, facts, RunState::Running, Some(NOW), None, rows);
    machine.handle(NOW, Event::TimerDue).unwrap();
    match machine.tasks()[judged].state.name() {
        TaskStateName::None => "wait",
        TaskStateName::Scheduled => "run",
        other => other.as_str(),
    }
}

fn task(id: &str, rule: TriggerRule) -> Task {
    let mut task = Task::new(id.into(), "op", OperatorKind::Work);
    task.trigger_rule = rule;
    task
}

fn words(row: &Value) -> Vec<&str> {
    row.as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect()
}

fn compare(what: &str, got: &str, want: &Value) -> Result<(), String> {
    if *want == got { Ok(()) } else { Err(format!("{what}: {got} instead of {want}")) }
}

fn check_rule(row: &Value) -> Result<(), String> {
    let states = words(&row["upstream"]);
    for (name, want) in row["expect"].as_object().unwrap() {
        let rule = TriggerRule::parse(name).unwrap();
        let mut tasks: Vec<Task> = (0..states.len()).map(|i| task(&format!("u{i}"), TriggerRule::AllSuccess)).collect();
        let last = u32::try_from(tasks.len()).unwrap();
        tasks.push(task("t", rule));
        compare(name, decide(tasks, (0..last).map(|u| (u, last)).collect(), &states), want)?;
    }
    Ok(())
}

fn setups(states: &[&str]) -> Vec<Task> {
    (0..states.len())
        .map(|i| {
            let mut setup = task(&format!("s{i}"), TriggerRule::AllSuccess);
            setup.setup = true;
            setup
        })
        .collect()
}

fn check_teardown(row: &Value) -> Result<(), String> {
    let mut states = words(&row["setups"]);
    let mut tasks = setups(&states);
    let count = u32::try_from(tasks.len()).unwrap();
    tasks.push(task("work", TriggerRule::AllSuccess));
    let mut teardown = task("t", TriggerRule::AllDoneSetupSuccess);
    teardown.teardown = Some(tasks[..count as usize].iter().map(|s| s.id.clone()).collect());
    tasks.push(teardown);
    states.push(row["work"].as_str().unwrap());
    let mut edges = vec![(count, count + 1)];
    for setup in 0..count {
        edges.extend([(setup, count), (setup, count + 1)]);
    }
    compare("teardown", decide(tasks, edges, &states), &row["expect"])
}

fn check_work_below_setups(row: &Value) -> Result<(), String> {
    let states = words(&row["setups"]);
    let mut tasks = setups(&states);
    let last = u32::try_from(tasks.len()).unwrap();
    tasks.push(task("work", TriggerRule::AllSuccess));
    compare("work", decide(tasks, (0..last).map(|s| (s, last)).collect(), &states), &row["expect"])
}

#[test]
fn trigger_rules_decide_as_in_airflow() {
    let mut families = ["rule", "teardown", "work_below_setups"].map(|k| Family::new(&format!("trigger_rules: {k}")));
    for row in read_rows("trigger_rules.jsonl") {
        match row["kind"].as_str().unwrap() {
            "rule" => families[0].judge(&row, check_rule),
            "teardown" => families[1].judge(&row, check_teardown),
            "work_below_setups" => families[2].judge(&row, check_work_below_setups),
            other => panic!("unknown kind {other}"),
        }
    }
    Family::finish_kinds("trigger_rules", &families);
}
