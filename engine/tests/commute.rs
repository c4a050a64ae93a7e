//! Independent events commute: in whatever order reports of tasks arrive that have nothing downstream in common, the run is
//! the same afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;

use proptest::prelude::*;
use support::harness::{Harness, Rows};
use support::random_dag::any_dag;
use windrose_core::catalog::OperatorKind;
use windrose_core::cause::Cause;
use windrose_core::dag::{Dag, Task};
use windrose_core::outcome::{Outcome, Routing};
use windrose_core::task_state::TaskStateName;
use windrose_engine::{Event, RunSnapshot};

type End = (Outcome, Option<Routing>);

/// A task and all that is downstream of it.
fn closure(dag: &Dag, task: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::from([task]);
    let mut open = vec![task];
    while let Some(at) = open.pop() {
        open.extend(dag.downstream(at).into_iter().filter(|below| found.insert(*below)));
    }
    found
}

/// Neither is downstream of the other, and nothing is downstream of both; or both end well, which no rule can tell apart.
fn independent(dag: &Dag, one: (usize, &End), other: (usize, &End)) -> bool {
    let plain = |end: &End| matches!(end, (Outcome::Success, None));
    let failed = |end: &End| matches!(end.0, Outcome::Failed { .. });
    let stops_others = dag.fail_fast && (failed(one.1) || failed(other.1));
    let apart = closure(dag, one.0).is_disjoint(&closure(dag, other.0));
    !stops_others && (apart || plain(one.1) && plain(other.1))
}

fn after(harness: &Harness, events: [&Event; 2]) -> RunSnapshot {
    let mut machine = harness.copy_of_machine();
    for event in events {
        machine.handle(harness.now, event.clone()).unwrap();
    }
    Rows::sorted(machine.snapshot())
}

/// Both orders of two reports.
fn both_orders(harness: &Harness, ends: [(&str, End); 2]) -> [RunSnapshot; 2] {
    let [one, other] = ends.map(|(task, (outcome, routing))| Event::Ended {
        key: harness.key(task),
        report: harness.report_of(task, outcome, routing),
    });
    [after(harness, [&one, &other]), after(harness, [&other, &one])]
}

/// Compares both orders for each independent pair of running task instances; how many there were.
fn compare_pairs(harness: &Harness, kinds: &[(u32, u32)]) -> Result<usize, TestCaseError> {
    let dag = harness.plan.dag();
    let rows = harness.machine.tasks().iter().filter(|row| row.state.name() == TaskStateName::Running);
    let named = rows.zip(kinds.iter().cycle()).map(|(row, &(what, which))| {
        let name = if row.map_index < 0 { row.task.to_string() } else { format!("{}[{}]", row.task, row.map_index) };
        (dag.position(row.task.as_str()).unwrap(), name, harness.any_end(what, which))
    });
    let running: Vec<(usize, String, End)> = named.collect();
    let mut compared = 0;
    for (at, one) in running.iter().enumerate() {
        for other in &running[at + 1..] {
            if independent(dag, (one.0, &one.2), (other.0, &other.2)) {
                let [here, there] = both_orders(harness, [(&one.1, one.2.clone()), (&other.1, other.2.clone())]);
                prop_assert_eq!(here, there, "{:?} and {:?}", one, other);
                compared += 1;
            }
        }
    }
    Ok(compared)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn independent_reports_commute(
        dag in any_dag(),
        choices in proptest::collection::vec(any::<u32>(), 0..60),
        kinds in proptest::collection::vec((13..24_u32, any::<u32>()), 1..6),
    ) {
        let mut harness = Harness::started(dag);
        compare_pairs(&harness, &kinds)?;
        for choice in choices {
            harness.step(choice);
            compare_pairs(&harness, &kinds)?;
        }
    }
}

fn failed() -> End {
    (Outcome::Failed { cause: Cause::Failed { message: "no".to_owned() }, retry: false }, None)
}

/// The first two run; the third is below both, or below the first one only.
fn two_above(edges: &[(u32, u32)]) -> Harness {
    let task = |id: &str| Task::new(id.into(), "op", OperatorKind::Work);
    let dag = Dag::new("d".into(), vec![task("a"), task("b"), task("c")], edges.iter().copied());
    let mut harness = Harness::started(dag);
    harness.admit();
    harness.start("a");
    harness.start("b");
    harness
}

#[test]
fn what_is_compared_can_differ_and_does_where_tasks_have_something_in_common() {
    let skipped = || (Outcome::Skipped { reason: "so".to_owned() }, None);
    // As in Airflow, all_success is settled by the first of them.
    let common = two_above(&[(0, 2), (1, 2)]);
    let [skip_first, fail_first] = both_orders(&common, [("a", skipped()), ("b", failed())]);
    let state = |snapshot: &RunSnapshot| snapshot.tasks[2].state.name();
    assert_eq!([state(&skip_first), state(&fail_first)], [TaskStateName::Skipped, TaskStateName::UpstreamFailed]);
    let apart = two_above(&[(0, 2)]);
    assert_eq!(compare_pairs(&apart, &[(17, 0), (16, 0)]).unwrap(), 1);
}
