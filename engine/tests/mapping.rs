//! Mapped tasks that run again, and mapped groups.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::time::Duration;

use serde_json::Value;
use support::harness::Harness;
use windrose_core::catalog::OperatorKind;
use windrose_core::cause::Cause;
use windrose_core::dag::{Dag, Group, Task};
use windrose_core::mapping::{Expansion, Source};
use windrose_core::outcome::{Outcome, XCom};
use windrose_core::run_state::RunState;
use windrose_engine::{Event, MarkedState, Selection};

fn over(task: &str) -> Option<Expansion> {
    Some(Expansion::Product(vec![("x".to_owned(), Source::XCom(task.into()))]))
}

fn tasks<const N: usize>(ids: [&str; N]) -> Vec<Task> {
    ids.map(|id| Task::new(id.into(), "op", OperatorKind::Work)).to_vec()
}

/// `source`, `m` mapped over it, and `end` below.
fn reduced() -> Dag {
    let mut tasks = tasks(["source", "m", "end"]);
    tasks[1].expansion = over("source");
    Dag::new("d".into(), tasks, [(0, 1), (1, 2)])
}

/// The task returns so many elements.
fn returns(run: &mut Harness, task: &str, length: usize) {
    run.admit();
    run.start(task);
    let value = Value::Array(vec![Value::Null; length]);
    let mut report = run.report_of(task, Outcome::Success, None);
    report.xcoms = vec![XCom { key: "return_value".to_owned(), value }];
    let key = run.key(task);
    run.send(Event::Ended { key, report });
}

fn all(run: &Harness) -> Vec<(String, &'static str)> {
    let mut rows: Vec<_> = run.machine.tasks().iter().map(|t| (t.task.clone(), t.map_index, t.state.name())).collect();
    rows.sort();
    rows.into_iter().map(|(task, index, state)| (format!("{task} {index}"), state.as_str())).collect()
}

fn clear(run: &mut Harness, task: &str) {
    let selection = Selection { tasks: vec![task.into()], downstream: true, ..Selection::default() };
    run.send(Event::Clear { selection, by: "ann".to_owned() });
    if run.machine.state() == RunState::Queued {
        run.send(Event::Start);
    }
}

#[test]
fn a_mapped_task_that_runs_again_follows_the_new_length() {
    let mut run = Harness::started(reduced());
    returns(&mut run, "source", 3);
    for index in ["m[0]", "m[1]", "m[2]", "end"] {
        run.run(index, Outcome::Success);
    }
    assert_eq!(run.machine.state(), RunState::Success);
    clear(&mut run, "source");
    returns(&mut run, "source", 1);
    run.run("m[0]", Outcome::Success);
    run.run("end", Outcome::Success);
    let want =
        [("end -1", "success"), ("m 0", "success"), ("m 1", "removed"), ("m 2", "removed"), ("source -1", "success")];
    assert_eq!(all(&run), want.map(|(name, state)| (name.to_owned(), state)));
    clear(&mut run, "source");
    returns(&mut run, "source", 4);
    for index in ["m[0]", "m[1]", "m[2]", "m[3]", "end"] {
        run.run(index, Outcome::Success);
    }
    assert_eq!(run.machine.state(), RunState::Success);
    assert_eq!(all(&run).len(), 6);
}

#[test]
fn a_run_whose_last_open_instance_is_one_too_many_ends() {
    let mut tasks = tasks(["source", "m"]);
    tasks[1].expansion = over("source");
    (tasks[1].retries, tasks[1].retry_delay) = (1, Duration::from_secs(60));
    let mut run = Harness::started(Dag::new("d".into(), tasks, [(0, 1)]));
    returns(&mut run, "source", 2);
    run.run("m[0]", Outcome::Success);
    let cause = Cause::ExitCode { code: 1, last_line: None };
    run.run("m[1]", Outcome::Failed { cause, retry: true });
    let selection = Selection { tasks: vec!["source".into()], ..Selection::default() };
    run.send(Event::Clear { selection, by: "ann".to_owned() });
    returns(&mut run, "source", 1);
    run.pass_time(Duration::from_secs(60));
    assert_eq!((run.name("m[1]"), run.machine.state()), ("removed", RunState::Success));
}

#[test]
fn a_source_that_returned_nothing_ends_what_is_mapped_over_it() {
    let mut run = Harness::started(reduced());
    let key = run.key("source");
    run.send(Event::MarkTask { key, state: MarkedState::Success, by: "ann".to_owned() });
    assert_eq!((run.name("m"), run.name("end")), ("upstream_failed", "upstream_failed"));
    assert_eq!(run.machine.state(), RunState::Failed);
}

#[test]
fn tasks_of_a_mapped_group_go_together_index_by_index() {
    let mut tasks = tasks(["source", "g.a", "g.b", "end"]);
    for task in &mut tasks[1..3] {
        task.group = Some("g".to_owned());
    }
    let mut dag = Dag::new("d".into(), tasks, [(0, 1), (1, 2), (2, 3)]);
    let group = Group { id: "g".to_owned(), parent: None, tooltip: None, expansion: over("source") };
    dag.groups.insert("g".to_owned(), group);
    let mut run = Harness::started(dag);
    returns(&mut run, "source", 2);
    run.run("g.a[1]", Outcome::Success);
    assert_eq!((run.name("g.b[0]"), run.name("g.b[1]")), ("none", "scheduled"));
    run.run("g.b[1]", Outcome::Success);
    run.run("g.a[0]", Outcome::Skipped { reason: "so".to_owned() });
    assert_eq!((run.name("g.b[0]"), run.name("end")), ("skipped", "skipped"));
    assert_eq!(run.machine.state(), RunState::Success);
}
