//! The S3 key sensor, call by call.

use serde_json::json;

use super::endpoint::{Endpoint, operator};
use crate::operator::Runnable;
use crate::sensor::{Poke, Sensor};

fn sensor(parameters: serde_json::Value) -> Box<dyn Sensor> {
    let Runnable::Sensor(sensor) = operator("s3_key_sensor", parameters) else { panic!("a sensor") };
    sensor
}

fn page(keys: &[&str], next: Option<&str>) -> String {
    let contents: String = keys.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
    let token = next.map(|t| format!("<NextContinuationToken>{t}</NextContinuationToken>")).unwrap_or_default();
    format!("<ListBucketResult><IsTruncated>{}</IsTruncated>{contents}{token}</ListBucketResult>", next.is_some())
}

#[tokio::test]
async fn a_wildcard_lists_by_its_literal_prefix_and_stops_at_the_first_page_with_a_match() {
    let endpoint = Endpoint::scripted().await;
    endpoint.script("ListObjectsV2", 200, page(&["raw/a.txt"], Some("two")));
    endpoint.script("ListObjectsV2", 200, page(&["raw/b.csv"], Some("three")));
    let (ctx, services) = endpoint.context("wait");
    let wait = sensor(json!({"bucket_key": "s3://data/raw/*.csv", "wildcard_match": true}));
    assert_eq!(wait.poke(&ctx).await.unwrap(), Poke::Done(None));
    let paths: Vec<_> = endpoint.calls().iter().map(|call| call.body.as_str().unwrap().to_owned()).collect();
    assert_eq!(paths.len(), 2, "{paths:?}");
    assert!(paths[0].contains("list-type=2") && paths[0].contains("prefix=raw%2F"), "{paths:?}");
    assert!(paths[1].contains("continuation-token=two"), "{paths:?}");
    assert!(services.log_text().contains("Poking for key : s3://data/raw/*.csv"));
    assert_eq!(services.pushed(), []);
}

#[tokio::test]
async fn a_regular_expression_is_listed_by_what_it_must_begin_with() {
    let endpoint = Endpoint::scripted().await;
    endpoint.script("ListObjectsV2", 200, page(&["raw/1/x.csv"], None));
    let (ctx, _) = endpoint.context("wait");
    let wait = sensor(json!({"bucket_key": r"raw/\d+/x\.csv$", "bucket_name": "data", "use_regex": true}));
    assert_eq!(wait.poke(&ctx).await.unwrap(), Poke::Done(None));
    let path = endpoint.calls()[0].body.as_str().unwrap().to_owned();
    assert!(path.contains("prefix=raw%2F"), "{path}");
}

#[tokio::test]
async fn the_first_missing_key_of_several_ends_the_look() {
    let endpoint = Endpoint::scripted().await;
    endpoint.script("HeadObject", 200, String::new());
    endpoint.script("HeadObject", 404, String::new());
    let (ctx, _) = endpoint.context("wait");
    let wait = sensor(json!({"bucket_key": ["a", "b", "c"], "bucket_name": "data"}));
    assert_eq!(wait.poke(&ctx).await.unwrap(), Poke::NotYet);
    assert_eq!(endpoint.take_operations(), ["HeadObject", "HeadObject"]);
}

#[tokio::test]
async fn a_refused_look_says_that_the_key_may_be_absent() {
    let endpoint = Endpoint::scripted().await;
    endpoint.script("HeadObject", 403, String::new());
    let (ctx, _) = endpoint.context("wait");
    let error = sensor(json!({"bucket_key": "a", "bucket_name": "data"})).poke(&ctx).await.unwrap_err().to_string();
    assert!(error.contains("HeadObject failed with 403"), "{error}");
    assert!(error.contains("403 may mean that the key is absent"), "{error}");
    assert!(error.contains("connection 'aws_default'"), "{error}");
}
