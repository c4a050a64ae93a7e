//! What Windrose adds to Airflow's schedules: missed runs put into one, overlapping runs, and jitter.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::time::Duration;

use proptest::prelude::*;
use windrose_core::dag::{Catchup, Overlap, Schedule};
use windrose_core::ids::DagId;
use windrose_core::jitter::start_delay;
use windrose_core::run::DataInterval;
use windrose_core::time::Timestamp;
use windrose_core::timetable::{Bounds, DueRun, Timetable};
use windrose_engine::run_creation::{Proposal, Room, RunCreation, ScheduledDag};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// 2024-01-01T00:00:00Z, and so many seconds later.
fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(1_704_067_200_000_000).plus(Duration::from_secs(seconds))
}

fn crons(expressions: &[&str], zone: &str, data_interval: bool) -> Timetable {
    let expressions = expressions.iter().map(|&text| text.to_owned()).collect();
    let schedule = Schedule::Cron { expressions, timezone: None, data_interval };
    Timetable::new(&schedule, zone.parse().unwrap()).unwrap()
}

fn every(seconds: u64, data_interval: bool) -> Timetable {
    let schedule = Schedule::Every { interval: Duration::from_secs(seconds), data_interval };
    Timetable::new(&schedule, "UTC".parse().unwrap()).unwrap()
}

fn dag(timetable: Timetable, missed: Catchup) -> ScheduledDag {
    ScheduledDag {
        timetable,
        bounds: Bounds { earliest: Some(at(0)), latest: None, catchup: missed == Catchup::All },
        missed,
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

/// Everything that is due at `now`, over as many calls as it takes.
fn all_due(creation: &mut RunCreation, now: Timestamp) -> Vec<Proposal> {
    let mut all = Vec::new();
    while creation.poll_timeout().is_some_and(|due| due <= now) {
        all.extend(creation.due(now));
    }
    all
}

/// Start, end and due time of runs, in hours since the beginning.
fn hours(proposals: &[Proposal]) -> Vec<(u64, u64, u64)> {
    let hour = |instant: Timestamp| instant.since(at(0)).as_secs() / HOUR;
    let of = |due: &Proposal| {
        let interval = due.run.data_interval.unwrap();
        (hour(interval.start), hour(interval.end), hour(due.run.run_after))
    };
    proposals.iter().map(of).collect()
}

/// After a downtime from hour 1 to half past five.
fn after_downtime(timetable: Timetable, missed: Catchup) -> Vec<(u64, u64, u64)> {
    let (mut creation, _) = one(dag(timetable, missed));
    all_due(&mut creation, at(HOUR));
    hours(&all_due(&mut creation, at(5 * HOUR + 1800)))
}

#[test]
fn of_missed_runs_the_newest_is_made_with_latest() {
    let hourly = |data_interval| crons(&["0 * * * *"], "UTC", data_interval);
    assert_eq!(after_downtime(hourly(false), Catchup::Latest), [(5, 5, 5)]);
    assert_eq!(after_downtime(hourly(true), Catchup::Latest), [(4, 5, 5)]);
    assert_eq!(after_downtime(every(HOUR, false), Catchup::Latest), [(5, 5, 5)]);
    assert_eq!(after_downtime(every(HOUR, true), Catchup::Latest), [(4, 5, 5)]);
    let several = crons(&["0 */2 * * *", "0 */3 * * *"], "UTC", false);
    assert_eq!(after_downtime(several, Catchup::Latest), [(4, 4, 4)]);
}

#[test]
fn missed_runs_are_one_run_over_the_whole_span_with_collapse() {
    let hourly = |data_interval| crons(&["0 * * * *"], "UTC", data_interval);
    assert_eq!(after_downtime(hourly(false), Catchup::Collapse), [(2, 5, 5)]);
    assert_eq!(after_downtime(hourly(true), Catchup::Collapse), [(1, 5, 5)]);
    assert_eq!(after_downtime(every(HOUR, false), Catchup::Collapse), [(2, 5, 5)]);
    assert_eq!(after_downtime(every(HOUR, true), Catchup::Collapse), [(1, 5, 5)]);
    let several = crons(&["0 */2 * * *", "0 */3 * * *"], "UTC", false);
    assert_eq!(after_downtime(several, Catchup::Collapse), [(2, 4, 4)]);
}

#[test]
fn a_dag_that_begins_late_has_one_run_for_all_before() {
    for (missed, run) in [(Catchup::Latest, (23, 24, 24)), (Catchup::Collapse, (0, 24, 24))] {
        let (mut creation, _) = one(dag(crons(&["0 * * * *"], "UTC", true), missed));
        assert_eq!(hours(&all_due(&mut creation, at(DAY + 60))), [run]);
        assert_eq!(creation.poll_timeout(), Some(at(DAY + HOUR)));
    }
}

#[test]
fn what_was_missed_before_the_end_date_is_made_after_it() {
    for (missed, run) in [(Catchup::Latest, (10, 10, 10)), (Catchup::Collapse, (0, 10, 10))] {
        let mut ending = dag(crons(&["0 * * * *"], "UTC", false), missed);
        ending.bounds.latest = Some(at(10 * HOUR + 60));
        let (mut creation, _) = one(ending);
        assert_eq!(hours(&all_due(&mut creation, at(DAY))), [run]);
        assert_eq!(creation.poll_timeout(), None);
    }
}

#[test]
fn a_start_date_that_was_moved_on_begins_the_span_that_was_missed() {
    let mut moved = dag(crons(&["0 * * * *"], "UTC", true), Catchup::Collapse);
    moved.last_automated_run = Some(DataInterval { start: at(0), end: at(HOUR) });
    moved.bounds.earliest = Some(at(4 * HOUR));
    let (mut creation, _) = one(moved);
    assert_eq!(hours(&all_due(&mut creation, at(8 * HOUR))), [(4, 8, 8)]);
}

#[test]
fn ten_years_of_minutes_are_one_run_at_once() {
    for timetable in [crons(&["* * * * *"], "Europe/Berlin", true), every(60, true)] {
        let (mut creation, _) = one(dag(timetable, Catchup::Collapse));
        let runs = all_due(&mut creation, at(3650 * DAY));
        assert_eq!(hours(&runs), [(0, 3650 * 24, 3650 * 24)]);
    }
}

fn overlapping(overlap: Overlap) -> (RunCreation, DagId) {
    let mut narrow = dag(crons(&["0 * * * *"], "UTC", false), Catchup::All);
    narrow.max_active_runs = 1;
    narrow.overlap = overlap;
    one(narrow)
}

#[test]
fn while_there_is_no_place_a_due_run_waits_is_passed_over_or_cancels() {
    for (overlap, rooms) in [
        (Overlap::Queue, vec![Room::Free]),
        (Overlap::Skip, vec![Room::Free, Room::PassOver, Room::PassOver]),
        (Overlap::CancelOld, vec![Room::Free, Room::CancelOldest, Room::CancelOldest]),
        (Overlap::CancelNew, vec![Room::Free, Room::CancelThis, Room::CancelThis]),
    ] {
        let (mut creation, _) = overlapping(overlap);
        let mut seen = Vec::new();
        for hour in 0..3 {
            seen.extend(all_due(&mut creation, at(hour * HOUR)).iter().map(|due| due.room));
        }
        assert_eq!(seen, rooms, "{overlap:?}");
    }
}

#[test]
fn a_run_that_was_passed_over_does_not_come_back_when_there_is_a_place() {
    let (mut creation, id) = overlapping(Overlap::Skip);
    assert_eq!(all_due(&mut creation, at(2 * HOUR)).len(), 3);
    creation.run_ended(&id);
    assert_eq!(all_due(&mut creation, at(2 * HOUR + 1800)), []);
    assert_eq!(creation.poll_timeout(), Some(at(3 * HOUR)));
    assert_eq!(all_due(&mut creation, at(3 * HOUR))[0].room, Room::Free);
}

#[test]
fn the_delay_of_a_dag_is_shorter_than_its_jitter_and_always_the_same() {
    let delay = |name: &str| start_delay(&DagId::from(name), Duration::from_secs(600));
    let delays: Vec<_> = (0..200).map(|n| delay(&format!("dag_{n}"))).collect();
    assert!(delays.iter().all(|delay| *delay < Duration::from_secs(600)));
    assert_eq!(delay("dag_7"), delays[7]);
    let early = delays.iter().filter(|delay| **delay < Duration::from_secs(300)).count();
    assert!((60..140).contains(&early), "they are spread: {early} of 200 in the first half");
    assert_eq!(start_delay(&DagId::from("dag"), Duration::ZERO), Duration::ZERO);
}

fn timetables() -> impl Strategy<Value = Timetable> {
    let expressions =
        ["@daily", "0 */6 * * *", "30 1 * * *", "*/20 1,2 * * 0", "0 0 1 * *", "15 0,2,3 * * 1-5", "0 * * * *"];
    let cron = (prop::sample::select(expressions.to_vec()), any::<bool>())
        .prop_map(|(expression, data_interval)| crons(&[expression], "UTC", data_interval));
    let delta = (600_u64..200 * HOUR, any::<bool>()).prop_map(|(seconds, interval)| every(seconds, interval));
    let several = Just(crons(&["0 */5 * * *", "30 */7 * * *"], "UTC", false));
    prop_oneof![cron, delta, several]
}

/// Every run that the schedule means until then, one by one.
fn chain(timetable: &Timetable, end: Timestamp) -> Vec<DueRun> {
    let bounds = Bounds { earliest: Some(at(0)), latest: None, catchup: true };
    let next = |last: Option<&DueRun>| {
        let run = timetable.next_run(last.and_then(|run| run.data_interval), &bounds, end).unwrap();
        run.filter(|run| run.run_after <= end)
    };
    std::iter::successors(next(None), |run| next(Some(run))).collect()
}

/// Looks at the clock at these distances only; with a new process each time that says so.
fn looked_at(dag: &ScheduledDag, looks: &[(u64, bool)]) -> Vec<(Timestamp, DueRun)> {
    let mut made: Vec<(Timestamp, DueRun)> = Vec::new();
    let (mut creation, _) = one(dag.clone());
    let mut now = at(0);
    for (distance, restart) in looks {
        now = now.plus(Duration::from_secs(*distance));
        if *restart {
            let last = made.last().and_then(|(_, run)| run.data_interval);
            creation = one(ScheduledDag { last_automated_run: last, ..dag.clone() }).0;
        }
        made.extend(all_due(&mut creation, now).into_iter().map(|due| (now, due.run)));
    }
    made
}

fn looks() -> impl Strategy<Value = Vec<(u64, bool)>> {
    prop::collection::vec((0_u64..3 * DAY, any::<bool>()), 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn latest_makes_only_runs_of_the_schedule_and_always_the_newest_that_is_due(
        timetable in timetables(),
        looks in looks(),
    ) {
        let made = looked_at(&dag(timetable.clone(), Catchup::Latest), &looks);
        let end = looks.iter().fold(at(0), |now, (distance, _)| now.plus(Duration::from_secs(*distance)));
        let all = chain(&timetable, end);
        let mut now = at(0);
        for (distance, _) in looks {
            now = now.plus(Duration::from_secs(distance));
            let newest = all.iter().rfind(|run| run.run_after <= now);
            let seen = made.iter().rfind(|(when, _)| *when <= now).map(|(_, run)| run);
            prop_assert_eq!(seen, newest);
        }
        prop_assert!(made.iter().all(|(_, run)| all.contains(run)));
        prop_assert!(made.windows(2).all(|pair| pair[0].1.run_after < pair[1].1.run_after));
    }

    #[test]
    fn collapse_leaves_out_no_span_and_takes_none_twice(timetable in timetables(), looks in looks()) {
        let made = looked_at(&dag(timetable.clone(), Catchup::Collapse), &looks);
        let end = looks.iter().fold(at(0), |now, (distance, _)| now.plus(Duration::from_secs(*distance)));
        let mut rest = chain(&timetable, end).into_iter();
        for (now, run) in made {
            let interval = run.data_interval.unwrap();
            let spans: Vec<_> = rest.by_ref().take_while(|part| part.run_after < run.run_after).collect();
            // `take_while` took the last one too.
            let first = spans.first().map_or(interval.start, |part| part.data_interval.unwrap().start);
            prop_assert_eq!(interval.start, first);
            prop_assert_eq!(interval.end, run.run_after);
            prop_assert!(run.run_after <= now);
        }
        prop_assert_eq!(rest.next(), None);
    }

    #[test]
    fn jitter_makes_the_same_runs_each_exactly_that_much_later(
        timetable in timetables(),
        delay in 0_u64..DAY,
        restarts in prop::collection::vec(any::<bool>(), 50),
    ) {
        let mut delayed = dag(timetable.clone(), Catchup::All);
        delayed.delay = Duration::from_secs(delay);
        let all = chain(&timetable, at(20 * DAY));
        let (mut creation, _) = one(delayed.clone());
        let mut made: Vec<DueRun> = Vec::new();
        let mut restarts = restarts.into_iter();
        while let Some(run) = all.get(made.len()) {
            if restarts.next() == Some(true) {
                let last = made.last().and_then(|run| run.data_interval);
                creation = one(ScheduledDag { last_automated_run: last, ..delayed.clone() }).0;
            }
            let due = run.run_after.plus(delayed.delay);
            prop_assert_eq!(all_due(&mut creation, due.minus(Duration::from_micros(1))), vec![]);
            let runs: Vec<_> = all_due(&mut creation, due).into_iter().map(|due| due.run).collect();
            prop_assert_eq!(&runs, &vec![*run]);
            made.extend(runs);
        }
    }

    #[test]
    fn with_skip_each_run_of_the_schedule_is_made_or_passed_over_once(
        timetable in timetables(),
        looks in looks(),
        most in 1_u32..4,
    ) {
        let mut skipping = dag(timetable.clone(), Catchup::All);
        skipping.overlap = Overlap::Skip;
        skipping.max_active_runs = most;
        let (mut creation, id) = one(skipping);
        let (mut now, mut active, mut seen) = (at(0), 0, Vec::new());
        for (distance, ends) in looks {
            now = now.plus(Duration::from_secs(distance));
            if ends && active > 0 {
                active -= 1;
                creation.run_ended(&id);
            }
            for due in all_due(&mut creation, now) {
                prop_assert_eq!(due.room, if active < most { Room::Free } else { Room::PassOver });
                active += u32::from(due.room == Room::Free);
                seen.push(due.run);
            }
        }
        prop_assert_eq!(seen, chain(&timetable, now));
    }
}
