//! What people may select, what a rehearsal says of it, and that it says what then happens.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use support::harness::Harness;
use windrose_core::catalog::OperatorKind;
use windrose_core::cause::Cause;
use windrose_core::dag::{Dag, Task};
use windrose_core::outcome::Outcome;
use windrose_core::run_state::RunState;
use windrose_core::task_state::TaskStateName;
use windrose_engine::{Event, MarkedState, RunMachine, Selection};

/// a → b → c, and d alone.
fn dag() -> Dag {
    let task = |id: &str| Task::new(id.into(), "op", OperatorKind::Work);
    Dag::new("d".into(), vec![task("a"), task("b"), task("c"), task("d")], [(0, 1), (1, 2)])
}

fn failed() -> Outcome {
    Outcome::Failed { cause: Cause::ExitCode { code: 1, last_line: None }, retry: false }
}

/// a succeeded, b failed, c could not run, d runs.
fn half_done() -> Harness {
    let mut run = Harness::started(dag());
    run.admit();
    run.run("a", Outcome::Success);
    run.start("d");
    run.run("b", failed());
    run
}

fn copy(machine: &RunMachine) -> RunMachine {
    let rows = machine.snapshot();
    let (plan, facts) = (machine.plan().clone(), machine.facts().clone());
    RunMachine::restore(plan, facts, rows.state, rows.started_at, rows.ended_at, rows.tasks)
}

fn select(tasks: &[&str]) -> Selection {
    Selection { tasks: tasks.iter().map(|&task| task.into()).collect(), ..Selection::default() }
}

fn planned(run: &Harness, event: Event) -> Vec<(String, &'static str)> {
    let rehearsal = copy(&run.machine).rehearse(run.now, vec![event]).unwrap();
    rehearsal.changes.iter().map(|change| (change.task.to_string(), change.to.as_str())).collect()
}

fn cleared(run: &Harness, selection: Selection) -> Vec<String> {
    planned(run, Event::Clear { selection, by: "ann".to_owned() }).into_iter().map(|(task, _)| task).collect()
}

#[test]
fn every_filter_narrows_a_selection_and_every_direction_widens_it() {
    let run = half_done();
    let all = Selection::default;
    assert_eq!(cleared(&run, all()), ["a", "b", "c", "d"]);
    assert_eq!(cleared(&run, select(&["b"])), ["b"]);
    assert_eq!(cleared(&run, Selection { upstream: true, ..select(&["b"]) }), ["a", "b"]);
    assert_eq!(cleared(&run, Selection { downstream: true, ..select(&["b"]) }), ["b", "c"]);
    assert_eq!(cleared(&run, Selection { upstream: true, downstream: true, ..select(&["b"]) }), ["a", "b", "c"]);
    assert_eq!(cleared(&run, Selection { only_failed: true, ..all() }), ["b", "c"]);
    assert_eq!(cleared(&run, Selection { only_running: true, ..all() }), ["d"]);
    assert_eq!(cleared(&run, Selection { only_failed: true, only_running: true, ..all() }), ["b", "c", "d"]);
    assert_eq!(cleared(&run, Selection { only_failed: true, ..select(&["a", "c"]) }), ["c"]);
    let missing = Event::Clear { selection: Selection { map_indexes: vec![3], ..select(&["b"]) }, by: String::new() };
    let said = copy(&run.machine).rehearse(run.now, vec![missing]).unwrap_err().to_string();
    assert!(said.contains("no task instance 'b[3]'"), "{said}");
}

#[test]
fn work_that_is_cleared_takes_its_setups_and_their_teardowns_along() {
    // make → load → report → drop, and make → drop; open has no teardown and stands above report; far is elsewhere.
    let task = |id: &str| Task::new(id.into(), "op", OperatorKind::Work);
    let ids = ["make", "load", "report", "drop", "open", "far"];
    let mut tasks: Vec<Task> = ids.into_iter().map(task).collect();
    (tasks[0].setup, tasks[4].setup) = (true, true);
    tasks[3].teardown = Some(vec!["make".into()]);
    let mut run = Harness::started(Dag::new("d".into(), tasks, [(0, 1), (1, 2), (2, 3), (0, 3), (4, 2)]));
    for task in ["make", "open", "far", "load", "report", "drop"] {
        run.admit();
        run.run(task, Outcome::Success);
    }
    let along = |named: &[&str]| cleared(&run, select(named));
    assert_eq!(along(&["report"]), ["make", "report", "drop", "open"]);
    assert_eq!(along(&["load"]), ["make", "load", "drop"]);
    assert_eq!(along(&["make"]), ["make", "drop"]);
    assert_eq!(along(&["drop"]), ["drop"]);
    assert_eq!(along(&["far"]), ["far"]);
}

#[test]
fn marking_leaves_what_is_so_already_and_clears_what_failed_below() {
    let run = half_done();
    let mark = |selection, state| planned(&run, Event::MarkTasks { selection, state, by: "ann".to_owned() });
    assert_eq!(mark(select(&["b"]), MarkedState::Success), [("b".to_owned(), "success"), ("c".to_owned(), "none")]);
    assert_eq!(mark(select(&["b"]), MarkedState::Failed), [("c".to_owned(), "none")]);
    let both = mark(select(&["b", "c"]), MarkedState::Skipped);
    assert_eq!(both, [("b".to_owned(), "skipped"), ("c".to_owned(), "skipped")]);
    assert_eq!(mark(select(&["a"]), MarkedState::Success), [("b".to_owned(), "none"), ("c".to_owned(), "none")]);
}

#[test]
fn a_rehearsal_says_what_stops_and_where_the_run_goes() {
    let run = half_done();
    let event = Event::Clear { selection: select(&["d"]), by: "ann".to_owned() };
    let rehearsal = copy(&run.machine).rehearse(run.now, vec![event]).unwrap();
    let change = &rehearsal.changes[0];
    assert_eq!((change.from, change.to, change.stops), (Some(TaskStateName::Running), TaskStateName::None, true));
    assert_eq!((rehearsal.from, rehearsal.to), (RunState::Running, RunState::Running));
    let cancel = copy(&run.machine).rehearse(run.now, vec![Event::MarkRun { success: false, by: "ann".to_owned() }]);
    assert_eq!(cancel.unwrap().to, RunState::Failed);
}

fn any_selection() -> impl Strategy<Value = Selection> {
    let names = proptest::sample::subsequence(vec!["a", "b", "c", "d"], 0..=4);
    (names, any::<[bool; 4]>()).prop_map(|(names, [upstream, downstream, only_failed, only_running])| Selection {
        upstream,
        downstream,
        only_failed,
        only_running,
        ..select(&names)
    })
}

proptest! {
    #[test]
    fn what_is_rehearsed_is_what_is_done(selection in any_selection(), mark in 0_usize..4) {
        let mut run = half_done();
        let by = "ann".to_owned();
        let event = match mark {
            0 => Event::Clear { selection, by },
            n => {
                let state = [MarkedState::Success, MarkedState::Failed, MarkedState::Skipped][n - 1];
                Event::MarkTasks { selection, state, by }
            }
        };
        let rehearsal = copy(&run.machine).rehearse(run.now, vec![event.clone()]).unwrap();
        let rows = |machine: &RunMachine| -> BTreeMap<_, _> {
            machine.tasks().iter().map(|t| (t.task.to_string(), (t.state.name(), t.columns.generation))).collect()
        };
        let before = rows(&run.machine);
        run.send(event);
        let after = rows(&run.machine);
        for (task, was) in before {
            let change = rehearsal.changes.iter().find(|change| change.task.as_str() == task);
            let is = after[&task];
            match change {
                // What is cleared is decided again at once in a run that goes on.
                Some(change) if change.to == TaskStateName::None => prop_assert_eq!(is.1, was.1 + 1),
                Some(change) => prop_assert_eq!(is.0, change.to),
                None => prop_assert_eq!((is.1, is.0), (was.1, was.0), "{} is not in the plan", task),
            }
        }
    }
}
