//! The crawler operator and its sensor, call by call.

#![expect(clippy::needless_pass_by_value, reason = "tests read better with `json!` in place")]

use serde_json::{Value, json};

use super::endpoint::{Endpoint, complaint, operator};
use crate::operator::{Done, Runnable};
use crate::remote_job::{Progress, RemoteJob, run_remote};
use crate::sensor::{Poke, Sensor};

fn job(parameters: Value) -> Box<dyn RemoteJob> {
    let Runnable::Remote(job) = operator("glue_crawler", parameters) else { panic!("a remote job") };
    job
}

fn sensor() -> Box<dyn Sensor> {
    let parameters = json!({"crawler_name": "products"});
    let Runnable::Sensor(sensor) = operator("glue_crawler_sensor", parameters) else { panic!("a sensor") };
    sensor
}

fn crawler(state: &str, crawl: Value) -> Value {
    json!({"Crawler": {"Name": "products", "Role": "glue-role", "State": state, "LastCrawl": crawl}})
}

fn crawl(status: &str, started: f64) -> Value {
    json!({"Status": status, "StartTime": started, "LogGroup": "/aws-glue/crawlers", "LogStream": "products"})
}

fn same_config() -> Value {
    json!({"Name": "products", "Role": "glue-role"})
}

#[tokio::test]
async fn a_crawler_that_is_there_is_started_without_an_update_and_not_waited_for() {
    let endpoint = Endpoint::scripted().await;
    endpoint.answer("GetCrawler", crawler("READY", Value::Null)).answer("GetCrawler", crawler("READY", Value::Null));
    endpoint.answer("StartCrawler", json!({}));
    let (ctx, _) = endpoint.context("crawl_s3");
    let work = job(json!({"config": same_config(), "wait_for_completion": false}));
    assert_eq!(run_remote(work.as_ref(), &ctx).await.unwrap(), Done::with(json!("products")));
    assert_eq!(endpoint.take_operations(), ["GetCrawler", "GetCrawler", "StartCrawler"]);
}

#[tokio::test]
async fn a_crawler_that_differs_is_updated_with_the_whole_config_and_its_tags_are_made_right() {
    let endpoint = Endpoint::scripted().await;
    endpoint.answer("GetCrawler", crawler("READY", Value::Null)).answer("GetCrawler", crawler("READY", Value::Null));
    let caller = "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>123456789012</Account>\
                  </GetCallerIdentityResult></GetCallerIdentityResponse>";
    endpoint.script("GetCallerIdentity", 200, caller.to_owned());
    endpoint.answer("GetTags", json!({"Tags": {"old": "1", "kept": "2", "changed": "3"}}));
    endpoint.answer("TagResource", json!({})).answer("UntagResource", json!({}));
    endpoint.answer("UpdateCrawler", json!({})).answer("StartCrawler", json!({}));
    let (ctx, _) = endpoint.context("crawl_s3");
    let config = json!({
        "Name": "products", "Role": "other-role", "Targets": {"S3Targets": [{"Path": "s3://b/products"}]},
        "Tags": {"kept": "2", "changed": "4", "new": "5"},
    });
    run_remote(job(json!({"config": config, "wait_for_completion": false})).as_ref(), &ctx).await.unwrap();
    let calls = endpoint.calls();
    let body = |operation: &str| calls.iter().find(|call| call.operation == operation).unwrap().body.clone();
    let update = json!({
        "Name": "products", "Role": "other-role", "Targets": {"S3Targets": [{"Path": "s3://b/products"}]},
    });
    assert_eq!(body("UpdateCrawler"), update);
    assert_eq!(body("TagResource")["ResourceArn"], "arn:aws:glue:us-east-1:123456789012:crawler/products");
    assert_eq!(body("TagResource")["TagsToAdd"], json!({"changed": "4", "new": "5"}));
    assert_eq!(body("UntagResource")["TagsToRemove"], json!(["old"]));
}

#[tokio::test]
async fn a_crawler_that_is_missing_is_created_and_needs_targets_for_that() {
    let endpoint = Endpoint::scripted().await;
    for _ in 0..2 {
        endpoint.refuse("GetCrawler", "EntityNotFoundException", "Crawler products not found.");
    }
    let (ctx, _) = endpoint.context("crawl_s3");
    let error = run_remote(job(json!({"config": same_config()})).as_ref(), &ctx).await.unwrap_err().to_string();
    assert!(error.contains("Missing required parameter in input: \"Targets\""), "{error}");
    endpoint.answer("CreateCrawler", json!({})).answer("StartCrawler", json!({}));
    let config = json!({"Name": "products", "Role": "r", "Targets": {}, "Tags": {"a": "b"}});
    run_remote(job(json!({"config": config, "wait_for_completion": false})).as_ref(), &ctx).await.unwrap();
    assert_eq!(endpoint.take_operations(), ["GetCrawler", "GetCrawler", "CreateCrawler", "StartCrawler"]);
}

#[tokio::test]
async fn waiting_does_not_take_the_crawl_before_for_its_own() {
    let endpoint = Endpoint::scripted().await;
    let before = crawler("READY", crawl("FAILED", 100.0));
    endpoint.answer("GetCrawler", before.clone()).answer("GetCrawler", before.clone());
    endpoint.answer("StartCrawler", json!({}));
    endpoint.answer("GetCrawler", before.clone()).answer("GetCrawler", crawler("RUNNING", crawl("FAILED", 100.0)));
    for _ in 0..2 {
        endpoint.answer("GetCrawler", crawler("READY", crawl("SUCCEEDED", 200.0)));
    }
    endpoint
        .answer("GetCrawlerMetrics", json!({"CrawlerMetricsList": [{"CrawlerName": "products", "TablesCreated": 1}]}));
    let (ctx, services) = endpoint.context("crawl_s3");
    let done = run_remote(job(json!({"config": same_config()})).as_ref(), &ctx).await.unwrap();
    assert_eq!(done, Done::with(json!("products")));
    assert_eq!(services.sleeps().len(), 2);
    assert!(services.log_text().contains("Tables Created: 1"), "{}", services.log_text());
    assert_eq!(endpoint.take_operations().last().unwrap(), "GetCrawlerMetrics");
}

#[tokio::test]
async fn a_crawl_that_failed_fails_the_task_with_its_message_and_log() {
    let endpoint = Endpoint::scripted().await;
    endpoint.answer("GetCrawler", crawler("READY", Value::Null)).answer("GetCrawler", crawler("READY", Value::Null));
    endpoint.answer("StartCrawler", json!({}));
    let mut failed = crawl("FAILED", 300.0);
    failed["ErrorMessage"] = json!("Access Denied to s3://b");
    endpoint.answer("GetCrawler", crawler("READY", failed));
    let (ctx, _) = endpoint.context("crawl_s3");
    let error = run_remote(job(json!({"config": same_config()})).as_ref(), &ctx).await.unwrap_err().to_string();
    assert!(error.contains("products ended in state FAILED: Access Denied to s3://b"), "{error}");
    assert!(error.contains("/aws-glue/crawlers") && error.contains("cloudwatch"), "{error}");
}

#[tokio::test]
async fn a_crawler_that_runs_already_fails_the_first_try_but_is_ours_on_a_retry() {
    let endpoint = Endpoint::scripted().await;
    let work = || job(json!({"config": same_config(), "wait_for_completion": false}));
    let script = || {
        endpoint
            .answer("GetCrawler", crawler("RUNNING", Value::Null))
            .answer("GetCrawler", crawler("RUNNING", Value::Null));
        endpoint.refuse("StartCrawler", "CrawlerRunningException", "Crawler with name products has already started");
    };
    script();
    let (first, _) = endpoint.context("crawl_s3");
    let error = run_remote(work().as_ref(), &first).await.unwrap_err().to_string();
    assert!(error.contains("CrawlerRunningException") && error.contains("fail_on_already_running"), "{error}");
    script();
    let (retry, services) = endpoint.task("crawl_s3").with(|info| info.try_number = 2).build();
    run_remote(work().as_ref(), &retry).await.unwrap();
    assert!(services.log_text().contains("earlier try's crawl"));
    script();
    let (tolerant, _) = endpoint.context("crawl_s3");
    let parameters = json!({"config": same_config(), "wait_for_completion": false, "fail_on_already_running": false});
    run_remote(job(parameters).as_ref(), &tolerant).await.unwrap();
}

#[tokio::test]
async fn an_attempt_that_takes_over_knows_whether_the_crawl_was_started() {
    let endpoint = Endpoint::scripted().await;
    let about_to = json!({"crawler": "products", "previous_crawl": 100.0, "started": false});
    let (ctx, _) = endpoint.context("crawl_s3");
    let work = job(json!({"config": same_config()}));
    endpoint.answer("GetCrawler", crawler("READY", crawl("SUCCEEDED", 100.0)));
    assert!(matches!(work.poll(&ctx, &about_to).await.unwrap(), Progress::Unknown));
    endpoint.answer("GetCrawler", crawler("READY", crawl("SUCCEEDED", 200.0)));
    assert!(matches!(work.poll(&ctx, &about_to).await.unwrap(), Progress::Succeeded));
    endpoint.answer("GetCrawler", crawler("RUNNING", crawl("SUCCEEDED", 100.0)));
    assert!(matches!(work.poll(&ctx, &about_to).await.unwrap(), Progress::Running(_)));
}

#[tokio::test]
async fn cancelling_stops_the_crawl_only_if_that_is_wanted() {
    let endpoint = Endpoint::scripted().await;
    let handle = json!({"crawler": "products", "previous_crawl": null, "started": true});
    let (ctx, _) = endpoint.context("crawl_s3");
    job(json!({"config": same_config()})).cancel(&ctx, &handle).await.unwrap();
    assert!(endpoint.take_operations().is_empty());
    endpoint.refuse("StopCrawler", "CrawlerNotRunningException", "not running");
    let work = job(json!({"config": same_config(), "stop_crawler_on_kill": true}));
    work.cancel(&ctx, &handle).await.unwrap();
    assert_eq!(endpoint.take_operations(), ["StopCrawler"]);
}

#[tokio::test]
async fn the_sensor_waits_while_the_crawler_runs_and_looks_once_more_when_it_is_ready() {
    let endpoint = Endpoint::scripted().await;
    let (ctx, _) = endpoint.context("wait_for_crawl");
    endpoint.answer("GetCrawler", crawler("STOPPING", crawl("FAILED", 1.0)));
    assert_eq!(sensor().poke(&ctx).await.unwrap(), Poke::NotYet);
    for _ in 0..2 {
        endpoint.answer("GetCrawler", crawler("READY", crawl("SUCCEEDED", 1.0)));
    }
    assert_eq!(sensor().poke(&ctx).await.unwrap(), Poke::Done(None));
    assert_eq!(endpoint.take_operations(), ["GetCrawler", "GetCrawler", "GetCrawler"]);
}

#[tokio::test]
async fn the_sensor_fails_with_a_reason_for_each_bad_end() {
    let endpoint = Endpoint::scripted().await;
    let (ctx, _) = endpoint.context("wait_for_crawl");
    let mut failed = crawl("FAILED", 1.0);
    failed["ErrorMessage"] = json!("no such bucket");
    for (crawl, expected) in
        [(failed, "no such bucket"), (crawl("CANCELLED", 1.0), "CANCELLED"), (Value::Null, "has never run")]
    {
        for _ in 0..2 {
            endpoint.answer("GetCrawler", crawler("READY", crawl.clone()));
        }
        let error = sensor().poke(&ctx).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    endpoint.refuse("GetCrawler", "EntityNotFoundException", "Crawler products not found.");
    let error = sensor().poke(&ctx).await.unwrap_err().to_string();
    assert!(error.contains("EntityNotFoundException"), "{error}");
}

#[test]
fn a_slip_of_the_pen_in_the_config_is_refused() {
    let text = complaint("glue_crawler", json!({"config": {"Name": "products", "Tragets": {}}}));
    assert!(text.contains("Unknown parameter in input: \"Tragets\""), "{text}");
    let text = complaint("glue_crawler", json!({"config": {}}));
    assert!(text.contains("Missing required parameter in input: \"Name\""), "{text}");
}
