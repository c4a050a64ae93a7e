//! A run costs work in proportion to its edges, however large it is.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use windrose_core::catalog::OperatorKind;
use windrose_core::dag::{Dag, Group, Task, WeightRule};
use windrose_core::ids::AttemptId;
use windrose_core::mapping::{Expansion, Source};
use windrose_core::outcome::{Outcome, Report, XCom};
use windrose_core::run_state::RunState;
use windrose_core::time::Timestamp;
use windrose_engine::{Admission, Effect, Event, Plan, RunMachine};

const NOW: Timestamp = Timestamp::from_micros(0);

/// Layers of `width` tasks, each below two tasks of the layer before.
fn layers(width: u32, depth: u32) -> Dag {
    let tasks = (0..width * depth).map(|i| {
        let mut task = Task::new(format!("t{i}").into(), "op", OperatorKind::Work);
        task.weight_rule = WeightRule::Absolute;
        task
    });
    let edges = (width..width * depth).flat_map(|i| {
        let (layer, column) = (i / width, i % width);
        let above = (layer - 1) * width;
        [(above + column, i), (above + (column + 1) % width, i)]
    });
    let mut dag = Dag::new("d".into(), tasks.collect(), edges);
    dag.max_active_tasks = 100;
    dag
}

fn apply_effects(machine: &mut RunMachine, admission: &mut Admission) {
    while let Some(effect) = machine.poll_effect() {
        admission.apply(&effect);
        assert!(!matches!(effect, Effect::CancelAttempt { .. }));
    }
}

/// Runs it to its end; returns the work of the machine and of admission.
fn work_of(dag: Dag, returns: Option<&XCom>) -> (u64, u64) {
    let facts = support::facts_of(&dag, 1);
    let mut admission = Admission::new();
    admission.set_pool("default_pool", -1, false);
    let mut machine = RunMachine::new(Arc::new(Plan::new(Arc::new(dag))), facts);
    machine.handle(NOW, Event::Start).unwrap();
    apply_effects(&mut machine, &mut admission);
    let mut attempts = 0;
    while machine.state() == RunState::Running {
        for one in admission.admit(NOW, usize::MAX) {
            attempts += 1;
            let (key, attempt) = (one.candidate.key, AttemptId(attempts));
            machine.handle(NOW, Event::Dispatched { key: key.clone(), attempt }).unwrap();
            let report = Report {
                attempt,
                outcome: Outcome::Success,
                xcoms: returns.filter(|_| key.task.as_str() == "source").cloned().into_iter().collect(),
                routing: None,
                assets: vec![],
                started_at: NOW,
                ended_at: NOW,
            };
            machine.handle(NOW, Event::Ended { key, report }).unwrap();
            apply_effects(&mut machine, &mut admission);
        }
    }
    assert_eq!(machine.state(), RunState::Success);
    (machine.work(), admission.work())
}

#[test]
fn a_run_of_a_hundred_thousand_tasks_stays_linear() {
    let (tasks, edges) = (100_000, 2 * 99_000);
    let (machine, admission) = work_of(layers(1000, 100), None);
    // Every task is judged when the run starts and whenever something above it ends; every edge is counted once.
    assert!(machine <= tasks + 2 * edges, "{machine} steps");
    assert!(admission <= 10 * tasks, "{admission} looks");
}

/// One task, a task mapped over it, a mapped group of two, and a task below all.
fn mapped() -> Dag {
    let over = || Some(Expansion::Product(vec![("x".to_owned(), Source::XCom("source".into()))]));
    let task = |id: &str| Task::new(id.into(), "op", OperatorKind::Work);
    let mut tasks = ["source", "m", "g.first", "g.second", "reduce"].map(task).to_vec();
    tasks[1].expansion = over();
    tasks[2].group = Some("g".to_owned());
    tasks[3].group = Some("g".to_owned());
    let mut dag = Dag::new("d".into(), tasks, [(0, 1), (0, 2), (2, 3), (1, 4), (3, 4)]);
    dag.groups.insert("g".to_owned(), Group { id: "g".to_owned(), parent: None, tooltip: None, expansion: over() });
    dag.max_active_tasks = 100;
    dag
}

#[test]
fn an_instance_of_a_mapped_task_costs_the_same_however_many_there_are() {
    let of = |length: usize| {
        let value = serde_json::Value::Array(vec![serde_json::Value::Null; length]);
        work_of(mapped(), Some(&XCom { key: "return_value".to_owned(), value }))
    };
    let ((few, few_looks), (many, many_looks)) = (of(100), of(10_000));
    assert!(many <= 110 * few, "{few} steps for 100, {many} for 10,000");
    assert!(many_looks <= 110 * few_looks, "{few_looks} looks for 100, {many_looks} for 10,000");
}
