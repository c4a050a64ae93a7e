//! Scheduled runs are created when they are due, once each, whatever happens in between.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use windrose_core::dag::{Catchup, Overlap, Schedule};
use windrose_core::ids::DagId;
use windrose_core::run::DataInterval;
use windrose_core::time::Timestamp;
use windrose_core::timetable::{Bounds, DueRun, Timetable};
use windrose_engine::run_creation::{Proposal, RUNS_PER_DAG, RunCreation, ScheduledDag};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// 2024-01-01T00:00:00Z, and so many seconds later.
fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_704_067_200_000_000).plus(Duration::from_secs(seconds))
}

fn cron(expression: &str, data_interval: bool) -> Timetable {
    timetable(&Schedule::Cron { expressions: vec![expression.to_owned()], timezone: None, data_interval })
}

fn timetable(schedule: &Schedule) -> Timetable {
    Timetable::new(schedule, "Europe/London".parse().unwrap()).unwrap()
}

fn dag(timetable: Timetable, catchup: bool) -> ScheduledDag {
    ScheduledDag {
        timetable,
        bounds: Bounds { earliest: Some(at(0)), latest: None, catchup },
        missed: if catchup { Catchup::All } else { Catchup::No },
        overlap: Overlap::Queue,
        delay: Duration::ZERO,
        max_active_runs: 1_000_000,
        last_automated_run: None,
        active_runs: 0,
        paused: false,
    }
}

fn one(dag: ScheduledDag) -> (RunCreation, DagId) {
    let id = DagId::from("reports");
    let mut creation = RunCreation::default();
    creation.upsert_dag(&id, dag);
    (creation, id)
}

/// Everything that is due at `now`, over as many calls as it takes, as hours since the beginning.
fn due_hours(creation: &mut RunCreation, now: Timestamp) -> Vec<u64> {
    let mut hours = Vec::new();
    while creation.poll_timeout().is_some_and(|due| due <= now) {
        let runs = creation.due(now);
        hours.extend(runs.iter().map(|due| due.run.run_after.since(at(0)).as_secs() / HOUR));
    }
    hours
}

#[test]
fn a_run_is_proposed_when_it_is_due_and_not_before() {
    let (mut creation, id) = one(dag(cron("0 * * * *", false), true));
    assert_eq!(due_hours(&mut creation, at(0)), [0]);
    assert_eq!(creation.poll_timeout(), Some(at(HOUR)));
    assert_eq!(creation.next_run(&id).unwrap().run_after, at(HOUR));
    assert_eq!(due_hours(&mut creation, at(HOUR - 1)), [0; 0]);
    assert_eq!(due_hours(&mut creation, at(HOUR)), [1]);
}

#[test]
fn a_dag_without_a_schedule_is_never_due() {
    let (mut creation, _) = one(dag(Timetable::Null, false));
    assert_eq!(due_hours(&mut creation, at(DAY)), [0; 0]);
    assert_eq!(creation.poll_timeout(), None);
}

#[test]
fn a_paused_dag_gets_no_runs() {
    let (mut creation, id) = one(dag(cron("0 * * * *", false), true));
    creation.set_paused(&id, true);
    assert_eq!(creation.poll_timeout(), None);
    assert!(creation.due(at(DAY)).is_empty());
}

#[test]
fn after_a_pause_only_the_newest_missed_run_is_made_without_catchup() {
    for (data_interval, newest) in [(false, 5), (true, 5)] {
        let (mut creation, id) = one(dag(cron("0 * * * *", data_interval), false));
        due_hours(&mut creation, at(HOUR));
        creation.set_paused(&id, true);
        creation.set_paused(&id, false);
        assert_eq!(due_hours(&mut creation, at(5 * HOUR + 600)), [newest]);
        assert_eq!(creation.poll_timeout(), Some(at(6 * HOUR)));
    }
}

#[test]
fn after_a_pause_all_missed_runs_are_made_with_catchup() {
    let (mut creation, id) = one(dag(cron("0 * * * *", false), true));
    due_hours(&mut creation, at(0));
    creation.set_paused(&id, true);
    creation.set_paused(&id, false);
    assert_eq!(due_hours(&mut creation, at(5 * HOUR + 600)), [1, 2, 3, 4, 5]);
}

#[test]
fn no_run_is_made_after_the_end_date() {
    let mut ending = dag(cron("0 * * * *", false), true);
    ending.bounds.latest = Some(at(2 * HOUR));
    let (mut creation, _) = one(ending);
    assert_eq!(due_hours(&mut creation, at(DAY)), [0, 1, 2]);
    assert_eq!(creation.poll_timeout(), None);
}

#[test]
fn a_dag_with_max_active_runs_gets_a_run_only_when_one_ends() {
    let mut narrow = dag(cron("0 * * * *", false), true);
    narrow.max_active_runs = 2;
    let (mut creation, id) = one(narrow);
    assert_eq!(due_hours(&mut creation, at(DAY)), [0, 1]);
    assert_eq!(creation.poll_timeout(), None);
    creation.run_ended(&id);
    assert_eq!(due_hours(&mut creation, at(DAY)), [2]);
    creation.active_runs(&id, 0);
    assert_eq!(due_hours(&mut creation, at(DAY)), [3, 4]);
}

#[test]
fn runs_that_people_start_count_as_active() {
    let mut narrow = dag(cron("0 * * * *", false), true);
    narrow.max_active_runs = 2;
    let (mut creation, id) = one(narrow);
    creation.active_runs(&id, 2);
    assert_eq!(due_hours(&mut creation, at(DAY)), [0; 0]);
    creation.active_runs(&id, 1);
    assert_eq!(due_hours(&mut creation, at(DAY)), [0]);
}

#[test]
fn a_full_dag_without_catchup_goes_on_with_the_newest_run() {
    let mut narrow = dag(cron("0 * * * *", false), false);
    narrow.max_active_runs = 1;
    let (mut creation, id) = one(narrow);
    assert_eq!(due_hours(&mut creation, at(0)), [0]);
    assert_eq!(due_hours(&mut creation, at(2 * HOUR)), [0; 0]);
    creation.run_ended(&id);
    assert_eq!(due_hours(&mut creation, at(4 * HOUR + 60)), [4]);
}

#[test]
fn a_continuous_dag_runs_again_when_its_run_has_ended() {
    let mut continuous = dag(Timetable::Continuous, false);
    continuous.max_active_runs = 16;
    let (mut creation, id) = one(continuous);
    let first = creation.due(at(60)).pop().unwrap().run.data_interval.unwrap();
    assert_eq!(first, DataInterval { start: at(0), end: at(60) });
    assert_eq!(creation.poll_timeout(), None);
    creation.run_ended(&id);
    let second = creation.due(at(500)).pop().unwrap().run.data_interval.unwrap();
    assert_eq!(second, DataInterval { start: at(60), end: at(500) });
}

#[test]
fn a_continuous_run_that_ends_at_once_is_followed_by_another_one_later() {
    for earliest in [Some(at(0)), None] {
        let mut continuous = dag(Timetable::Continuous, false);
        continuous.bounds.earliest = earliest;
        let (mut creation, id) = one(continuous);
        let (mut ids, mut dates) = (Vec::new(), Vec::new());
        let mut now = at(60);
        while ids.len() < 4 {
            let runs = creation.due(now);
            ids.extend(runs.iter().map(|due| due.run.run_id()));
            dates.extend(runs.iter().map(|due| due.run.logical_date));
            creation.run_ended(&id);
            now = now.max(creation.poll_timeout().expect("a continuous DAG goes on"));
        }
        ids.dedup();
        dates.dedup();
        assert_eq!((ids.len(), dates.len()), (4, 4), "no two runs have the same id or date");
    }
}

#[test]
fn a_run_that_exists_already_is_passed_over_and_takes_no_place() {
    let mut narrow = dag(cron("0 * * * *", false), true);
    narrow.max_active_runs = 1;
    let (mut creation, id) = one(narrow);
    let run = creation.due(at(DAY)).pop().unwrap().run;
    assert_eq!(creation.poll_timeout(), None);
    creation.already_exists(&id, &run);
    assert_eq!(due_hours(&mut creation, at(DAY)), [1]);
}

#[test]
fn ten_thousand_missed_runs_of_one_dag_do_not_delay_the_others() {
    let mut creation = RunCreation::default();
    creation.upsert_dag(&"behind".into(), dag(cron("* * * * *", false), true));
    let now = at(10_000 * 60);
    let mut last = None;
    for number in 0..400 {
        creation.upsert_dag(&format!("other_{number}").into(), dag(Timetable::Once, false));
    }
    let first = creation.due(now);
    let behind = |runs: &[Proposal]| runs.iter().filter(|due| due.dag_id.as_str() == "behind").count();
    assert_eq!((first.len(), behind(&first)), (400 + RUNS_PER_DAG, RUNS_PER_DAG));
    let mut missed = RUNS_PER_DAG;
    while creation.poll_timeout().is_some_and(|due| due <= now) {
        for Proposal { run, .. } in creation.due(now) {
            assert!(last < Some(run.run_after), "in order and once each");
            last = Some(run.run_after);
            missed += 1;
        }
    }
    assert_eq!(missed, 10_001);
}

#[test]
fn a_dag_whose_turn_is_over_waits_behind_those_that_became_due() {
    let mut creation = RunCreation::default();
    let now = at(10_000 * 60);
    for number in 0..2_000 {
        creation.upsert_dag(&format!("behind_{number:04}").into(), dag(cron("* * * * *", false), true));
    }
    creation.due(now);
    creation.upsert_dag(&"zz_new".into(), dag(Timetable::Once, false));
    let mut calls = 0;
    while !creation.due(now).iter().any(|due| due.dag_id.as_str() == "zz_new") {
        calls += 1;
        assert!(calls < 8, "one round over all DAGs is enough");
    }
}

#[test]
fn a_schedule_without_dates_is_a_problem_of_its_own_dag_only() {
    let mut creation = RunCreation::default();
    creation.upsert_dag(&"never".into(), dag(cron("0 0 30 2 *", false), true));
    creation.upsert_dag(&"daily".into(), dag(cron("@daily", false), true));
    let runs = creation.due(at(0));
    assert_eq!(runs.len(), 1);
    assert!(creation.problem(&"never".into()).unwrap().to_string().contains("0 0 30 2 *"));
    assert_eq!(creation.problem(&"daily".into()), None);
    assert_eq!(creation.poll_timeout(), Some(at(DAY)));
}

#[test]
fn a_changed_schedule_goes_on_from_the_last_run() {
    let (mut creation, id) = one(dag(cron("@daily", false), true));
    let last = creation.due(at(0)).pop().unwrap().run;
    let mut changed = dag(cron("0 */6 * * *", false), true);
    changed.last_automated_run = last.data_interval;
    creation.upsert_dag(&id, changed);
    assert_eq!(due_hours(&mut creation, at(DAY)), [6, 12, 18, 24]);
    creation.remove_dag(&id);
    assert_eq!(due_hours(&mut creation, at(9 * DAY)), [0; 0]);
}

/// What the store would hold: runs by id.
type Stored = BTreeMap<String, DueRun>;

fn restarted(mut dag: ScheduledDag, stored: &Stored) -> RunCreation {
    dag.last_automated_run = stored.values().filter_map(|run| run.data_interval).max_by_key(|run| run.end);
    one(dag).0
}

/// Runs the clock to `end`, from due time to due time. At each of `crashes`' turns the process dies: before or after what
/// it proposed was stored, and comes back after `downtime`.
fn drive(dag: &ScheduledDag, end: Timestamp, crashes: &[(u16, bool)], downtime: Duration) -> Stored {
    let mut stored = Stored::new();
    let mut creation = restarted(dag.clone(), &stored);
    let mut now = at(0);
    let mut crashes = crashes.iter();
    let mut next_crash = crashes.next();
    let mut turn = 0;
    while let Some(due) = creation.poll_timeout().map(|due| due.max(now)).filter(|due| *due <= end) {
        now = due;
        let runs = creation.due(now);
        let crash = next_crash.filter(|(after, _)| turn >= *after);
        if !crash.is_some_and(|(_, lost)| *lost) {
            for Proposal { run, .. } in runs {
                assert_eq!(stored.insert(run.run_id().to_string(), run), None, "a stored run was proposed again");
            }
        }
        turn += 1;
        if crash.is_some() {
            (turn, next_crash) = (0, crashes.next());
            now = now.plus(downtime);
            creation = restarted(dag.clone(), &stored);
        }
    }
    stored
}

/// What the timetable alone says: each run asked for with the one before it.
fn chain(dag: &ScheduledDag, end: Timestamp) -> Stored {
    let next = |last: Option<&DueRun>| {
        let last = last.and_then(|run| run.data_interval);
        dag.timetable.next_run(last, &dag.bounds, end).unwrap().filter(|run| run.run_after <= end)
    };
    let runs = std::iter::successors(next(None), |run| next(Some(run)));
    runs.map(|run| (run.run_id().to_string(), run)).collect()
}

fn timetables() -> impl Strategy<Value = Timetable> {
    let expressions = ["@daily", "0 */6 * * *", "30 1 * * *", "*/20 1,2 * * 0", "0 0 1 * *", "15 0,2,3 * * 1-5"];
    let crons = (prop::sample::select(expressions.to_vec()), any::<bool>())
        .prop_map(|(expression, data_interval)| cron(expression, data_interval));
    let every = (1_u64..200, any::<bool>()).prop_map(|(hours, data_interval)| {
        timetable(&Schedule::Every { interval: Duration::from_secs(hours * HOUR), data_interval })
    });
    prop_oneof![crons, every, Just(Timetable::Once)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_year_with_catchup_has_the_same_runs_whatever_restarts_and_pauses_there_are(
        timetable in timetables(),
        crashes in prop::collection::vec((0_u16..60, any::<bool>()), 0..20),
        downtime in 0_u64..20 * DAY,
    ) {
        let dag = dag(timetable, true);
        let end = at(366 * DAY);
        let expected = chain(&dag, end);
        let mut stored = drive(&dag, end, &crashes, Duration::from_secs(downtime));
        // A process that was down at the end of the year makes what it missed when it is back.
        stored.extend(caught_up(&dag, &stored, end));
        prop_assert_eq!(stored, expected);
    }

    #[test]
    fn a_year_without_catchup_has_the_same_runs_if_nothing_was_down_for_long(
        expression in prop::sample::select(vec!["@daily", "0 */6 * * *", "30 1 * * *", "*/20 1,2 * * 0"]),
        data_interval: bool,
        crashes in prop::collection::vec((0_u16..60, any::<bool>()), 0..20),
    ) {
        // In UTC: around an hour that the clocks leave out, Airflow's answer depends on whether it is asked from the last
        // run on or, as after a restart, from now on.
        let schedule = Schedule::Cron {
            expressions: vec![expression.to_owned()],
            timezone: Some("UTC".parse().unwrap()),
            data_interval,
        };
        let dag = dag(timetable(&schedule), false);
        // Well after the last tick, so that whoever was down for that one still makes it.
        let end = at(366 * DAY + 5 * HOUR);
        let undisturbed = drive(&dag, end, &[], Duration::ZERO);
        prop_assert!(undisturbed.len() > 50);
        prop_assert_eq!(drive(&dag, end, &crashes, Duration::from_secs(90)), undisturbed);
    }
}

fn caught_up(dag: &ScheduledDag, stored: &Stored, end: Timestamp) -> Stored {
    let mut creation = restarted(dag.clone(), stored);
    let mut runs = Stored::new();
    while creation.poll_timeout().is_some_and(|due| due <= end) {
        runs.extend(creation.due(end).into_iter().map(|due| (due.run.run_id().to_string(), due.run)));
    }
    runs
}
