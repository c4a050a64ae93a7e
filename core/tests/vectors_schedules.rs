//! Every row of `schedules.jsonl`, which Airflow itself produced, against the timetables.
#![expect(clippy::unwrap_used, reason = "a row that cannot be read fails its test")]

mod vector_file;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};
use vector_file::{Family, read_rows};
use windrose_core::python_text::{datetime_isoformat, fixed};
use windrose_core::run::DataInterval;
use windrose_core::time::Timestamp;
use windrose_core::timetable::{Bounds, Cron, CronTrigger, Delta, DueRun, RunImmediately, Timetable, TimetableError};

const MICROS: i64 = 1_000_000;

#[test]
fn every_schedule_makes_the_runs_that_airflow_makes() {
    let mut schedules = Family::new("schedules");
    for row in read_rows("schedules.jsonl") {
        schedules.judge(&row, check);
    }
    Family::finish(&[schedules]);
}

fn check(row: &Value) -> Result<(), String> {
    let bounds = Bounds {
        earliest: instant(&row["start_date_utc"]),
        latest: instant(&row["end_date_utc"]),
        catchup: row["catchup"].as_bool().unwrap(),
    };
    let error = &row["error"]["when"];
    let timetable = match timetable(row).and_then(|made| made.check_bounds(&bounds).map(|()| made)) {
        Ok(_) if error == "definition" => return Err("should have been refused".to_owned()),
        Err(_) if error == "definition" => return Ok(()),
        // Airflow looks at these expressions only when a run is due.
        Err(_) if error == "next" && row["schedule"]["type"] == "MultipleCronTriggerTimetable" => return Ok(()),
        Ok(timetable) => timetable,
        Err(refused) => return Err(refused.to_string()),
    };
    if let Some(run_after) = instant(&row["manual_run_after"]) {
        return check_manual(&timetable, run_after, row);
    }
    let (runs, end) = runs(&timetable, &bounds, row);
    let expected = row["runs"].as_array().unwrap();
    if &runs != expected {
        return Err(format!("{} instead of {}", Value::from(runs), row["runs"]));
    }
    match (error == "next", row["exhausted"] == true) {
        (true, _) if end.is_err() => Ok(()),
        (false, exhausted) if end == Ok(exhausted) => Ok(()),
        _ => Err(format!("ended with {end:?}")),
    }
}

/// The runs, and whether there are no more of them.
fn runs(timetable: &Timetable, bounds: &Bounds, row: &Value) -> (Vec<Value>, Result<bool, TimetableError>) {
    let now = instant(&row["now"]).unwrap();
    let mut last = interval(&row["last"]);
    let mut runs = Vec::new();
    for _ in 0..row["n"].as_u64().unwrap() {
        match timetable.next_run(last, bounds, now) {
            Ok(Some(run)) => {
                last = run.data_interval;
                runs.push(as_row(&run));
            }
            Ok(None) => return (runs, Ok(true)),
            Err(error) => return (runs, Err(error)),
        }
    }
    (runs, Ok(false))
}

fn check_manual(timetable: &Timetable, run_after: Timestamp, row: &Value) -> Result<(), String> {
    match timetable.manual_interval(run_after) {
        Err(_) if row["error"]["when"] == "manual" => Ok(()),
        Ok(found) if found.is_some() && found == interval(&row["manual"]) => Ok(()),
        other => Err(format!("{other:?} instead of {}", row["manual"])),
    }
}

fn as_row(run: &DueRun) -> Value {
    let text = |at: Timestamp| datetime_isoformat(&fixed(&at.to_utc()));
    let interval = run.data_interval.unwrap();
    json!({
        "logical_date": run.logical_date.map(text), "run_after": text(run.run_after), "run_id": run.run_id(),
        "data_interval_start": text(interval.start), "data_interval_end": text(interval.end),
    })
}

fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str().map(|text| DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc).into())
}

fn interval(value: &Value) -> Option<DataInterval> {
    Some(DataInterval { start: instant(&value["data_interval_start"])?, end: instant(&value["data_interval_end"])? })
}

fn timetable(row: &Value) -> Result<Timetable, TimetableError> {
    let schedule = &row["schedule"];
    let zone = schedule["timezone"].as_str().or(row["timezone"].as_str()).unwrap().parse::<Tz>().unwrap();
    let cron = |text: &Value| Cron::new(text.as_str().unwrap(), zone);
    let trigger = |text: &Value| {
        Ok(CronTrigger {
            cron: cron(text)?,
            interval: Delta::fixed(schedule["interval_seconds"].as_i64().unwrap_or(0) * MICROS),
            run_immediately: match &schedule["run_immediately"] {
                Value::Bool(true) => RunImmediately::Always,
                Value::Object(within) => RunImmediately::Within(within["seconds"].as_i64().unwrap() * MICROS),
                _ => RunImmediately::IfRecent,
            },
        })
    };
    // A refused schedule has no class in the vectors.
    let class = row["timetable"].as_str().unwrap_or(match schedule["type"].as_str().unwrap() {
        "timedelta" | "relativedelta" => "DeltaTriggerTimetable",
        "string" => "CronTriggerTimetable",
        "none" => "NullTimetable",
        explicit => explicit,
    });
    Ok(match class {
        "NullTimetable" => Timetable::Null,
        "OnceTimetable" => Timetable::Once,
        "ContinuousTimetable" => Timetable::Continuous,
        "CronTriggerTimetable" => Timetable::CronTrigger(trigger(schedule.get("value").unwrap_or(&schedule["cron"]))?),
        "MultipleCronTriggerTimetable" => Timetable::MultipleCronTrigger(
            schedule["crons"].as_array().unwrap().iter().map(trigger).collect::<Result<_, _>>()?,
        ),
        "CronDataIntervalTimetable" => {
            Timetable::CronDataInterval(cron(schedule.get("value").unwrap_or(&schedule["cron"]))?)
        }
        "DeltaTriggerTimetable" => Timetable::DeltaTrigger {
            delta: delta(schedule)?,
            interval: Delta::fixed(schedule["interval_seconds"].as_i64().unwrap_or(0) * MICROS),
        },
        "DeltaDataIntervalTimetable" => Timetable::DeltaDataInterval(delta(schedule)?),
        other => panic!("no timetable {other}"),
    })
}

fn delta(schedule: &Value) -> Result<Delta, TimetableError> {
    let part = |name: &str| schedule["parts"][name].as_i64().unwrap_or(0);
    let hours = (part("weeks") * 7 + part("days")) * 24 + part("hours");
    let seconds = schedule["seconds"].as_i64().unwrap_or(0) + (hours * 60 + part("minutes")) * 60 + part("seconds");
    let months = i32::try_from(part("years") * 12 + part("months")).unwrap();
    let delta = Delta::calendar(months, seconds * MICROS);
    delta.check_positive().map(|()| delta)
}
