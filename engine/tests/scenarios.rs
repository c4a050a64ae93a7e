//! What a run does, one behaviour per test.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use support::harness::Harness;
use windrose_core::attempt::AttemptOutcome;
use windrose_core::catalog::OperatorKind;
use windrose_core::cause::Cause;
use windrose_core::dag::{Dag, OnLost, Task};
use windrose_core::ids::AttemptId;
use windrose_core::outcome::{Outcome, RETURN_VALUE, Routing, XCom};
use windrose_core::run_state::RunState;
use windrose_core::task_state::{FinalState, TaskState, TaskStateName};
use windrose_core::time::Timestamp;
use windrose_core::trigger_rule::TriggerRule;
use windrose_engine::explain::{Above, Reason};
use windrose_engine::{
    Effect, Event, MarkedState, PastNews, Plan, PreviousRun, Refused, RunMachine, Selection, TaskSnapshot,
};

/// Tasks in a line, each after the one before.
fn line(ids: &[&str], change: impl Fn(&mut Task)) -> Dag {
    let tasks = ids.iter().map(|&id| {
        let mut task = Task::new(id.into(), "op", OperatorKind::Work);
        change(&mut task);
        task
    });
    let count = u32::try_from(ids.len()).unwrap();
    Dag::new("d".into(), tasks.collect(), (1..count).map(|below| (below - 1, below)))
}

fn failed(retry: bool) -> Outcome {
    Outcome::Failed { cause: Cause::ExitCode { code: 1, last_line: None }, retry }
}

fn clear(task: &str) -> Event {
    let selection = Selection { tasks: vec![task.into()], ..Selection::default() };
    Event::Clear { selection, by: "ann".to_owned() }
}

fn cancelled(harness: &Harness) -> Vec<AttemptId> {
    let attempt = |effect: &Effect| match effect {
        Effect::CancelAttempt { attempt, .. } => Some(*attempt),
        _ => None,
    };
    harness.effects.iter().filter_map(attempt).collect()
}

#[test]
fn the_end_of_a_task_and_the_offer_of_the_next_come_from_the_same_event() {
    let mut run = Harness::started(line(&["a", "b"], |_| {}));
    run.admit();
    run.start("a");
    run.report("a", Outcome::Success, None);
    assert!(run.effects.iter().any(|e| matches!(e, Effect::Offer(c) if c.key.task.as_str() == "b")));
    assert_eq!(run.name("b"), "scheduled");
}

#[test]
fn a_chain_of_empty_tasks_ends_with_the_event_that_starts_it() {
    let run = Harness::started(line(&["a", "b", "c"], |task| task.kind = OperatorKind::Empty));
    assert_eq!(run.machine.state(), RunState::Success);
    assert!(run.machine.tasks().iter().all(|row| row.columns.try_number == 1));
}

#[test]
fn a_run_without_tasks_succeeds() {
    assert_eq!(Harness::started(line(&[], |_| {})).machine.state(), RunState::Success);
}

#[test]
fn a_report_under_an_old_lease_is_refused_and_changes_nothing() {
    let mut run = Harness::started(line(&["a"], |_| {}));
    run.admit();
    let old = run.report_of("a", Outcome::Success, None);
    run.send(Event::Lost { key: run.key("a"), attempt: old.attempt, detail: "gone".to_owned(), reattach: false });
    run.admit();
    let before = run.machine.snapshot();
    let refused = run.machine.handle(run.now, Event::Ended { key: run.key("a"), report: old });
    assert!(matches!(refused, Err(Refused::Task(_))), "{refused:?}");
    assert_eq!(run.machine.snapshot(), before);
    assert_eq!(run.machine.poll_effect(), None);
}

#[test]
fn an_event_for_a_task_that_does_not_exist_is_refused() {
    let mut run = Harness::started(line(&["a"], |_| {}));
    let refused = run.machine.handle(run.now, clear("nosuch")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "DAG 'd' has no task instance 'nosuch' in this run; look the id up with 'windrose dags show d'"
    );
}

#[test]
fn a_failed_try_waits_for_its_delay_and_runs_again() {
    let mut run = Harness::started(line(&["a"], |task| task.retries = 1));
    run.run("a", failed(true));
    assert_eq!(run.name("a"), "up_for_retry");
    assert_eq!(run.machine.poll_timeout(), Some(run.now.plus(Duration::from_secs(300))));
    run.pass_time(Duration::from_secs(299));
    assert_eq!(run.name("a"), "up_for_retry");
    run.pass_time(Duration::from_secs(1));
    assert_eq!(run.name("a"), "scheduled");
    run.run("a", failed(true));
    assert_eq!((run.name("a"), run.machine.state()), ("failed", RunState::Failed));
    assert_eq!(run.machine.task("a").unwrap().columns.try_number, 2);
}

#[test]
fn a_failure_for_which_trying_again_is_pointless_uses_no_retry() {
    let mut run = Harness::started(line(&["a"], |task| task.retries = 3));
    run.run("a", failed(false));
    assert_eq!(run.name("a"), "failed");
}

#[test]
fn only_the_causes_of_retry_on_are_retried() {
    let dag = || line(&["a"], |task| (task.retries, task.retry_on) = (3, Some(vec!["throttled".to_owned()])));
    let mut run = Harness::started(dag());
    run.run("a", failed(true));
    assert_eq!(run.name("a"), "failed");
    let mut run = Harness::started(dag());
    let cause = Cause::Aws {
        service: "s3".to_owned(),
        operation: "GetObject".to_owned(),
        code: "SlowDown".to_owned(),
        message: "slow down".to_owned(),
        request_id: None,
        identity: None,
        throttled: true,
    };
    run.run("a", Outcome::Failed { cause: cause.clone(), retry: true });
    assert_eq!(run.name("a"), "up_for_retry");
    let written = run.effects.iter().find_map(|e| match e {
        Effect::SetTask(change) => change.cause.clone(),
        _ => None,
    });
    assert_eq!(written, Some(cause));
}

#[test]
fn a_lost_attempt_goes_back_to_admission_and_uses_up_no_retry() {
    let mut run = Harness::started(line(&["a"], |_| {}));
    run.admit();
    run.start("a");
    let attempt = run.attempt("a");
    run.send(Event::Lost { key: run.key("a"), attempt, detail: "worker 7 is gone".to_owned(), reattach: false });
    assert_eq!(run.name("a"), "scheduled");
    run.admit();
    assert_eq!(run.machine.task("a").unwrap().columns.try_number, 1);
    assert_ne!(run.attempt("a"), attempt);
}

#[test]
fn a_lost_attempt_that_must_not_run_twice_fails_unless_its_remote_work_can_be_taken_hold_of() {
    for (reattach, state) in [(false, "failed"), (true, "scheduled")] {
        let mut run = Harness::started(line(&["a"], |task| (task.on_lost, task.retries) = (OnLost::Fail, 2)));
        run.admit();
        let attempt = run.attempt("a");
        run.send(Event::Lost { key: run.key("a"), attempt, detail: "gone".to_owned(), reattach });
        assert_eq!(run.name("a"), state);
    }
}

#[test]
fn a_sensor_that_looks_again_keeps_its_try_and_remembers_its_first_look() {
    let mut run = Harness::started(line(&["a"], |_| {}));
    let first = run.now;
    for look in 1..=3 {
        let at = run.now.plus(Duration::from_secs(60));
        run.run("a", Outcome::Reschedule { at });
        let row = run.machine.task("a").unwrap();
        assert_eq!((row.columns.try_number, row.columns.pokes, row.columns.first_poke_at), (1, look, Some(first)));
        assert_eq!(run.machine.explain("a", -1), [Reason::Reschedule { at }]);
        run.pass_time(Duration::from_secs(60));
    }
    run.run("a", Outcome::Success);
    assert_eq!(run.machine.state(), RunState::Success);
}

#[test]
fn a_deferred_attempt_gives_its_slots_back_and_goes_on_when_there_are_some() {
    let mut dag = line(&["a", "b"], |_| {});
    dag = Dag::new("d".into(), dag.tasks, []);
    dag.max_active_tasks = 1;
    let mut run = Harness::started(dag);
    assert_eq!(run.admit(), ["a"]);
    run.start("a");
    run.send(Event::Deferred { key: run.key("a"), attempt: run.attempt("a") });
    assert_eq!(run.admit(), ["b"]);
    let key = run.key("a");
    run.admission.set_deferred(&key, false);
    assert!(run.admission.admit(run.now, 0).is_empty(), "b has the only place");
    run.start("b");
    run.report("b", Outcome::Success, None);
    let admitted = run.admission.admit(run.now, 0);
    assert_eq!(admitted.len(), 1, "an attempt that goes on needs no new worker");
    assert!(admitted[0].resumed);
    run.send(Event::Resumed { key, attempt: run.attempt("a") });
    run.report("a", Outcome::Success, None);
    assert_eq!(run.machine.state(), RunState::Success);
}

#[test]
fn values_of_an_attempt_are_kept_and_those_of_an_earlier_try_are_forgotten() {
    let mut run = Harness::started(line(&["a"], |task| (task.retries, task.retry_delay) = (1, Duration::ZERO)));
    run.admit();
    run.start("a");
    let xcom = XCom { key: RETURN_VALUE.to_owned(), value: 7.into() };
    let report = windrose_core::outcome::Report { xcoms: vec![xcom.clone()], ..run.report_of("a", failed(true), None) };
    run.send(Event::Ended { key: run.key("a"), report });
    assert!(run.effects.contains(&Effect::PushXComs { key: run.key("a"), xcoms: vec![xcom] }));
    run.admit();
    assert!(run.effects.contains(&Effect::ClearXComs(run.key("a"))));
}

#[test]
fn a_branch_that_chooses_what_does_not_exist_fails_and_says_so() {
    let mut run = Harness::started(line(&["a", "b"], |_| {}));
    run.admit();
    run.start("a");
    run.report("a", Outcome::Success, Some(Routing::Follow { ids: vec!["nosuch".into()] }));
    assert_eq!((run.name("a"), run.name("b")), ("failed", "upstream_failed"));
    let sentence = run.effects.iter().find_map(|e| match e {
        Effect::EndAttempt(end) => end.cause.as_ref().map(Cause::sentence),
        _ => None,
    });
    assert!(sentence.unwrap().contains("'nosuch', which this DAG does not hold"));
}

#[test]
fn a_skipped_task_that_is_cleared_without_its_branch_is_skipped_again() {
    let mut run = Harness::started(line(&["a", "b"], |_| {}));
    run.admit();
    run.start("a");
    run.report("a", Outcome::Success, Some(Routing::Follow { ids: vec![] }));
    assert_eq!((run.name("b"), run.machine.state()), ("skipped", RunState::Success));
    run.send(clear("b"));
    assert_eq!(run.machine.state(), RunState::Queued);
    run.send(Event::Start);
    assert_eq!((run.name("b"), run.machine.state()), ("skipped", RunState::Success));
    run.send(clear("a"));
    run.send(Event::Start);
    run.run("a", Outcome::Success);
    assert_eq!(run.name("b"), "skipped", "clearing the branch alone leaves what it skipped");
}

#[test]
fn clearing_a_failed_task_lets_the_run_go_on_with_all_its_retries() {
    let mut run = Harness::started(line(&["a", "b"], |task| (task.retries, task.retry_delay) = (1, Duration::ZERO)));
    run.run("a", failed(true));
    run.run("a", failed(true));
    assert_eq!((run.name("b"), run.machine.state()), ("upstream_failed", RunState::Failed));
    let selection = Selection { tasks: vec!["a".into()], downstream: true, ..Selection::default() };
    run.send(Event::Clear { selection, by: "ann".to_owned() });
    assert_eq!((run.name("a"), run.name("b"), run.machine.state()), ("none", "none", RunState::Queued));
    run.send(Event::Start);
    run.run("a", failed(true));
    assert_eq!(run.name("a"), "scheduled", "the third try may be followed by another one");
    run.run("a", Outcome::Success);
    run.run("b", Outcome::Success);
    assert_eq!(run.machine.state(), RunState::Success);
    let row = run.machine.task("a").unwrap();
    assert_eq!((row.columns.try_number, row.columns.generation), (4, 1));
}

#[test]
fn clearing_only_what_failed_leaves_the_rest() {
    let mut run = Harness::started(line(&["a", "b", "c"], |_| {}));
    run.run("a", Outcome::Success);
    run.run("b", failed(true));
    run.send(Event::Clear { selection: Selection { only_failed: true, ..Selection::default() }, by: "ann".to_owned() });
    assert_eq!((run.name("a"), run.name("b"), run.name("c")), ("success", "none", "none"));
}

#[test]
fn clearing_a_running_task_stops_its_worker() {
    let mut run = Harness::started(line(&["a"], |_| {}));
    run.admit();
    run.start("a");
    let attempt = run.attempt("a");
    run.send(clear("a"));
    assert_eq!(cancelled(&run), [attempt]);
    assert_eq!(run.name("a"), "scheduled");
}

#[test]
fn marking_a_failed_task_successful_lets_what_failed_below_it_run() {
    let mut run = Harness::started(line(&["a", "b"], |_| {}));
    run.run("a", failed(true));
    run.send(Event::MarkTask { key: run.key("a"), state: MarkedState::Success, by: "ann".to_owned() });
    assert_eq!((run.name("a"), run.name("b"), run.machine.state()), ("success", "none", RunState::Queued));
    run.send(Event::Start);
    run.run("b", Outcome::Success);
    assert_eq!(run.machine.state(), RunState::Success);
}

#[test]
fn cancelling_a_run_stops_what_runs_and_skips_what_waits() {
    let mut run = Harness::started(line(&["a", "b"], |_| {}));
    run.admit();
    run.start("a");
    let attempt = run.attempt("a");
    run.send(Event::Cancel { by: "ann".to_owned() });
    assert_eq!(cancelled(&run), [attempt]);
    assert_eq!((run.name("a"), run.name("b"), run.machine.state()), ("failed", "skipped", RunState::Failed));
    let cause = run.effects.iter().find_map(|e| match e {
        Effect::EndAttempt(end) if end.outcome == AttemptOutcome::Cancelled => end.cause.clone(),
        _ => None,
    });
    assert_eq!(cause, Some(Cause::Cancelled { by: "ann".to_owned() }));
}

#[test]
fn a_teardown_still_runs_when_a_person_fails_the_run() {
    let mut dag = line(&["setup", "work", "teardown"], |_| {});
    dag.tasks[0].setup = true;
    dag.tasks[2].teardown = Some(vec!["setup".into()]);
    dag.tasks[2].trigger_rule = TriggerRule::AllDoneSetupSuccess;
    let mut run = Harness::started(Dag::new("d".into(), dag.tasks, [(0, 1), (1, 2), (0, 2)]));
    run.run("setup", Outcome::Success);
    run.admit();
    run.start("work");
    run.send(Event::MarkRun { success: false, by: "ann".to_owned() });
    assert_eq!((run.name("work"), run.name("teardown")), ("failed", "scheduled"));
    run.run("teardown", Outcome::Success);
    assert_eq!(run.machine.state(), RunState::Failed);
}

#[test]
fn marking_a_run_successful_makes_all_its_tasks_successful() {
    let mut run = Harness::started(line(&["a", "b"], |_| {}));
    run.run("a", failed(true));
    run.send(Event::MarkRun { success: true, by: "ann".to_owned() });
    assert_eq!((run.name("a"), run.name("b"), run.machine.state()), ("success", "success", RunState::Success));
}

#[test]
fn a_run_that_takes_longer_than_it_may_fails_and_its_workers_stop() {
    let mut dag = line(&["a", "b"], |_| {});
    dag.dagrun_timeout = Some(Duration::from_secs(60));
    let mut run = Harness::started(dag);
    run.admit();
    run.start("a");
    let attempt = run.attempt("a");
    run.pass_time(Duration::from_secs(60));
    assert_eq!(cancelled(&run), [attempt]);
    assert_eq!((run.name("a"), run.name("b"), run.machine.state()), ("skipped", "skipped", RunState::Failed));
    assert_eq!(run.machine.poll_timeout(), None);
}

#[test]
fn a_task_that_depends_on_the_past_waits_until_it_is_known_and_good() {
    let mut run = Harness::new(line(&["a"], |task| task.depends_on_past = true));
    run.send(Event::Start);
    assert_eq!(run.machine.explain("a", -1), [Reason::PreviousRun { tasks: vec![] }]);
    run.send(Event::PreviousRun(PreviousRun::Tasks(vec![("a".into(), -1, TaskStateName::Running)])));
    assert_eq!(run.machine.explain("a", -1), [Reason::PreviousRun { tasks: vec!["a".into()] }]);
    assert_eq!((run.name("a"), run.machine.state()), ("none", RunState::Running));
    run.send(Event::PreviousTask {
        task: "a".into(),
        news: PastNews::State { map_index: -1, state: TaskStateName::Skipped },
    });
    assert_eq!(run.name("a"), "scheduled");
}

#[test]
fn a_run_in_which_nothing_can_move_any_more_fails() {
    let dag = line(&["a", "b"], |_| {});
    let facts = support::facts_of(&dag, 1);
    let plan = Arc::new(Plan::new(Arc::new(dag)));
    let removed = TaskSnapshot { state: TaskState::Final(FinalState::Removed), ..TaskSnapshot::new("a".into(), 0) };
    let start = Timestamp::from_micros(0);
    let mut machine = RunMachine::restore(plan, facts, RunState::Running, Some(start), None, vec![removed]);
    machine.handle(start, Event::TimerDue).unwrap();
    assert_eq!(machine.state(), RunState::Failed);
}

#[test]
fn a_new_version_removes_what_it_does_not_hold_and_adds_what_is_new() {
    let mut run = Harness::started(line(&["a", "b"], |_| {}));
    let plan = Arc::new(Plan::new(Arc::new(line(&["b", "c"], |_| {}))));
    run.machine.handle(run.now, Event::NewVersion { plan, by: "ann".to_owned() }).unwrap();
    let effects: Vec<Effect> = std::iter::from_fn(|| run.machine.poll_effect()).collect();
    let changes: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::SetTask(change) => Some((change.key.task.as_str(), change.to.name().as_str())),
            Effect::AddTask(key) => Some((key.task.as_str(), "added")),
            Effect::Withdraw(key) => Some((key.task.as_str(), "withdrawn")),
            Effect::Offer(candidate) => Some((candidate.key.task.as_str(), "offered")),
            _ => None,
        })
        .collect();
    let mut expected = [("a", "removed"), ("a", "withdrawn"), ("b", "offered"), ("b", "scheduled"), ("c", "added")];
    let mut got = changes.clone();
    got.sort_unstable();
    expected.sort_unstable();
    assert_eq!(got, expected);
}

#[test]
fn every_reason_why_a_task_waits_is_named() {
    let mut run = Harness::new(line(&["a", "b"], |task| task.depends_on_past = task.id.as_str() == "b"));
    assert_eq!(run.machine.explain("b", -1), [Reason::RunQueued]);
    run.send(Event::Start);
    let above = |state, since| {
        let tasks = vec![Above { task: "a".into(), map_index: -1, state, since }];
        Reason::Upstream { rule: TriggerRule::AllSuccess, tasks }
    };
    let upstream = above(TaskStateName::Scheduled, None);
    assert_eq!(run.machine.explain("a", -1), [Reason::Admission]);
    assert_eq!(run.machine.explain("b", -1), [upstream, Reason::PreviousRun { tasks: vec![] }]);
    run.admit();
    assert_eq!(run.machine.explain("a", -1), [Reason::Queued { attempt: run.attempt("a") }]);
    run.send(Event::PreviousRun(PreviousRun::None));
    run.pass_time(Duration::from_secs(5));
    run.start("a");
    assert_eq!(run.machine.explain("b", -1), [above(TaskStateName::Running, Some(run.now))]);
}

#[test]
fn a_task_whose_fate_is_sealed_while_it_runs_ends_with_the_try_and_not_after_the_delay() {
    let mut run = Harness::started(line(&["a", "b"], |task| task.retries = 1));
    run.run("a", Outcome::Success);
    run.admit();
    run.start("b");
    run.send(Event::MarkTask { key: run.key("a"), state: MarkedState::Skipped, by: "ann".to_owned() });
    run.report("b", failed(true), None);
    assert_eq!((run.name("b"), run.machine.state()), ("skipped", RunState::Success));
}
