//! `windrose explain` with the real binary: every reason why something waits, from a live scheduler and without one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use serde_json::Value;
use windrose_testkit::TestDatabase;
use windrose_testkit::process::{Workspace, wait_until};

const POOLED: &str = r#"
max_active_runs = 2
[tasks.load]
operator = "bash"
# It ends with the folder of this test, also if nobody is left to stop it.
bash_command = 'while [ -d "$PWD" ]; do sleep 0.1; done'
pool = "narrow"
[tasks.report]
operator = "bash"
bash_command = "true"
upstream = ["load"]
"#;

const FAILING: &str = r#"
[tasks.flaky]
operator = "bash"
bash_command = "echo nothing came >&2; exit 3"
retries = 3
retry_delay = "1h"
"#;

const DAILY: &str = r#"
schedule = "0 5 1 1 *"
start_date = 2024-01-01
catchup = false
[tasks.a]
operator = "empty"
"#;

fn reasons(explained: &Value) -> Vec<&str> {
    explained.as_array().unwrap().iter().map(|why| why["reason"].as_str().unwrap()).collect()
}

/// Every reason has a sentence and a waker.
fn all_say_what_wakes(explained: &Value) {
    match explained {
        Value::Object(fields) => {
            if fields.contains_key("reason") {
                for field in ["text", "wakes"] {
                    assert!(fields[field].as_str().is_some_and(|text| !text.is_empty()), "{explained}");
                }
                assert_ne!(fields["reason"], "stuck", "{explained}");
            }
            fields.values().for_each(all_say_what_wakes);
        }
        Value::Array(items) => items.iter().for_each(all_say_what_wakes),
        _ => {}
    }
}

fn explain(workspace: &Workspace, args: &[&str]) -> Value {
    let mut all = vec!["explain"];
    all.extend(args);
    let explained = workspace.json(&all);
    all_say_what_wakes(&explained);
    explained
}

fn everything_that_waits_says_why(database: Option<&str>) {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), database);
    workspace.write_dag("pooled.toml", POOLED);
    workspace.write_dag("failing.toml", FAILING);
    workspace.write_dag("daily.toml", DAILY);
    let standalone = workspace.standalone();
    workspace.ok(&["pools", "set", "narrow", "1"]);
    for run in ["one", "two", "three"] {
        workspace.ok(&["dags", "trigger", "pooled", "--run-id", run]);
        if run == "one" {
            let _ = workspace.task_in("pooled", "one", "load", "running");
        }
    }

    // A full pool, and what is downstream.
    let two = &explain(&workspace, &["pooled", "two"])["runs"][0];
    let load = &two["tasks"][0];
    assert_eq!(reasons(&load["why"]), ["pool_full"], "{two}");
    assert_eq!(load["why"][0]["by"], serde_json::json!(["load of run one"]));
    let text = load["why"][0]["text"].as_str().unwrap();
    assert_eq!(text, "pool 'narrow' is 1/1 held by load of run one; it is 1st in line");
    assert_eq!(reasons(&two["tasks"][1]["why"]), ["upstream"]);
    assert_eq!(two["tasks"][1]["why"][0]["text"], "its rule all_success waits for load (scheduled)");
    let report = &explain(&workspace, &["pooled", "one", "report"])["runs"][0]["tasks"][0];
    let text = report["why"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("its rule all_success waits for load (running since 20"), "{text}");

    // A run without a place, and the DAG above it.
    let all = explain(&workspace, &["pooled"]);
    assert_eq!(reasons(&all["dag"]), ["no_schedule"]);
    let three = all["runs"].as_array().unwrap().iter().find(|run| run["run_id"] == "three").unwrap();
    assert_eq!(
        (reasons(&three["why"]), &three["why"][0]["by"]),
        (vec!["max_active_runs"], &serde_json::json!(["one", "two"]))
    );
    assert!(three["why"][0]["text"].as_str().unwrap().ends_with("are running: one, two; it is 1st in line"), "{three}");
    workspace.ok(&["dags", "pause", "pooled"]);
    wait_until("the scheduler to hear of the pause", || {
        let all = explain(&workspace, &["pooled"]);
        if reasons(&all["dag"]).contains(&"paused") { Ok(()) } else { Err(all.to_string()) }
    });
    let two = explain(&workspace, &["pooled", "two", "load"]);
    assert_eq!(reasons(&two["runs"][0]["tasks"][0]["why"]), ["pool_full", "paused"]);

    // A retry, with the cause; a schedule.
    workspace.ok(&["dags", "trigger", "failing", "--run-id", "r"]);
    let _ = workspace.task_in("failing", "r", "flaky", "up_for_retry");
    let flaky = &explain(&workspace, &["failing", "r", "flaky"])["runs"][0]["tasks"][0];
    assert_eq!(reasons(&flaky["why"]), ["retry"]);
    let text = flaky["why"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("it waits for retry 1 of 3 until 20") && text.contains("3"), "{text}");
    assert!(flaky["why"][0]["until"].is_string() && flaky["last_log_line"].is_string(), "{flaky}");
    let daily = explain(&workspace, &["daily"]);
    assert!(["not_due", "max_active_runs"].contains(&reasons(&daily["dag"])[0]), "{daily}");
    let said = workspace.ok(&["explain", "pooled", "two"]);
    assert!(said.contains("- pool 'narrow' is 1/1 held by load of run one") && said.contains("woken by: "), "{said}");

    // Nobody is there to wake anything.
    standalone.kill();
    let one = &explain(&workspace, &["pooled", "one"])["runs"][0];
    assert!(reasons(&one["why"]).contains(&"no_scheduler"), "{one}");
    assert_eq!(reasons(&one["tasks"][0]["why"]), ["lease_ended"]);
    assert_eq!(reasons(&one["tasks"][1]["why"]), ["upstream"]);
    let two = explain(&workspace, &["pooled", "two", "load"]);
    assert_eq!(reasons(&two["runs"][0]["tasks"][0]["why"]), ["pool_full", "paused"]);
    assert_eq!(workspace.find_run("pooled", "one").unwrap().task("load")["state"], "running", "asking changes nothing");
    assert!(reasons(&explain(&workspace, &["daily"])["dag"]).contains(&"no_scheduler"));
}

#[test]
fn everything_that_waits_says_why_on_sqlite() {
    everything_that_waits_says_why(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_waits_says_why_on_postgresql() {
    let database = TestDatabase::postgres().await;
    let url = database.url().to_owned();
    tokio::task::spawn_blocking(move || everything_that_waits_says_why(Some(&url))).await.unwrap();
}

#[test]
fn a_dag_that_waits_for_assets_says_for_which() {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    let both = r#"
schedule = { assets = { all = ["s3://b/a", { any = ["s3://b/c", { alias = "daily" }] }] } }
max_active_runs = 1
[tasks.t]
operator = "bash"
bash_command = 'while [ -d "$PWD" ]; do sleep 0.1; done'
"#;
    workspace.write_dag("both.toml", both);
    let standalone = workspace.standalone();
    let ask = || explain(&workspace, &["both"])["dag"].clone();
    let why = ask();
    assert_eq!(reasons(&why), ["assets"]);
    assert_eq!(why[0]["text"], "it waits for events of s3://b/a and (s3://b/c or alias daily)");
    workspace.ok(&["assets", "emit", "s3://b/a"]);
    let text = ask()[0]["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("it waits for events of s3://b/c or alias daily; there is s3://b/a since 20"), "{text}");
    workspace.ok(&["assets", "emit", "s3://b/c"]);
    wait_until("a run that fills its DAG", || {
        let why = ask();
        if reasons(&why) == ["max_active_runs"] { Ok(()) } else { Err(why.to_string()) }
    });
    standalone.kill();
    assert_eq!(reasons(&ask()), ["no_scheduler", "max_active_runs"]);
}

#[test]
fn dates_and_runs_of_a_backfill_say_why_they_wait() {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    let fill = r#"
schedule = "@daily"
start_date = 2100-01-01
[tasks.t]
operator = "bash"
bash_command = 'while [ -d "$PWD" ]; do sleep 0.1; done'
"#;
    workspace.write_dag("fill.toml", fill);
    let _standalone = workspace.standalone();
    workspace.ok(&[
        "backfill",
        "create",
        "fill",
        "--from",
        "2026-01-01",
        "--to",
        "2026-01-05",
        "--max-active-runs",
        "2",
    ]);
    let of_dag = |word: &str| {
        let why = explain(&workspace, &["fill"])["dag"].clone();
        why.as_array().unwrap().iter().find(|why| why["reason"] == word).cloned().ok_or(why)
    };
    let full = wait_until("dates that wait", || of_dag("backfill_full").map_err(|why| why.to_string()));
    let first = "backfill__2026-01-01T00:00:00+00:00";
    let text = full["text"].as_str().unwrap();
    assert!(
        text.starts_with("3 dates of backfill 1 wait for their turn: 2 of its 2 runs at a time have not"),
        "{text}"
    );
    assert_eq!(full["by"][0], first);
    workspace.ok(&["backfill", "pause", "1"]);
    let paused = of_dag("backfill_paused").unwrap();
    assert_eq!(paused["text"], "backfill 1 is paused; 3 of its dates wait for their turn");
    assert_eq!(paused["wakes"], "'windrose backfill resume 1'");
}

#[test]
fn what_does_not_exist_cannot_be_explained() {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    workspace.write_dag("daily.toml", DAILY);
    let standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "daily", "--run-id", "r", "--wait"]);
    let ask = |workspace: &Workspace| {
        let said = workspace.refused(&["explain", "nosuch"]);
        assert!(said.contains("there is no DAG 'nosuch'; see 'windrose dags list'"), "{said}");
        let said = workspace.refused(&["explain", "daily", "nosuch"]);
        assert!(said.contains("has no run 'nosuch'; see 'windrose runs list daily'"), "{said}");
        let said = workspace.refused(&["explain", "daily", "r", "nosuch[3]"]);
        assert!(said.contains("has no task 'nosuch[3]'; see 'windrose tasks list daily r'"), "{said}");
        let ended = explain(workspace, &["daily", "r", "a"]);
        assert_eq!(reasons(&ended["runs"][0]["why"]), ["run_ended"]);
        assert_eq!(reasons(&ended["runs"][0]["tasks"][0]["why"]), ["final"]);
    };
    ask(&workspace);
    standalone.kill();
    ask(&workspace);
}
