//! Each missed deadline is found once, never early, and whenever somebody looks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::Map;
use windrose_core::dag::Dag;
use windrose_core::deadline::{By, Condition, Deadline, Reference};
use windrose_core::ids::{DagId, RunKey};
use windrose_core::run::RunFacts;
use windrose_core::run_state::RunType;
use windrose_core::time::Timestamp;
use windrose_engine::deadline::{Deadlines, MISSED_PER_CALL, Missed, WatchedDag, WatchedRun};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_704_067_200_000_000).plus(Duration::from_secs(seconds))
}

fn after(reference: Reference, seconds: i64) -> By {
    By::After { reference, offset: seconds * 1_000_000 }
}

fn dag(conditions: impl IntoIterator<Item = Condition>) -> Arc<Dag> {
    let mut dag = Dag::new(DagId::from("etl"), Vec::new(), []);
    let named = |(number, condition): (usize, Condition)| Deadline {
        name: format!("{number} {}", condition.field()),
        condition,
        notifiers: Vec::new(),
    };
    dag.deadlines = conditions.into_iter().enumerate().map(named).collect();
    Arc::new(dag)
}

fn run(dag: &Arc<Dag>, key: i64, run_after: u64) -> WatchedRun {
    let facts = RunFacts {
        key: RunKey(key),
        dag_id: dag.dag_id.clone(),
        run_id: format!("r{key}").into(),
        run_type: RunType::Scheduled,
        logical_date: None,
        data_interval: None,
        run_after: at(run_after),
        conf: Map::new(),
        dag_version: String::new(),
        triggered_by: String::new(),
    };
    WatchedRun {
        dag: Arc::clone(dag),
        facts: Arc::new(facts),
        queued_at: at(run_after),
        started_at: None,
        cleared: false,
        dag_since: None,
        averages: vec![None; dag.deadlines.len()],
        told: Vec::new(),
    }
}

fn of_type(mut watched: WatchedRun, run_type: RunType) -> WatchedRun {
    watched.facts = Arc::new(RunFacts { run_type, ..watched.facts.as_ref().clone() });
    watched
}

/// All that is missed now, over as many calls as it takes.
fn missed(deadlines: &mut Deadlines, now: Timestamp) -> Vec<Missed> {
    let mut found = Vec::new();
    while deadlines.poll_timeout().is_some_and(|due| due <= now) {
        found.extend(deadlines.due(now));
    }
    found
}

fn names(missed: &[Missed]) -> Vec<String> {
    missed.iter().map(|missed| missed.deadline().name.clone()).collect()
}

#[test]
fn a_run_that_begins_and_ends_in_time_misses_nothing() {
    let both = dag([
        Condition::NotStartedBy(after(Reference::RunAfter, 10)),
        Condition::NotDoneBy(after(Reference::RunAfter, 20)),
    ]);
    let mut deadlines = Deadlines::default();
    deadlines.watch_run(run(&both, 1, 0));
    assert_eq!(deadlines.poll_timeout(), Some(at(10).plus(Duration::from_micros(1))));
    deadlines.run_started(RunKey(1), at(10));
    assert_eq!(names(&missed(&mut deadlines, at(20))), [""; 0]);
    deadlines.run_ended(RunKey(1), at(20));
    assert_eq!(names(&missed(&mut deadlines, at(1000))), [""; 0]);
    assert_eq!(deadlines.poll_timeout(), None);
}

#[test]
fn a_run_that_never_begins_misses_both_each_once() {
    let both = dag([
        Condition::NotStartedBy(after(Reference::RunAfter, 10)),
        Condition::NotDoneBy(after(Reference::RunAfter, 20)),
    ]);
    let mut deadlines = Deadlines::default();
    deadlines.watch_run(run(&both, 1, 0));
    assert_eq!(names(&missed(&mut deadlines, at(15))), ["0 not_started_by"]);
    assert_eq!(names(&missed(&mut deadlines, at(30))), ["1 not_done_by"]);
    deadlines.run_started(RunKey(1), at(40));
    deadlines.run_ended(RunKey(1), at(50));
    assert_eq!(names(&missed(&mut deadlines, at(60))), [""; 0]);
}

#[test]
fn what_happens_too_late_is_missed_even_if_nobody_looked_in_between() {
    let both = dag([
        Condition::NotStartedBy(after(Reference::RunAfter, 10)),
        Condition::NotDoneBy(after(Reference::RunAfter, 20)),
    ]);
    let mut deadlines = Deadlines::default();
    deadlines.watch_run(run(&both, 1, 0));
    deadlines.run_started(RunKey(1), at(11));
    deadlines.run_ended(RunKey(1), at(21));
    let found = missed(&mut deadlines, at(21));
    assert_eq!(names(&found), ["0 not_started_by", "1 not_done_by"]);
    assert_eq!(found.iter().map(|missed| missed.happened_at).collect::<Vec<_>>(), [Some(at(11)), Some(at(21))]);
}

#[test]
fn a_run_that_a_schedule_owes_is_late_although_it_was_made_too_late() {
    let done = dag([Condition::NotDoneBy(after(Reference::RunAfter, 10))]);
    let late = WatchedRun { queued_at: at(100), ..run(&done, 1, 0) };
    let found = |watched: WatchedRun| {
        let mut deadlines = Deadlines::default();
        deadlines.watch_run(watched);
        missed(&mut deadlines, at(1000)).len()
    };
    assert_eq!(found(late.clone()), 1, "the scheduler was down");
    assert_eq!(found(WatchedRun { dag_since: Some(at(50)), ..late.clone() }), 0, "the DAG was paused or unknown then");
    assert_eq!(found(WatchedRun { dag_since: Some(at(5)), ..late.clone() }), 1);
    assert_eq!(found(WatchedRun { cleared: true, ..late.clone() }), 0, "somebody cleared it after that");
    assert_eq!(found(of_type(late.clone(), RunType::Backfill)), 0, "a date of the past");
    assert_eq!(found(of_type(late, RunType::Manual)), 0);
    let fixed = dag([Condition::NotDoneBy(after(Reference::At(at(50)), 0))]);
    assert_eq!(found(run(&fixed, 1, 0)), 1);
    assert_eq!(found(WatchedRun { queued_at: at(60), ..run(&fixed, 1, 60) }), 0, "it is over for later runs");
}

#[test]
fn a_deadline_from_the_start_counts_once_the_run_has_started() {
    let done = dag([Condition::NotDoneBy(after(Reference::StartedAt, 10))]);
    let mut deadlines = Deadlines::default();
    deadlines.watch_run(run(&done, 1, 0));
    assert_eq!(deadlines.poll_timeout(), None);
    deadlines.run_started(RunKey(1), at(100));
    assert_eq!(deadlines.of_run(RunKey(1)).len(), 1);
    assert_eq!(missed(&mut deadlines, at(110)).len(), 0);
    let found = missed(&mut deadlines, at(111));
    assert_eq!(found.iter().map(|missed| missed.due.counted_from).collect::<Vec<_>>(), [at(100)]);
    // After a restart it is known to have started.
    deadlines.watch_run(WatchedRun { started_at: Some(at(100)), ..run(&done, 1, 0) });
    assert_eq!(missed(&mut deadlines, at(111)).len(), 1);
}

#[test]
fn a_cleared_run_is_told_of_again_only_for_what_counts_anew() {
    let both = dag([
        Condition::NotDoneBy(after(Reference::RunAfter, 10)),
        Condition::NotDoneBy(after(Reference::QueuedAt, 10)),
    ]);
    let mut deadlines = Deadlines::default();
    deadlines.watch_run(run(&both, 1, 0));
    let found = missed(&mut deadlines, at(11));
    assert_eq!(found.len(), 2);
    deadlines.run_ended(RunKey(1), at(12));
    let told = found.iter().map(|missed| (missed.deadline().name.clone(), missed.due.counted_from)).collect();
    deadlines.watch_run(WatchedRun { queued_at: at(100), cleared: true, told, ..run(&both, 1, 0) });
    assert_eq!(names(&missed(&mut deadlines, at(200))), ["1 not_done_by"]);
}

#[test]
fn no_success_since_is_found_once_until_the_next_success() {
    let fresh = dag([Condition::NoSuccessSince(Duration::from_secs(10))]);
    let watched = WatchedDag { dag: Arc::clone(&fresh), since: at(0), last_success: None, told: Vec::new() };
    let mut deadlines = Deadlines::default();
    deadlines.watch_dag(&fresh.dag_id, watched.clone());
    assert_eq!(missed(&mut deadlines, at(10)).len(), 0);
    assert_eq!(missed(&mut deadlines, at(11)).len(), 1);
    assert_eq!(missed(&mut deadlines, at(100)).len(), 0);
    deadlines.dag_succeeded(&fresh.dag_id, at(105));
    assert_eq!(missed(&mut deadlines, at(115)).len(), 0);
    let found = missed(&mut deadlines, at(116));
    assert_eq!(found.iter().map(|missed| missed.due.counted_from).collect::<Vec<_>>(), [at(105)]);

    let told = vec![("0 no_success_since".to_owned(), at(105))];
    deadlines.watch_dag(&fresh.dag_id, WatchedDag { last_success: Some(at(105)), told, ..watched.clone() });
    assert_eq!(missed(&mut deadlines, at(200)).len(), 0, "not again after a restart");
    deadlines.watch_dag(&fresh.dag_id, watched);
    deadlines.forget_dag(&fresh.dag_id);
    assert_eq!(missed(&mut deadlines, at(200)).len(), 0, "paused");
}

#[test]
fn no_success_since_keeps_to_the_dates_of_the_dag() {
    let dated = |start_date, end_date| {
        let mut dag = dag([Condition::NoSuccessSince(Duration::from_secs(10))]).as_ref().clone();
        (dag.start_date, dag.end_date) = (start_date, end_date);
        let mut deadlines = Deadlines::default();
        let id = dag.dag_id.clone();
        deadlines.watch_dag(&id, WatchedDag { dag: Arc::new(dag), since: at(0), last_success: None, told: Vec::new() });
        deadlines.of_dag(&id).first().map(|(_, due)| due.at)
    };
    assert_eq!(dated(None, None), Some(at(10)));
    assert_eq!(dated(Some(at(100)), None), Some(at(110)), "never before its beginning");
    assert_eq!(dated(None, Some(at(5))), None, "nor after its end");
}

#[test]
fn a_flood_is_named_in_parts() {
    let done = dag([Condition::NotDoneBy(after(Reference::RunAfter, 10))]);
    let mut deadlines = Deadlines::default();
    let count = MISSED_PER_CALL + 5;
    (0..i64::try_from(count).unwrap()).for_each(|key| deadlines.watch_run(run(&done, key, 0)));
    assert_eq!(deadlines.due(at(100)).len(), MISSED_PER_CALL);
    assert!(deadlines.poll_timeout().unwrap() <= at(100));
    assert_eq!(deadlines.due(at(100)).len(), 5);
    assert_eq!(deadlines.poll_timeout(), None);
}

/// What the rows of a run say.
#[derive(Debug, Clone, Default)]
struct Row {
    run_after: u64,
    started_at: Option<u64>,
    ended_at: Option<u64>,
}

#[derive(Debug, Clone)]
enum Step {
    Create,
    Start(usize),
    End(usize, bool),
    Pass(u64),
    Look,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Create),
        3 => (0..8_usize).prop_map(Step::Start),
        3 => (0..8_usize, any::<bool>()).prop_map(|(run, well)| Step::End(run, well)),
        5 => (1..15_u64).prop_map(Step::Pass),
        3 => Just(Step::Look),
        2 => Just(Step::Restart),
    ]
}

/// As rows would make it.
fn restarted(dag: &Arc<Dag>, rows: &[Row], last_success: Option<u64>, told: &BTreeMap<Told, u64>) -> Deadlines {
    let told_of = |run: Option<i64>| {
        told.keys().filter(|of| of.run == run).map(|of| (of.name.clone(), of.counted_from)).collect::<Vec<_>>()
    };
    let mut deadlines = Deadlines::default();
    for (key, row) in (0_i64..).zip(rows).filter(|(_, row)| row.ended_at.is_none()) {
        let started_at = row.started_at.map(at);
        deadlines.watch_run(WatchedRun { started_at, told: told_of(Some(key)), ..run(dag, key, row.run_after) });
    }
    let last_success = last_success.map(at);
    deadlines
        .watch_dag(&dag.dag_id, WatchedDag { dag: Arc::clone(dag), since: at(0), last_success, told: told_of(None) });
    deadlines
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    run: Option<i64>,
    name: String,
    counted_from: Timestamp,
}

/// What must have been told by now, by definition.
fn expected(rows: &[Row], successes: &[u64], now: u64) -> Vec<Told> {
    let mut all = Vec::new();
    let mut add = |run, name: &str, counted_from, limit: u64, happened: Option<u64>| {
        if happened.unwrap_or(now) > counted_from + limit {
            all.push(Told { run, name: name.to_owned(), counted_from: at(counted_from) });
        }
    };
    for (key, row) in (0_i64..).zip(rows) {
        add(Some(key), "0 not_started_by", row.run_after, 10, row.started_at.or(row.ended_at));
        add(Some(key), "1 not_done_by", row.run_after, 20, row.ended_at);
        if let Some(started) = row.started_at {
            add(Some(key), "2 not_done_by", started, 15, row.ended_at);
        }
    }
    let from: Vec<u64> = std::iter::once(0).chain(successes.iter().copied()).collect();
    for (place, &counted_from) in from.iter().enumerate() {
        add(None, "3 no_success_since", counted_from, 25, from.get(place + 1).copied());
    }
    all.sort();
    all.dedup();
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_order_of_events_looks_and_restarts_each_is_told_of_once_and_none_too_early(
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let dag = dag([
            Condition::NotStartedBy(after(Reference::RunAfter, 10)),
            Condition::NotDoneBy(after(Reference::RunAfter, 20)),
            Condition::NotDoneBy(after(Reference::StartedAt, 15)),
            Condition::NoSuccessSince(Duration::from_secs(25)),
        ]);
        let (mut now, mut rows, mut successes) = (0, Vec::<Row>::new(), Vec::<u64>::new());
        let mut told = BTreeMap::<Told, u64>::new();
        let mut deadlines = restarted(&dag, &rows, None, &told);
        for step in steps.into_iter().chain([Step::Look]) {
            match step {
                Step::Create => {
                    deadlines.watch_run(run(&dag, i64::try_from(rows.len()).unwrap(), now));
                    rows.push(Row { run_after: now, ..Row::default() });
                }
                Step::Start(key) => {
                    let Some(row) = rows.get_mut(key).filter(|row| row.started_at.or(row.ended_at).is_none()) else { continue };
                    row.started_at = Some(now);
                    deadlines.run_started(RunKey(i64::try_from(key).unwrap()), at(now));
                }
                Step::End(key, well) => {
                    let Some(row) = rows.get_mut(key).filter(|row| row.ended_at.is_none()) else { continue };
                    row.ended_at = Some(now);
                    deadlines.run_ended(RunKey(i64::try_from(key).unwrap()), at(now));
                    if well {
                        deadlines.dag_succeeded(&dag.dag_id, at(now));
                        successes.push(now);
                    }
                }
                // Nobody looks, as when the scheduler is down or busy.
                Step::Pass(seconds) => {
                    now += seconds;
                    continue;
                }
                Step::Look => {}
                Step::Restart => deadlines = restarted(&dag, &rows, successes.iter().max().copied(), &told),
            }
            // What is found is committed with the event itself.
            for found in missed(&mut deadlines, at(now)) {
                let run = found.run.as_ref().map(|run| run.key.0);
                let of = Told { run, name: found.deadline().name.clone(), counted_from: found.due.counted_from };
                prop_assert!(found.due.at < at(now), "too early: {of:?} at {now}");
                prop_assert!(told.insert(of.clone(), now).is_none(), "told twice: {of:?}");
            }
            prop_assert_eq!(told.keys().cloned().collect::<Vec<_>>(), expected(&rows, &successes, now));
        }
    }
}
