//! The timeline that a DAG would have under its pools.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;
use windrose_core::asset::Outlet;
use windrose_core::catalog::OperatorKind;
use windrose_core::dag::{Dag, Task};
use windrose_core::mapping::{Expansion, Source};
use windrose_engine::simulate::{Outcomes, SimError, SimReport, simulate};

fn task(id: &str, pool: &str) -> Task {
    let mut task = Task::new(id.into(), "op", OperatorKind::Work);
    pool.clone_into(&mut task.pool);
    task
}

/// `start`, three instances of `load` in the pool `narrow`, `flaky` beside them, and `end`.
fn dag() -> Arc<Dag> {
    let mut tasks = vec![
        Task::new("start".into(), "empty", OperatorKind::Empty),
        task("load", "narrow"),
        task("flaky", "default_pool"),
        task("end", "default_pool"),
    ];
    tasks[1].expansion =
        Some(Expansion::Product(vec![("x".to_owned(), Source::List(vec![json!(1), json!(2), json!(3)]))]));
    tasks[3].outlets = vec![Outlet::Asset { uri: "s3://b/done".into(), extra: serde_json::Map::new() }];
    (tasks[2].retries, tasks[2].retry_delay) = (1, Duration::from_secs(60));
    Arc::new(Dag::new("d".into(), tasks, [(0, 1), (0, 2), (1, 3), (2, 3)]))
}

fn outcomes(slots: i64) -> Outcomes {
    serde_json::from_value(json!({
        "pools": { "narrow": slots },
        "durations": { "load": "2m" },
        "default_duration": "30s",
        "runs": [{ "script": { "flaky": { "attempts": ["fail", "success"] } } }],
    }))
    .unwrap()
}

fn played(slots: i64) -> SimReport {
    simulate(&dag(), &outcomes(slots), &[]).unwrap()
}

fn path(report: &SimReport) -> Vec<&str> {
    let timeline = &report.timelines[0];
    timeline.critical_path.iter().map(|&at| timeline.attempts[at].task.as_str()).collect()
}

#[test]
fn a_pool_makes_tasks_wait_and_a_larger_one_makes_the_run_shorter() {
    let ends: Vec<_> = [1, 2, 3, -1].map(|slots| played(slots).runs[0].end_wave).to_vec();
    assert_eq!(ends, [Some(390), Some(270), Some(150), Some(150)]);
    let narrow = &played(1).pools[1];
    assert_eq!((narrow.pool.as_str(), narrow.slots, narrow.peak, narrow.waited), ("narrow", Some(1), 1, 2));
    assert!((narrow.waiting - 360.0).abs() < 1e-6 && (narrow.average - 1.0).abs() < 1e-6, "{narrow:?}");
    assert_eq!(played(-1).pools[1].slots, None);
}

#[test]
fn the_critical_path_is_what_determined_the_end_with_what_it_waited_for() {
    let report = played(1);
    assert_eq!(path(&report), ["load[2]", "end"]);
    let last = report.timelines[0].attempts.iter().find(|attempt| attempt.task == "load[2]").unwrap();
    assert_eq!(last.waited_for.as_deref(), Some("pool narrow"));
    // With room for all, the retry delay is what takes the time if the work is short.
    let mut outcomes = outcomes(-1);
    outcomes.durations.clear();
    assert_eq!(path(&simulate(&dag(), &outcomes, &[]).unwrap()), ["flaky", "flaky", "end"]);
}

#[test]
fn the_chart_draws_what_runs_and_what_waits() {
    insta::assert_snapshot!(played(1).chart(90));
    insta::assert_snapshot!(played(0).chart(90));
}

#[test]
fn thousands_of_instances_share_a_line() {
    let mut dag = dag().as_ref().clone();
    let list = (0..10_000).map(|number| json!(number)).collect();
    dag.tasks[1].expansion = Some(Expansion::Product(vec![("x".to_owned(), Source::List(list))]));
    dag.max_active_tasks = 20_000;
    let report = simulate(&Arc::new(dag), &outcomes(100), &[]).unwrap();
    let chart = report.chart(100);
    assert!(chart.lines().count() < 20 && chart.contains("load[10000]"), "{chart}");
    assert_eq!(report.pools[1].peak, 100);
}

#[test]
fn what_no_task_uses_is_refused() {
    let mut outcomes = outcomes(1);
    outcomes.pools.insert("narow".to_owned(), 3);
    assert!(matches!(simulate(&dag(), &outcomes, &[]), Err(SimError::UnknownPool { .. })));
    let mut outcomes = self::outcomes(1);
    outcomes.durations.insert("laod".to_owned(), windrose_engine::simulate::Span::Waves(1));
    assert!(matches!(simulate(&dag(), &outcomes, &[]), Err(SimError::UnknownTask { .. })));
    for bad in [r#"{"default_duration": "-5s"}"#, r#"{"durations": {"load": "5 parsecs"}}"#, r#"{"pools": {"a": "x"}}"#]
    {
        assert!(serde_json::from_str::<Outcomes>(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_instant_has_more_in_a_pool_than_its_slots(
        slots in 1..4_i64,
        shapes in proptest::collection::vec((1..120_u64, 1..3_u32, any::<bool>()), 1..12),
    ) {
        let tasks: Vec<Task> = (0..).zip(&shapes).map(|(at, (_, wants, _))| {
            let mut task = task(&format!("t{at}"), "narrow");
            task.pool_slots = *wants;
            task
        }).collect();
        let below = |at: u32, shape: &(u64, u32, bool)| (shape.2 && at > 0).then(|| (at - 1, at));
        let edges: Vec<_> = (0..).zip(&shapes).filter_map(|(at, shape)| below(at, shape)).collect();
        let dag = Arc::new(Dag::new("d".into(), tasks, edges));
        let durations: serde_json::Map<_, _> =
            (0..).zip(&shapes).map(|(at, (seconds, ..))| (format!("t{at}"), json!(format!("{seconds}s")))).collect();
        let outcomes = serde_json::from_value(json!({ "pools": { "narrow": slots }, "durations": durations })).unwrap();
        let report = simulate(&dag, &outcomes, &[]).unwrap();
        let attempts = &report.timelines[0].attempts;
        for at in attempts.iter().map(|attempt| attempt.started) {
            let used: i64 = attempts.iter().filter(|a| a.started <= at && at < a.ended).map(|a| i64::from(a.slots)).sum();
            prop_assert!(used <= slots, "{used} of {slots} at {at}");
        }
        prop_assert!(report.pools[0].peak <= slots);
        // What wants more than there is never begins; all others have their time.
        let fit = shapes.iter().all(|(_, wants, _)| i64::from(*wants) <= slots);
        prop_assert_eq!(fit, report.runs[0].end_wave.is_some());
    }
}
