//! The job sensor and the log it brings, call by call.

#![expect(clippy::needless_pass_by_value, reason = "tests read better with `json!` in place")]

use serde_json::{Value, json};
use windrose_core::dag::SensorMode;

use super::endpoint::{Endpoint, operator};
use super::glue_job::run;
use crate::operator::Runnable;
use crate::sensor::{Poke, Sensor};
use crate::testing::sensor_settings;

fn sensor(more: Value) -> Box<dyn Sensor> {
    let mut parameters = json!({"job_name": "load it", "run_id": "jr_1"});
    for (key, value) in more.as_object().unwrap() {
        parameters[key] = value.clone();
    }
    let Runnable::Sensor(sensor) = operator("glue_job_sensor", parameters) else { panic!("a sensor") };
    sensor
}

fn events(events: &[(&str, i64, &str)], token: Option<&str>) -> Value {
    let events: Vec<_> =
        events.iter().map(|(id, at, text)| json!({"eventId": id, "timestamp": at, "message": text})).collect();
    let mut page = json!({"events": events});
    if let Some(token) = token {
        page["nextToken"] = json!(token);
    }
    page
}

fn lines(log: &str, wanted: &str) -> usize {
    log.lines().filter(|line| *line == wanted).count()
}

#[tokio::test]
async fn a_quiet_look_is_one_call() {
    let endpoint = Endpoint::scripted().await;
    endpoint.answer("GetJobRun", run("STARTING")).answer("GetJobRun", run("SUCCEEDED"));
    let (ctx, services) = endpoint.context("wait_for_job");
    let wait = sensor(json!({}));
    assert_eq!(wait.poke(&ctx).await.unwrap(), Poke::NotYet);
    assert_eq!(wait.poke(&ctx).await.unwrap(), Poke::Done(None));
    assert_eq!(endpoint.calls()[0].body["PredecessorsIncluded"], true);
    assert_eq!(endpoint.take_operations(), ["GetJobRun", "GetJobRun"]);
    assert!(services.log_text().contains("Poking for job run status :for Glue Job load it and ID jr_1"));
}

#[tokio::test]
async fn every_bad_end_fails_with_the_jobs_own_message_and_where_to_look() {
    for state in ["FAILED", "TIMEOUT", "ERROR", "EXPIRED", "STOPPED"] {
        let endpoint = Endpoint::scripted().await;
        endpoint.answer("GetJobRun", run(state));
        let (ctx, _) = endpoint.context("wait_for_job");
        let error = sensor(json!({})).poke(&ctx).await.unwrap_err().to_string();
        assert!(
            error.contains(state) && error.contains("it broke") && error.contains("$252Faws-glue$252Fjobs$252Ferror"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_verbose_look_reads_both_groups_and_prints_each_event_once() {
    let endpoint = Endpoint::scripted().await;
    for state in ["RUNNING", "RUNNING", "SUCCEEDED", "SUCCEEDED"] {
        endpoint.answer("GetJobRun", run(state));
    }
    endpoint.answer("FilterLogEvents", events(&[("1", 10_000, "one\n")], Some("more")));
    endpoint.answer("FilterLogEvents", events(&[("2", 11_000, "two\n")], None));
    endpoint.refuse("FilterLogEvents", "ResourceNotFoundException", "no such group");
    endpoint.answer("FilterLogEvents", events(&[("2", 11_000, "two\n"), ("3", 11_000, "three\n")], None));
    endpoint.answer("FilterLogEvents", events(&[("4", 12_000, "warning\n")], None));
    let (ctx, services) = endpoint.context("wait_for_job");
    let wait = sensor(json!({"verbose": true}));
    assert_eq!(wait.poke(&ctx).await.unwrap(), Poke::NotYet);
    assert_eq!(wait.poke(&ctx).await.unwrap(), Poke::Done(None));
    let log = services.log_text();
    for line in ["one", "two", "three", "warning"] {
        assert_eq!(lines(&log, line), 1, "{log}");
    }
    assert!(log.contains("Glue Job Run /aws-glue/jobs/output Logs:"), "{log}");
    assert!(log.contains("No new Glue driver logs so far."), "{log}");
    let calls = endpoint.calls();
    let operations: Vec<_> = calls.iter().map(|call| call.operation.as_str()).collect();
    let look = ["GetJobRun", "GetJobRun", "FilterLogEvents", "FilterLogEvents", "FilterLogEvents"];
    assert_eq!(operations[..5], look);
    assert_eq!(operations[5..], look[..4]);
    assert_eq!(calls[2].body["logGroupName"], "/aws-glue/jobs/output");
    assert_eq!(calls[2].body["logStreamNames"], json!(["jr_1"]));
    assert_eq!(calls[2].body["startTime"], 1_700_000_000_500_i64);
    assert_eq!(calls[4].body["logGroupName"], "/aws-glue/jobs/error");
}

#[tokio::test]
async fn trouble_with_the_log_does_not_fail_the_task() {
    let endpoint = Endpoint::scripted().await;
    endpoint.answer("GetJobRun", run("SUCCEEDED")).answer("GetJobRun", run("SUCCEEDED"));
    for _ in 0..2 {
        endpoint.refuse("FilterLogEvents", "AccessDeniedException", "no logs:FilterLogEvents");
    }
    let (ctx, services) = endpoint.context("wait_for_job");
    assert_eq!(sensor(json!({"verbose": true})).poke(&ctx).await.unwrap(), Poke::Done(None));
    assert!(services.log_text().contains("no logs:FilterLogEvents"));
}

#[tokio::test]
async fn in_reschedule_mode_the_next_attempt_goes_on_reading_where_the_last_one_stopped() {
    let endpoint = Endpoint::scripted().await;
    let look = || {
        endpoint.answer("GetJobRun", run("RUNNING")).answer("GetJobRun", run("RUNNING"));
        endpoint.answer("FilterLogEvents", events(&[("1", 10_000, "one\n")], None));
        endpoint.answer("FilterLogEvents", events(&[], None));
    };
    look();
    let settings = sensor_settings(SensorMode::Reschedule);
    let (first, services) = endpoint.task("wait_for_job").sensor(settings).build();
    sensor(json!({"verbose": true})).poke(&first).await.unwrap();
    assert_eq!(lines(&services.log_text(), "one"), 1);
    let saved = services.checkpoints().pop().unwrap();
    look();
    let (second, services) =
        endpoint.task("wait_for_job").sensor(settings).checkpoint(saved).with(|info| info.pokes_before = 1).build();
    sensor(json!({"verbose": true})).poke(&second).await.unwrap();
    assert_eq!(lines(&services.log_text(), "one"), 0);
}

#[tokio::test]
async fn a_throttled_look_is_tried_five_times() {
    let endpoint = Endpoint::scripted().await;
    let throttle = |times: u32| {
        for _ in 0..times {
            endpoint.refuse("GetJobRun", "ThrottlingException", "Rate exceeded");
        }
    };
    // The SDK's own attempts would multiply these.
    let wait = sensor(json!({"botocore_config": {"retries": {"max_attempts": 0}}}));
    throttle(4);
    endpoint.answer("GetJobRun", run("SUCCEEDED"));
    let (ctx, services) = endpoint.context("wait_for_job");
    assert_eq!(wait.poke(&ctx).await.unwrap(), Poke::Done(None));
    assert_eq!(services.sleeps().len(), 4);
    throttle(5);
    let error = wait.poke(&ctx).await.unwrap_err().to_string();
    assert!(error.contains("ThrottlingException"), "{error}");
    assert_eq!(endpoint.take_operations().len(), 10);
}

#[tokio::test]
async fn an_unknown_run_fails_at_once() {
    let endpoint = Endpoint::scripted().await;
    endpoint.refuse("GetJobRun", "EntityNotFoundException", "no such run");
    let (ctx, _) = endpoint.context("wait_for_job");
    let error = sensor(json!({})).poke(&ctx).await.unwrap_err().to_string();
    assert!(error.contains("EntityNotFoundException"), "{error}");
}
