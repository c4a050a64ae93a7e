//! Retry delays, poke intervals and sensor runs against what Airflow computed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod vector_file;

use std::time::Duration;

use serde_json::Value;
use vector_file::{Family, read_rows};
use windrose_core::dag::{SensorMode, SensorSettings};
use windrose_core::poke_interval::{PokeName, poke_interval};
use windrose_core::retry::{FailedTry, RetryPolicy, retry_delay};
use windrose_core::sensor_run::{FailReason, PokeResult, SensorStep, after_poke};
use windrose_core::time::Timestamp;

const NAME: PokeName<'static> =
    PokeName { dag_id: "d", task_id: "t", first_poke_at: Timestamp::from_micros(1_700_000_000_000_000) };

fn seconds(value: &Value) -> Option<Duration> {
    value.as_f64().map(Duration::from_secs_f64)
}

fn within(row: &Value, got: Duration, low: &str, high: &str) -> Result<(), String> {
    let (low, high) = (row[low].as_f64().unwrap(), row[high].as_f64().unwrap());
    let got = got.as_secs_f64();
    if (low..=high).contains(&got) { Ok(()) } else { Err(format!("{got} is not in {low}..={high}")) }
}

fn settings(sensor: &Value) -> SensorSettings {
    let flag = |key: &str| sensor[key].as_bool().unwrap_or(false);
    SensorSettings {
        mode: match sensor["mode"].as_str() {
            Some("reschedule") => SensorMode::Reschedule,
            _ => SensorMode::Poke,
        },
        poke_interval: seconds(&sensor["poke_interval"]).unwrap_or(Duration::from_secs(60)),
        timeout: seconds(&sensor["timeout"]).unwrap_or(Duration::from_secs(7 * 86_400)),
        timeout_given: !sensor["timeout"].is_null(),
        soft_fail: flag("soft_fail"),
        exponential_backoff: flag("exponential_backoff"),
        max_wait: seconds(&sensor["max_wait"]),
        silent_fail: flag("silent_fail"),
        never_fail: flag("never_fail"),
    }
}

fn check_retry_delay(row: &Value) -> Result<(), String> {
    let task = &row["task"];
    if let Some(given) = seconds(&task["retry_delay_override"]) {
        // The override is the delay itself: no policy is asked.
        return within(row, given, "min_delay", "max_delay");
    }
    let policy = RetryPolicy {
        delay: seconds(&task["retry_delay"]).unwrap_or(Duration::from_secs(300)),
        multiplier: match &task["retry_exponential_backoff"] {
            Value::Bool(on) => on.then_some(2.0),
            other => other.as_f64(),
        },
        max_delay: seconds(&task["max_retry_delay"]),
    };
    let failed = FailedTry {
        dag_id: "d",
        task_id: "t",
        logical_date: None,
        try_number: u32::try_from(row["try_number"].as_u64().unwrap()).unwrap(),
    };
    within(row, retry_delay(&policy, &failed), "min_delay", "max_delay")
}

fn check_poke_interval(row: &Value) -> Result<(), String> {
    let count = u32::try_from(row["poke_count"].as_u64().unwrap()).unwrap();
    let got = poke_interval(&settings(&row["sensor"]), &NAME, count, seconds(&row["elapsed"]).unwrap());
    within(row, got, "min_interval", "max_interval")
}

/// Runs one execution on a virtual clock, as a driver would.
fn check_sensor_run(row: &Value) -> Result<(), String> {
    let settings = settings(&row["sensor"]);
    let cost = row["poke_cost"].as_f64().unwrap();
    let age = row["seconds_since_first_poke"].as_f64().unwrap_or(0.0);
    let mut clock = 0.0;
    let mut sleeps = Vec::new();
    for count in 1..1000 {
        clock += cost;
        let result = match &row["pokes"][count as usize - 1] {
            Value::Bool(true) => PokeResult::Done,
            Value::String(word) => match word.as_str() {
                "fail" => PokeResult::FatalError,
                "skip" => PokeResult::Skip,
                "task_timeout" => PokeResult::ExecutionTimeout,
                _ => PokeResult::Error,
            },
            _ => PokeResult::NotYet,
        };
        let elapsed = Duration::from_secs_f64(age + clock);
        let mut reschedule_in = None;
        let (state, timeout) = match after_poke(&settings, &NAME, count, elapsed, result) {
            SensorStep::Sleep(wait) => {
                sleeps.push(wait.as_secs_f64());
                clock += wait.as_secs_f64();
                continue;
            }
            SensorStep::Succeed => ("success", false),
            SensorStep::Skip(_) => ("skipped", false),
            SensorStep::Reschedule(wait) => {
                reschedule_in = Some(wait.as_secs_f64());
                ("up_for_reschedule", false)
            }
            SensorStep::Fail { reason, retry } => {
                let again = retry && row["try_number"].as_u64() <= row["retries"].as_u64();
                (if again { "up_for_retry" } else { "failed" }, reason == FailReason::Timeout)
            }
        };
        let expect = &row["expect"];
        let same = expect["state"] == state
            && expect["pokes_made"] == count
            && expect["elapsed"].as_f64() == Some(clock)
            && expect["reschedule_in"].as_f64() == reschedule_in
            && expect["sleeps"] == serde_json::json!(sleeps)
            && (expect["exception"] == "AirflowSensorTimeout") == timeout;
        let got = format!("{state} after {count} pokes and {clock} s, timeout {timeout}, {sleeps:?} {reschedule_in:?}");
        return if same { Ok(()) } else { Err(format!("got {got}, expected {expect}")) };
    }
    Err("it never ends".to_owned())
}

#[test]
fn delays_and_sensors_behave_as_in_airflow() {
    let mut families =
        ["retry_delay", "poke_interval", "sensor_run"].map(|kind| Family::new(&format!("retries: {kind}")));
    for row in read_rows("retries.jsonl") {
        let kind = row["kind"].as_str().unwrap();
        let check = match kind {
            "retry_delay" => check_retry_delay,
            "poke_interval" => check_poke_interval,
            "sensor_run" => check_sensor_run,
            other => panic!("no test for the kind '{other}'"),
        };
        families.iter_mut().find(|f| f.name.ends_with(&format!(": {kind}"))).unwrap().judge(&row, check);
    }
    Family::finish_kinds("retries", &families);
}
