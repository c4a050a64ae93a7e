//! What the vectors do not say: sentences for people, hostile schedules, and properties that hold for every schedule.
#![expect(clippy::unwrap_used, reason = "a schedule that cannot be read fails its test")]

use std::time::Duration;

use chrono::DateTime;
use chrono_tz::Tz;
use proptest::prelude::*;
use windrose_core::dag::Schedule;
use windrose_core::run::DataInterval;
use windrose_core::run_state::RunType;
use windrose_core::time::Timestamp;
use windrose_core::timetable::{
    Bounds, Delta, Timetable, TimetableError, check_cron, preview, run_id, run_id_without_date,
};

fn at(text: &str) -> Timestamp {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc().into()
}

fn cron(expression: &str, zone: Tz, data_interval: bool) -> Timetable {
    let schedule = Schedule::Cron { expressions: vec![expression.to_owned()], timezone: None, data_interval };
    Timetable::new(&schedule, zone).unwrap()
}

fn refusal(expression: &str) -> String {
    check_cron(expression).unwrap_err().to_string()
}

#[test]
fn a_wrong_field_is_named_with_what_it_may_hold() {
    for (expression, said) in [
        (
            "60 * * * *",
            "the minute field '60' of the cron expression '60 * * * *' is wrong: 60 is out of range; use 0 to 59",
        ),
        ("* 24 * * *", "the hour field '24'"),
        ("* * 0 * *", "the day of month field '0'"),
        ("* * * 13 *", "use 1 to 12, or jan to dec"),
        ("* * * * fry", "'fry' is not a value here; use 0 to 7 (0 and 7 are Sunday), or sun to sat"),
        ("* * * * 1#6", "'#6' is out of range; use #1 to #5"),
        ("* * * * 1,5#2", "cannot be mixed"),
        ("*/0 * * * *", "a step of 0 leads nowhere"),
        ("? * * * *", "'?' stands alone"),
        ("* * * *", "has 4 fields; write five"),
        ("@every 5m", "has 2 fields; write five"),
        ("", "has 0 fields"),
        ("r * * * *", "the hashed or random cron value 'R' is not supported yet; write a number"),
        ("0 0 30w * *", "not supported yet"),
    ] {
        let sentence = refusal(expression);
        assert!(sentence.contains(said), "{expression}: {sentence}");
    }
}

#[test]
fn presets_and_every_part_of_the_dialect_are_accepted() {
    for expression in [
        "@daily",
        "@DAILY",
        "@quarterly",
        "@midnight",
        "0 0 * * 7",
        "0 0 L * *",
        "0 0 1,L * *",
        "0 0 * * 5#2,1#1",
        "0 0 * * L5",
        "0 0 * * fri-mon",
        "0 0 * jan,JUL sun",
        "5/20 * * * *",
        "0 0 * * * 30",
        "0 0 1 1 * 0 2030",
        "0 0 31W * *",
        "0 0 ? * mon",
    ] {
        assert_eq!(check_cron(expression), Ok(()), "{expression}");
    }
}

#[test]
fn an_expression_without_any_date_is_an_error_that_says_so() {
    let now = at("2024-01-01T00:00:00Z");
    for expression in ["0 0 30 2 *", "0 0 31 4,6 *", "0 0 1 * L5", "0 0 29 2 * 0 2025"] {
        for data_interval in [false, true] {
            let found = cron(expression, Tz::UTC, data_interval).next_run(None, &Bounds::default(), now);
            let Err(error) = found else { panic!("{expression} found {found:?}") };
            assert!(error.to_string().starts_with("no date within 50 years of"), "{error}");
        }
    }
}

#[test]
fn a_very_long_expression_is_refused_by_its_length() {
    let long = format!("{} * * * *", "1,".repeat(600_000));
    assert!(matches!(check_cron(&long), Err(TimetableError::TooLong { .. })));
}

#[test]
fn dates_at_the_ends_of_time_are_errors_and_never_panics() {
    let ends = [i64::MIN, -62_135_596_800_000_000, 0, 253_402_300_799_999_999, i64::MAX];
    let tables = [
        cron("0 0 * * *", Tz::Pacific__Apia, false),
        cron("* * * * *", Tz::America__New_York, true),
        Timetable::DeltaTrigger { delta: Delta::fixed(i64::MAX), interval: Delta::fixed(i64::MIN) },
        Timetable::DeltaDataInterval(Delta::calendar(240, 0)),
        Timetable::DeltaDataInterval(Delta::calendar(1, -28 * 86_400_000_000)),
        Timetable::DeltaDataInterval(Delta::ZERO),
        Timetable::Continuous,
        Timetable::Once,
    ];
    for (table, &start, &end, &now) in combined(&tables, &ends) {
        for catchup in [false, true] {
            for last in
                [None, Some(DataInterval { start: Timestamp::from_micros(start), end: Timestamp::from_micros(end) })]
            {
                let bounds = Bounds { earliest: Some(Timestamp::from_micros(end)), latest: None, catchup };
                let _ = table.next_run(last, &bounds, Timestamp::from_micros(now));
            }
        }
        let _ = table.manual_interval(Timestamp::from_micros(now));
    }
}

fn combined<'a>(
    tables: &'a [Timetable],
    ends: &'a [i64],
) -> impl Iterator<Item = (&'a Timetable, &'a i64, &'a i64, &'a i64)> {
    tables.iter().flat_map(move |table| {
        ends.iter().flat_map(move |a| ends.iter().flat_map(move |b| ends.iter().map(move |c| (table, a, b, c))))
    })
}

#[test]
fn a_distance_must_lead_forward() {
    let every = |interval| Timetable::new(&Schedule::Every { interval, data_interval: false }, Tz::UTC);
    assert_eq!(every(Duration::ZERO), Err(TimetableError::NotPositive));
    assert_eq!(every(Duration::MAX), Err(TimetableError::OutOfRange));
    assert_eq!(Delta::calendar(1, -30 * 86_400_000_000).check_positive(), Err(TimetableError::NotPositive));
    assert_eq!(Delta::calendar(-1, 0).check_positive(), Err(TimetableError::NotPositive));
}

#[test]
fn a_month_from_the_31st_ends_on_the_last_day_of_a_shorter_month() {
    let monthly = Timetable::DeltaTrigger { delta: Delta::calendar(1, 0), interval: Delta::ZERO };
    let bounds = Bounds { earliest: Some(at("2024-01-31T00:00:00Z")), latest: None, catchup: true };
    let runs = preview(&monthly, &bounds, None, at("2024-06-01T00:00:00Z"), 3).unwrap();
    let dates: Vec<String> = runs.iter().map(|run| run.run_after.to_string()).collect();
    assert_eq!(dates, ["2024-01-31T00:00:00Z", "2024-02-29T00:00:00Z", "2024-03-29T00:00:00Z"]);
}

#[test]
fn catchup_without_a_start_date_is_refused_unless_nothing_is_scheduled() {
    let bounds = Bounds { earliest: None, latest: None, catchup: true };
    assert_eq!(cron("@daily", Tz::UTC, false).check_bounds(&bounds), Err(TimetableError::StartDateRequired));
    assert_eq!(Timetable::Once.check_bounds(&bounds), Err(TimetableError::StartDateRequired));
    assert_eq!(Timetable::Null.check_bounds(&bounds), Ok(()));
}

#[test]
fn several_expressions_have_no_data_interval() {
    let schedule = |data_interval| Schedule::Cron {
        expressions: vec!["@daily".to_owned(), "0 12 * * *".to_owned()],
        timezone: None,
        data_interval,
    };
    assert!(matches!(Timetable::new(&schedule(true), Tz::UTC), Err(TimetableError::NotSupported { .. })));
    assert_eq!(Timetable::new(&schedule(false), Tz::UTC).unwrap().summary(), "@daily, 0 12 * * *");
}

#[test]
fn a_timetable_describes_itself_in_one_line() {
    assert_eq!(cron("30 2 * * *", Tz::Europe__London, false).describe(), "At 02:30. (30 2 * * *, Europe/London)");
    let every = Schedule::Every { interval: Duration::from_secs(5400), data_interval: false };
    assert_eq!(Timetable::new(&every, Tz::UTC).unwrap().describe(), "Every 1h30m");
    assert_eq!(Timetable::Null.describe(), "Never, external triggers only");
}

#[test]
fn run_ids_are_spelled_as_airflow_spells_them() {
    let noon = at("2026-01-02T12:00:00Z");
    let odd = at("2026-01-02T12:00:00.00125Z");
    assert_eq!(run_id(RunType::Scheduled, noon).as_str(), "scheduled__2026-01-02T12:00:00+00:00");
    assert_eq!(run_id(RunType::Manual, odd).as_str(), "manual__2026-01-02T12:00:00.001250+00:00");
    assert_eq!(
        run_id_without_date(RunType::AssetTriggered, noon, "aB3dE6gH").as_str(),
        "asset_triggered__2026-01-02T12:00:00+00:00_aB3dE6gH"
    );
}

const HALF_A_DAY: Duration = Duration::from_secs(12 * 3600);

fn offset(zone: Tz, at: Timestamp) -> i32 {
    use chrono::Offset as _;
    at.to_utc().with_timezone(&zone).offset().fix().local_minus_utc()
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[0-9a-zA-Z*/,#?@ \\-LWlw]{0,40}|\\PC{0,30}") {
        let _ = check_cron(&text);
    }

    #[test]
    fn missed_runs_follow_each_other_without_gap_or_repetition(
        expression in prop::sample::select(vec![
            "*/20 1,2 * * *", "0 * * * *", "30 1 * * *", "*/30 * * * *", "0 0 * * *", "15 0,2,3 * * 0", "0 */2 * * *",
        ]),
        zone in prop::sample::select(vec![Tz::UTC, Tz::Europe__London, Tz::America__New_York, Tz::Asia__Kolkata]),
        start in 1_700_000_000_i64..1_740_000_000,
        data_interval: bool,
    ) {
        let table = cron(expression, zone, data_interval);
        let earliest = Timestamp::from_micros(start * 1_000_000);
        let bounds = Bounds { earliest: Some(earliest), latest: None, catchup: true };
        let mut last: Option<DataInterval> = None;
        for _ in 0..40 {
            let run = table.next_run(last, &bounds, earliest).unwrap().unwrap();
            let interval = run.data_interval.unwrap();
            prop_assert!(interval.start >= earliest && interval.end >= interval.start);
            if let Some(last) = last {
                prop_assert!(interval.end > last.end);
                // Around an hour that the clocks leave out or repeat, Airflow's intervals need not touch.
                let steady = offset(zone, last.start.minus(HALF_A_DAY)) == offset(zone, interval.end.plus(HALF_A_DAY));
                prop_assert!(!data_interval || !steady || interval.start == last.end);
            }
            last = Some(interval);
        }
    }
}
