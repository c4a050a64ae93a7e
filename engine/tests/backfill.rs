//! Which dates a backfill has, and what it does with each.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use proptest::prelude::*;
use windrose_core::backfill::{BackfillStep, NoRun, Reprocess};
use windrose_core::catalog::OperatorKind;
use windrose_core::dag::{Catchup, Dag, Schedule, Task};
use windrose_core::run_state::{RunState, RunType};
use windrose_core::time::Timestamp;
use windrose_engine::backfill::{Refusal, Request, dates, run_id_of, step};
use windrose_engine::{Admission, Event, Plan, RunMachine};

const DAY: i64 = 86_400_000_000;
/// 2026-01-01T00:00Z.
const START: i64 = 1_767_225_600_000_000;

fn day(number: i64) -> Timestamp {
    Timestamp::from_micros(START + (number - 1) * DAY)
}

fn daily(data_interval: bool) -> Dag {
    let task = Task::new("a".into(), "op", OperatorKind::Work);
    let mut dag = Dag::new("d".into(), vec![task], []);
    dag.schedule = Schedule::Cron { expressions: vec!["0 0 * * *".to_owned()], timezone: None, data_interval };
    dag
}

fn request(from: i64, to: i64) -> Request {
    Request { from: day(from), to: day(to), backwards: false, reprocess: Reprocess::None, max_active_runs: 10 }
}

#[test]
fn both_ends_of_the_range_count_and_the_dags_own_dates_do_not() {
    let mut dag = daily(false);
    (dag.start_date, dag.end_date, dag.catchup) = (Some(day(100)), Some(day(200)), Catchup::No);
    let found = dates(&dag, &request(2, 4), day(50)).unwrap();
    let found_dates: Vec<_> = found.iter().map(|run| run.logical_date.unwrap()).collect();
    assert_eq!(found_dates, [day(2), day(3), day(4)]);
    assert_eq!(run_id_of(&found[0]).as_str(), "backfill__2026-01-02T00:00:00+00:00");
    let backwards = dates(&dag, &Request { backwards: true, ..request(2, 4) }, day(50)).unwrap();
    assert!(backwards.iter().eq(found.iter().rev()));
}

#[test]
fn a_date_counts_once_its_data_interval_is_over() {
    let found = dates(&daily(true), &request(1, 10), day(4).plus(std::time::Duration::from_secs(1))).unwrap();
    assert_eq!(found.len(), 3, "the fourth day has just begun");
    assert_eq!((found[2].logical_date, found[2].run_after), (Some(day(3)), day(4)));
    assert_eq!(run_id_of(&found[2]).as_str(), "backfill__2026-01-04T00:00:00+00:00");
    assert_eq!(dates(&daily(true), &request(1, 10), day(4)).unwrap().len(), 2, "as in Airflow: it must be before now");
}

#[test]
fn what_cannot_be_filled_is_refused_with_what_to_do() {
    let now = day(50);
    let refused = |dag: &Dag, request: Request| dates(dag, &request, now).unwrap_err();
    assert!(matches!(refused(&daily(false), request(9, 3)), Refusal::Reversed { .. }));
    assert_eq!(refused(&daily(false), request(60, 70)), Refusal::Future(day(60)));
    assert_eq!(refused(&daily(false), Request { max_active_runs: 0, ..request(1, 2) }), Refusal::NoRuns);
    let mut by_hand = daily(false);
    by_hand.schedule = Schedule::None;
    assert_eq!(refused(&by_hand, request(1, 2)), Refusal::NoDates("d".to_owned()));
    by_hand.schedule = Schedule::Continuous;
    assert_eq!(refused(&by_hand, request(1, 2)), Refusal::NoDates("d".to_owned()));
    let mut yearly = daily(false);
    yearly.schedule =
        Schedule::Cron { expressions: vec!["0 0 1 7 *".to_owned()], timezone: None, data_interval: false };
    assert_eq!(refused(&yearly, request(1, 2)), Refusal::Empty("d".to_owned()));
    let mut often = daily(false);
    often.schedule = Schedule::Cron { expressions: vec!["* * * * *".to_owned()], timezone: None, data_interval: false };
    assert_eq!(refused(&often, request(1, 40)), Refusal::TooMany);
    assert_eq!(dates(&often, &request(1, 2), now).unwrap().len(), 1441);
}

#[test]
fn tasks_that_depend_on_the_past_want_the_oldest_date_first_and_no_failed_run_left() {
    let mut dag = daily(false);
    dag.tasks[0].depends_on_past = true;
    let failed = Request { reprocess: Reprocess::Failed, ..request(1, 3) };
    assert_eq!(dates(&dag, &request(1, 3), day(50)), Err(Refusal::ReprocessPast("d".to_owned())));
    assert_eq!(
        dates(&dag, &Request { backwards: true, ..failed }, day(50)),
        Err(Refusal::BackwardsPast("d".to_owned()))
    );
    assert_eq!(dates(&dag, &failed, day(50)).unwrap().len(), 3);
}

#[test]
fn what_is_done_with_a_date_follows_from_its_run() {
    use BackfillStep::{Create, Reprocess as Again, Skip};
    use RunState::{Failed, Queued, Running, Success};
    let exists = Skip(NoRun::AlreadyExists);
    let table = [
        (None, [Create, Create, Create]),
        (Some(Queued), [Skip(NoRun::InFlight); 3]),
        (Some(Running), [Skip(NoRun::InFlight); 3]),
        (Some(Success), [exists, exists, Again]),
        (Some(Failed), [exists, Again, Again]),
    ];
    for (existing, expected) in table {
        assert_eq!(Reprocess::ALL.map(|reprocess| step(existing, reprocess)), expected, "{existing:?}");
    }
}

#[test]
fn a_backfills_task_instances_wait_behind_all_others() {
    let mut admission = Admission::new();
    admission.set_pool("default_pool", 1, false);
    let mut offer = |number: i64, run_type: RunType, weight: i64| {
        let mut dag = daily(false);
        dag.tasks[0].priority_weight = weight;
        let mut facts = support::facts_of(&dag, number).as_ref().clone();
        facts.run_type = run_type;
        let mut machine = RunMachine::new(Arc::new(Plan::new(Arc::new(dag))), Arc::new(facts));
        machine.handle(day(50), Event::Start).unwrap();
        while let Some(effect) = machine.poll_effect() {
            admission.apply(&effect);
        }
        machine.facts().key
    };
    let old = offer(1, RunType::Backfill, 1_000_000);
    let light = offer(2, RunType::Scheduled, 1);
    let heavy = offer(3, RunType::Manual, 5);
    for expected in [heavy, light, old] {
        let admitted = admission.admit(day(50), 10);
        let [one] = &admitted[..] else { panic!("one slot: {admitted:?}") };
        assert_eq!(one.candidate.key.run, expected);
        admission.release(&one.candidate.key);
    }
}

proptest! {
    #[test]
    fn dates_are_in_the_range_over_and_in_order(
        from in 1_i64..40, length in 0_i64..40, now in 1_i64..80, data_interval: bool, backwards: bool,
    ) {
        let request = Request { backwards, ..request(from, from + length) };
        let Ok(mut found) = dates(&daily(data_interval), &request, day(now)) else {
            // A day's interval ends a day later, and has to be over.
            prop_assert!(from + i64::from(data_interval) >= now);
            return Ok(());
        };
        if backwards {
            found.reverse();
        }
        prop_assert!(found.windows(2).all(|pair| pair[0].run_after < pair[1].run_after));
        for run in &found {
            let date = run.logical_date.unwrap();
            prop_assert!(request.from <= date && date <= request.to && run.run_after < day(now));
        }
        let over = (from..=from + length).filter(|d| d + i64::from(data_interval) < now).count();
        prop_assert_eq!(found.len(), over);
    }
}
