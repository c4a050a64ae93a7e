//! `check_fn` of the S3 key sensor: real Python that judges what a scripted S3 holds.

use std::sync::Arc;

use serde_json::{Value, json};
use windrose_core::cause::Cause;
use windrose_core::dag::SensorMode;

use super::endpoint::{Endpoint, complaint, operator};
use crate::error::TaskError;
use crate::operator::Done;
use crate::testing::{TestServices, sensor_settings};

/// A listing with a size for each key; every object was changed at the same moment.
fn page(objects: &[(&str, u32)], next: Option<&str>) -> String {
    let contents: String = objects
        .iter()
        .map(|(key, size)| {
            format!(
                "<Contents><Key>{key}</Key><Size>{size}</Size><LastModified>2026-01-02T03:04:05.000Z</LastModified>\
                 <StorageClass>STANDARD</StorageClass></Contents>"
            )
        })
        .collect();
    let token = next.map(|t| format!("<NextContinuationToken>{t}</NextContinuationToken>")).unwrap_or_default();
    format!("<ListBucketResult><IsTruncated>{}</IsTruncated>{contents}{token}</ListBucketResult>", next.is_some())
}

/// Runs the sensor in this mode beside a file `scripts/check.py`.
async fn wait(
    endpoint: &Endpoint,
    mode: SensorMode,
    script: &str,
    parameters: Value,
) -> (Result<Done, TaskError>, Arc<TestServices>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("scripts")).unwrap();
    std::fs::write(folder.path().join("scripts/check.py"), script).unwrap();
    let mut all = json!({"bucket_name": "data", "check_fn": "scripts/check.py:good"});
    for (key, value) in parameters.as_object().unwrap() {
        all[key] = value.clone();
    }
    let task = endpoint.task("wait").sensor(sensor_settings(mode)).with(|info| {
        info.is_in(folder.path());
        info.template_context = json!({"ds": "2026-01-02", "task_id": "wait", "params": {"least": 2}});
    });
    let (ctx, services) = task.build();
    (operator("s3_key_sensor", all).execute(&ctx).await, services)
}

/// What the function was given: it prints that as JSON.
fn given(services: &TestServices) -> Value {
    let log = services.log_text();
    let line = log.lines().find_map(|line| line.strip_prefix("given "));
    serde_json::from_str(line.unwrap_or_else(|| panic!("nothing was given: {log}"))).unwrap()
}

const TELLING: &str =
    "import json\ndef good(files):\n    print('given', json.dumps(files, default=str))\n    return True\n";

#[tokio::test]
async fn with_a_wildcard_it_gets_all_that_match_on_all_pages() {
    let endpoint = Endpoint::scripted().await;
    endpoint.script("ListObjectsV2", 200, page(&[("raw/a.csv", 1), ("raw/a.txt", 9)], Some("two")));
    endpoint.script("ListObjectsV2", 200, page(&[("raw/b.csv", 2)], None));
    let parameters = json!({"bucket_key": "raw/*.csv", "wildcard_match": true});
    let (result, services) = wait(&endpoint, SensorMode::Poke, TELLING, parameters).await;
    assert_eq!(result.unwrap(), Done::default());
    assert_eq!(given(&services), json!([{"Size": 1, "Key": "raw/a.csv"}, {"Size": 2, "Key": "raw/b.csv"}]));
    assert_eq!(endpoint.take_operations(), ["ListObjectsV2", "ListObjectsV2"]);
    assert!(services.log_text().contains("check_fn scripts/check.py:good returned True for 2 objects"));
    assert_eq!(services.pushed(), []);
}

#[tokio::test]
async fn with_a_regular_expression_it_is_asked_too() {
    let endpoint = Endpoint::scripted().await;
    endpoint.script("ListObjectsV2", 200, page(&[("raw/1/x.csv", 7), ("raw/y/x.csv", 8)], None));
    let parameters = json!({"bucket_key": r"raw/\d+/", "use_regex": true});
    let (result, services) = wait(&endpoint, SensorMode::Poke, TELLING, parameters).await;
    assert_eq!(result.unwrap(), Done::default());
    assert_eq!(given(&services), json!([{"Size": 7, "Key": "raw/1/x.csv"}]));
}

#[tokio::test]
async fn with_a_plain_key_it_gets_the_size_and_as_in_airflow_no_key() {
    let endpoint = Endpoint::scripted().await;
    endpoint.script("HeadObject", 200, "12345".to_owned());
    let (result, services) = wait(&endpoint, SensorMode::Poke, TELLING, json!({"bucket_key": "raw/a.csv"})).await;
    assert_eq!(result.unwrap(), Done::default());
    assert_eq!(given(&services), json!([{"Size": 5, "Key": null}]));
    assert_eq!(endpoint.take_operations(), ["HeadObject"]);
}

#[tokio::test]
async fn it_is_asked_once_for_each_key_and_the_first_no_ends_the_look() {
    let endpoint = Endpoint::scripted().await;
    for body in ["1234", "12", "1"] {
        endpoint.script("HeadObject", 200, body.to_owned());
    }
    let script = "def good(files):\n    return files[0]['Size'] > 3\n";
    let (result, services) =
        wait(&endpoint, SensorMode::Reschedule, script, json!({"bucket_key": ["a", "b", "c"]})).await;
    assert!(matches!(result.unwrap_err(), TaskError::Reschedule { .. }));
    assert_eq!(endpoint.take_operations(), ["HeadObject", "HeadObject"]);
    assert!(services.log_text().contains("returned False for 1 object\n"), "{}", services.log_text());
}

#[tokio::test]
async fn what_a_listing_does_not_say_is_asked_of_each_object() {
    let endpoint = Endpoint::scripted().await;
    endpoint.script("ListObjectsV2", 200, page(&[("a.csv", 1), ("b.csv", 2)], None));
    endpoint.script("HeadObject", 200, "x".to_owned()).script("HeadObject", 200, "xx".to_owned());
    let keys = json!(["Key", "StorageClass", "ContentLength", "VersionId"]);
    let parameters = json!({"bucket_key": "*.csv", "wildcard_match": true, "metadata_keys": keys});
    let (result, services) = wait(&endpoint, SensorMode::Poke, TELLING, parameters).await;
    assert_eq!(result.unwrap(), Done::default());
    let of = |key: &str, length: u32| json!({"Key": key, "StorageClass": "STANDARD", "ContentLength": length, "VersionId": null});
    assert_eq!(given(&services), json!([of("a.csv", 1), of("b.csv", 2)]));
    assert_eq!(endpoint.take_operations(), ["ListObjectsV2", "HeadObject", "HeadObject"]);
}

#[tokio::test]
async fn a_star_among_the_metadata_keys_gives_all_of_head_object() {
    let endpoint = Endpoint::scripted().await;
    endpoint.script("HeadObject", 200, "123".to_owned());
    let parameters = json!({"bucket_key": "a", "metadata_keys": ["*"]});
    let (result, services) = wait(&endpoint, SensorMode::Poke, TELLING, parameters).await;
    assert_eq!(result.unwrap(), Done::default());
    let given = given(&services);
    assert_eq!((&given[0]["ContentLength"], &given[0]["Metadata"]), (&json!(3), &json!({})), "{given}");
    assert_eq!(given[0]["ContentType"], "application/x-amz-json-1.1");
    assert_eq!(endpoint.take_operations(), ["HeadObject"]);
}

#[tokio::test]
async fn dates_are_dates() {
    let endpoint = Endpoint::scripted().await;
    endpoint.script("ListObjectsV2", 200, page(&[("a", 1)], None));
    let script = "import datetime\ndef good(files):\n    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, \
                  tzinfo=datetime.timezone.utc)\n    return files[0]['LastModified'] == moment\n";
    let parameters = json!({"bucket_key": "a*", "wildcard_match": true, "metadata_keys": ["LastModified"]});
    let (result, services) = wait(&endpoint, SensorMode::Reschedule, script, parameters).await;
    assert_eq!(result.unwrap(), Done::default(), "{}", services.log_text());
}

#[tokio::test]
async fn it_gets_the_context_only_if_it_takes_any_keyword() {
    let with = "def good(files, ds, **context):\n    return ds == '2026-01-02' and context['params']['least'] == 2\n";
    let without = "def good(files, ds='nothing'):\n    return ds == 'nothing'\n";
    for script in [with, without] {
        let endpoint = Endpoint::scripted().await;
        endpoint.script("HeadObject", 200, String::new());
        let (result, services) = wait(&endpoint, SensorMode::Reschedule, script, json!({"bucket_key": "a"})).await;
        assert_eq!(result.unwrap(), Done::default(), "{}", services.log_text());
    }
}

#[tokio::test]
async fn it_is_not_asked_while_there_is_nothing() {
    let endpoint = Endpoint::scripted().await;
    endpoint.script("ListObjectsV2", 200, page(&[("other", 1)], None));
    let parameters = json!({"bucket_key": "raw/*", "wildcard_match": true});
    let (result, services) = wait(&endpoint, SensorMode::Reschedule, "raise Exception('asked')", parameters).await;
    assert!(matches!(result.unwrap_err(), TaskError::Reschedule { .. }), "{}", services.log_text());
}

/// Grows by one object with each look; good from the third on.
async fn grown(mode: SensorMode, deferrable: bool) -> (Result<Done, TaskError>, Arc<TestServices>, Vec<String>) {
    let endpoint = Endpoint::scripted().await;
    let objects = [("raw/a", 1), ("raw/b", 2), ("raw/c", 3)];
    for count in 1..=3 {
        endpoint.script("ListObjectsV2", 200, page(&objects[..count], None));
    }
    let parameters = json!({"bucket_key": "raw/*", "wildcard_match": true, "deferrable": deferrable});
    // What is true but not `True` counts too.
    let script = "def good(files):\n    return files[2:]\n";
    let (result, services) = wait(&endpoint, mode, script, parameters).await;
    (result, services, endpoint.take_operations())
}

#[tokio::test]
async fn a_sensor_that_pokes_or_defers_waits_until_the_function_says_yes() {
    for (mode, deferrable, deferrals) in [
        (SensorMode::Poke, false, vec![]),
        (SensorMode::Deferred, false, vec![true]),
        (SensorMode::Poke, true, vec![true]),
    ] {
        let (result, services, calls) = grown(mode, deferrable).await;
        assert_eq!(result.unwrap(), Done::default());
        assert_eq!(calls.len(), 3);
        assert_eq!(services.sleeps().len(), 2);
        assert_eq!(services.deferrals(), deferrals);
    }
}

#[tokio::test]
async fn a_sensor_that_is_rescheduled_gives_everything_back_after_a_no() {
    let (result, _, calls) = grown(SensorMode::Reschedule, false).await;
    assert!(matches!(result.unwrap_err(), TaskError::Reschedule { .. }));
    assert_eq!(calls.len(), 1);
}

#[tokio::test]
async fn what_the_function_raises_is_the_cause_and_a_skip_is_a_skip() {
    let raising = async |body: &str| {
        let endpoint = Endpoint::scripted().await;
        endpoint.script("HeadObject", 200, String::new());
        let script = format!("import sys\nimport windrose\ndef good(files):\n    {body}\n");
        wait(&endpoint, SensorMode::Poke, &script, json!({"bucket_key": "a"})).await.0.unwrap_err()
    };
    let raised = raising("raise ValueError('no header')").await;
    let TaskError::Failed { cause: Cause::Python { exception, location, .. }, retry: true } = raised else {
        panic!("{raised:?}")
    };
    assert_eq!((exception.as_str(), location.as_deref()), ("ValueError", Some("scripts/check.py:4")));
    assert!(matches!(raising("raise windrose.Skip('holiday')").await, TaskError::Skip { .. }));
    assert!(matches!(raising("raise windrose.Fail('never')").await, TaskError::Failed { retry: false, .. }));
    let left = raising("sys.exit(0)").await.to_string();
    assert!(left.contains("left the process instead of returning"), "{left}");
    let left = raising("sys.exit(3)").await;
    assert!(matches!(left, TaskError::Failed { cause: Cause::ExitCode { code: 3, .. }, .. }), "{left:?}");
}

#[tokio::test]
async fn a_function_that_is_not_there_is_named() {
    let endpoint = Endpoint::scripted().await;
    for (check_fn, expected) in [
        ("scripts/none.py:good", "There is no file 'scripts/none.py'"),
        ("scripts/check.py:bad", "has no attribute 'bad'"),
    ] {
        endpoint.script("HeadObject", 200, String::new());
        let parameters = json!({"bucket_key": "a", "check_fn": check_fn});
        let error = wait(&endpoint, SensorMode::Poke, TELLING, parameters).await.0.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_check_that_is_no_function_of_a_file_is_refused() {
    for wrong in ["scripts/check.py", "check.py:", "module:good", "good"] {
        let text = complaint("s3_key_sensor", json!({"bucket_key": "a", "check_fn": wrong}));
        assert!(text.contains("must be a function in a file of the DAG's folder"), "{text}");
    }
}
