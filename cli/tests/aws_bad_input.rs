//! What goes wrong at AWS ends in a sentence that says what, where, and what to do: in the task's log and in the lists.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use support::started_lab;
use windrose_testkit::process::Workspace;

const NOTHING_THERE: &str = r#"
[tasks.no_bucket]
operator      = "s3_key_sensor"
bucket_key    = "s3://no-such-bucket/products.csv"
poke_interval = 0.1
timeout       = 0.2
[tasks.no_bucket_wildcard]
operator       = "s3_key_sensor"
bucket_key     = "s3://no-such-bucket/products/*.csv"
wildcard_match = true
[tasks.no_crawler]
operator     = "glue_crawler_sensor"
crawler_name = "no-such-crawler"
[tasks.no_crawler_to_start]
operator = "glue_crawler"
config   = { Name = "no-such-crawler" }
[tasks.never_crawled]
operator     = "glue_crawler_sensor"
crawler_name = "products"
[tasks.no_job]
operator = "glue_job_sensor"
job_name = "no-such-job"
run_id   = "jr_1"
[tasks.no_job_to_start]
operator = "glue_job"
job_name = "no-such-job"
"#;

/// What the sentence of each task has to hold.
const SAID: [(&str, &[&str]); 7] = [
    ("no_bucket", &["sensor timeout", "s3://no-such-bucket/products.csv", "check the key, and that the bucket exists"]),
    (
        "no_bucket_wildcard",
        &["NoSuchBucket", "There is no bucket 'no-such-bucket'", "Correct bucket_name", "connection 'aws_default'"],
    ),
    ("no_crawler", &["There is no Glue crawler 'no-such-crawler' in us-east-1", "Correct crawler_name or region_name"]),
    ("no_crawler_to_start", &["There is no Glue crawler 'no-such-crawler' in us-east-1", "give Role and Targets"]),
    ("never_crawled", &["The Glue crawler 'products' has never run", "Start it before this sensor"]),
    ("no_job", &["There is no Glue job 'no-such-job' with a run 'jr_1' in us-east-1", "correct job_name, run_id"]),
    ("no_job_to_start", &["The Glue job 'no-such-job' must be created", "iam_role_name or iam_role_arn"]),
];

#[test]
fn what_is_not_there_is_named_with_its_place_and_what_to_do() {
    let (lab, workspace) = started_lab();
    workspace.write_dag("nothing_there.toml", NOTHING_THERE);
    let _standalone = workspace.standalone();
    let waited = workspace.refused(&["dags", "trigger", "nothing_there", "--run-id", "r", "--wait"]);
    let listed = workspace.json(&["tasks", "list", "nothing_there"]);
    let shown = workspace.ok(&["runs", "show", "nothing_there", "r"]);
    for (task, parts) in SAID {
        let row = listed.as_array().unwrap().iter().find(|row| row["task_id"] == task).expect(task);
        let sentence = row["cause_text"].as_str().unwrap_or_else(|| panic!("{task} has no cause: {row}"));
        for part in parts {
            assert!(sentence.contains(part), "'{part}' is missing for {task}: {sentence}");
        }
        let log = workspace.task_log("nothing_there", "r", task);
        assert!(log.contains(&format!("Task failed: {sentence}")), "{log}");
        assert!(shown.contains(sentence), "{shown}");
        assert!(waited.contains(sentence), "{waited}");
    }
    assert_eq!(lab.count("CreateCrawler") + lab.count("CreateJob") + lab.count("StartJobRun"), 0);
}

/// A metadata service that refuses everybody, as a proxy in front of it may. Lives as long as the test.
fn refusing_metadata_service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let _ = client.read(&mut [0; 4096]);
            let _ = client.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    url
}

#[test]
fn without_credentials_it_is_said_which_connection_was_asked_and_how_to_give_some() {
    let empty = r#"{"conn_type": "aws", "extra": {"region_name": "us-east-1"}}"#;
    let named = "operator = \"glue_job_sensor\"\njob_name = \"j\"\nrun_id = \"r\"\naws_conn_id = \"lake\"\n";
    let key = "operator = \"s3_key_sensor\"\nbucket_key = \"s3://inbox/a\"\nregion_name = \"us-east-1\"\n";
    let mut workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    workspace.set_env("AIRFLOW_CONN_LAKE", empty);
    workspace.set_env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &refusing_metadata_service());
    workspace.set_env("AWS_CONFIG_FILE", "/dev/null");
    workspace.set_env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    let dag = format!("[tasks.key]\n{key}[tasks.named]\n{named}[tasks.nobody]\n{key}aws_conn_id = \"\"\n");
    workspace.write_dag("poor.toml", &dag);
    let mut command = workspace.command(&["standalone", "--no-web"]);
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"] {
        command.env_remove(name);
    }
    let _standalone = workspace.standalone_from(command);
    let _ = workspace.refused(&["dags", "trigger", "poor", "--run-id", "r", "--wait"]);
    let listed = workspace.json(&["tasks", "list", "poor"]);
    for (task, asked, id) in [
        ("key", "there is no connection 'aws_default'", "aws_default"),
        ("named", "connection 'lake' holds none (no login and password, no profile_name)", "lake"),
        ("nobody", "the task names no connection", "aws_default"),
    ] {
        let row = listed.as_array().unwrap().iter().find(|row| row["task_id"] == task).expect(task);
        assert_eq!((&row["cause"]["kind"], &row["cause"]["code"]), (&"aws".into(), &"NoCredentials".into()), "{row}");
        let sentence = row["cause_text"].as_str().unwrap();
        let advice = format!("windrose connections set {id} ");
        let variable = format!("AIRFLOW_CONN_{}", id.to_uppercase());
        for part in [asked, "the SDK's default chain found none either", &advice, &variable, "a role"] {
            assert!(sentence.contains(part), "'{part}' is missing for {task}: {sentence}");
        }
        assert!(!sentence.contains("403") && !sentence.contains("IMDS"), "{sentence}");
        assert!(workspace.task_log("poor", "r", task).contains(sentence));
    }
}
