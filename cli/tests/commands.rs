//! What people type, and what they get.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::io::Read as _;
use std::process::Stdio;

use serde_json::{Value, json};
use windrose_testkit::process::{Workspace, is_alive, wait_until};

const DAG: &str = r#"
description = "Says hello"
schedule = "@daily"
start_date = 2026-01-01
[tasks.hello]
operator = "bash"
bash_command = "echo hello {{ params.name }}; {{ dag_run.conf.get('do', 'true') }}"
[tasks.bye]
operator = "empty"
upstream = ["hello"]
[params.name]
default = "you"
"#;

fn workspace() -> Workspace {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    workspace.write_dag("greet.toml", &DAG.replace("schedule = \"@daily\"", "schedule = \"@yearly\""));
    workspace
}

fn stderr(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn dags_can_be_listed_shown_paused_and_previewed() {
    let workspace = workspace();
    let standalone = workspace.standalone();
    let listed = workspace.json(&["dags", "list", "--search", "GREE"]);
    assert_eq!(listed[0]["dag_id"], "greet");
    assert_eq!(listed[0]["paused"], false);
    let shown = workspace.ok(&["dags", "show", "greet"]);
    assert!(shown.contains("Says hello") && shown.contains("hello") && shown.contains("greet.toml"), "{shown}");
    let next = workspace.json(&["dags", "next", "greet", "-n", "3"]);
    assert_eq!(next.as_array().unwrap().len(), 3, "{next}");
    workspace.ok(&["dags", "pause", "greet"]);
    assert_eq!(workspace.json(&["dags", "show", "greet"])["paused"], true);
    let triggered = workspace.run(&["dags", "trigger", "greet", "--run-id", "waits"]);
    assert!(stderr(&triggered).contains("is paused"), "{}", stderr(&triggered));
    workspace.ok(&["dags", "unpause", "greet"]);
    assert_eq!(workspace.run_to_end("greet", "waits").state(), "success");
    assert!(shown.contains("schedule  0 0 1 1 *"), "{shown}");
    workspace.write_dag("by_hand.toml", "[tasks.a]\noperator = \"empty\"\n");
    let shown = wait_until("the other DAG", || {
        let shown = workspace.run(&["dags", "show", "by_hand"]);
        if shown.status.success() { Ok(String::from_utf8(shown.stdout).unwrap()) } else { Err(stderr(&shown)) }
    });
    assert!(shown.contains("schedule  none (started by hand or by other DAGs)"), "{shown}");
    assert_eq!(workspace.json(&["dags", "show", "by_hand"])["schedule"], json!(null));
    assert!(workspace.refused(&["dags", "show", "nosuch"]).contains("windrose dags list"));
    assert!(standalone.terminate().success());
}

#[test]
fn a_run_is_triggered_watched_and_cleared() {
    let workspace = workspace();
    let standalone = workspace.standalone();
    let conf = r#"{"name": "world"}"#;
    workspace.ok(&["dags", "trigger", "greet", "--run-id", "r", "--wait", "--conf", conf]);
    let said = workspace.refused(&["dags", "trigger", "greet", "--run-id", "r"]);
    assert!(said.contains("already has a run 'r'; choose another run id"), "{said}");
    assert!(workspace.refused(&["dags", "trigger", "greet", "--conf", "[1]"]).contains("--conf must be a JSON object"));
    let log = workspace.task_log("greet", "r", "hello");
    assert!(log.contains("hello world"), "{log}");
    assert_eq!(workspace.json(&["runs", "watch", "greet", "r"])["state"], "success");
    assert_eq!(workspace.json(&["tasks", "list", "greet", "r"]).as_array().unwrap().len(), 2);

    workspace.ok(&["tasks", "clear", "--yes", "greet", "hello", "--run-id", "r"]);
    let run = wait_until("the second try", || {
        let run = workspace.run_to_end("greet", "r");
        if run.task("hello")["try_number"] == 2 { Ok(run) } else { Err(format!("{run:?}")) }
    });
    assert_eq!(run.state(), "success");
    workspace.ok(&["tasks", "clear", "--yes", "greet", "--run-id", "r"]);
    wait_until("all tasks again", || {
        let run = workspace.run_to_end("greet", "r");
        if run.task("bye")["try_number"] == 2 { Ok(()) } else { Err(format!("{run:?}")) }
    });
    assert!(!workspace.log().contains("has changed in the meantime"), "{}", workspace.log());

    let failed = workspace.run(&["dags", "trigger", "greet", "--wait", "--conf", r#"{"do": "exit 7"}"#]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stdout).contains("exit code 7"));
    let listed = workspace.json(&["runs", "list", "greet", "--state", "failed"]);
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert!(workspace.refused(&["runs", "list", "--state", "odd"]).contains("'odd' is no run state"));
    assert!(standalone.terminate().success());
}

#[test]
fn cancelling_a_run_ends_its_processes_and_following_a_log_ends_with_the_task() {
    let workspace = workspace();
    let _standalone = workspace.standalone();
    let conf = r#"{"do": "sleep 1000 & echo child $!; wait"}"#;
    workspace.ok(&["dags", "trigger", "greet", "--run-id", "r", "--conf", conf]);
    let child: u32 = wait_until("the child", || {
        let log = workspace.run(&["tasks", "logs", "greet", "hello", "--run-id", "r"]);
        let log = String::from_utf8_lossy(&log.stdout).into_owned();
        let pid = log.lines().find_map(|line| line.split_once(" child ")?.1.trim().parse().ok());
        pid.ok_or(log)
    });
    let mut follow = workspace.command(&["tasks", "logs", "-f", "greet", "hello", "--run-id", "r"]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    workspace.ok(&["runs", "cancel", "greet", "r"]);
    assert_eq!(workspace.run_to_end("greet", "r").state(), "failed");
    wait_until("the child's end", || if is_alive(child) { Err("it lives".to_owned()) } else { Ok(()) });
    let mut followed = String::new();
    follow.stdout.take().unwrap().read_to_string(&mut followed).unwrap();
    assert!(follow.wait().unwrap().success());
    assert!(followed.contains("child"), "{followed}");
    assert!(workspace.refused(&["runs", "cancel", "greet", "r"]).contains("has already ended"));
}

#[test]
fn simulating_answers_in_the_words_of_the_dag_format() {
    let workspace = workspace();
    std::fs::write(
        workspace.path().join("outcomes.json"),
        r#"{ "mode": "sequential", "runs": [ { "run_type": "scheduled", "script": { "hello": { "attempts": ["fail_no_retry"] } } } ] }"#,
    )
    .unwrap();
    let good = workspace.json(&["dags", "simulate", "dags/greet.toml"]);
    assert_eq!(good["runs"][0]["state"], "success");
    assert_eq!(good["runs"][0]["tis"]["hello"], json!({ "state": "success", "wave": 1, "tries": 1 }));
    let bad = workspace.run(&["--json", "dags", "simulate", "dags/greet.toml", "--outcomes", "outcomes.json"]);
    assert_eq!(bad.status.code(), Some(1));
    let bad: Value = serde_json::from_slice(&bad.stdout).unwrap();
    assert_eq!(bad["runs"][0]["tis"]["bye"]["state"], "upstream_failed");
    assert!(bad["runs"][0]["end_wave"].is_number(), "{bad}");
}

#[test]
fn simulating_draws_the_timeline_under_pools() {
    let workspace = workspace();
    let two = "[tasks.a]\noperator = \"bash\"\nbash_command = \"x\"\npool = \"narrow\"\n\
        [tasks.b]\noperator = \"bash\"\nbash_command = \"sleep 0.2\"\npool = \"narrow\"\n";
    workspace.write_dag("two.toml", two);
    let simulate = |more: &[&str]| {
        let all: Vec<&str> = ["dags", "simulate", "dags/two.toml"].into_iter().chain(more.iter().copied()).collect();
        workspace.ok(&all)
    };
    let drawn = simulate(&["--duration", "a=90s", "--default-duration", "1m", "--pool", "narrow=1"]);
    assert!(drawn.contains("success after 2m 30s") && drawn.contains("pool narrow: at most 1 of 1 slots"), "{drawn}");
    assert!(drawn.contains("b (waits 1m 30s for pool narrow, runs 1m)"), "{drawn}");
    let said = workspace.refused(&["dags", "simulate", "dags/two.toml", "--pool", "narow=1"]);
    assert!(said.contains("no task of DAG 'two' uses the pool 'narow'; its tasks use narrow"), "{said}");
    let said = workspace.refused(&["dags", "simulate", "dags/two.toml", "--duration", "a=soon"]);
    assert!(said.contains("'soon' is not a duration"), "{said}");
    let said = workspace.refused(&["dags", "simulate", "dags/two.toml", "--past-durations"]);
    assert!(said.contains("no successful run of DAG 'two'"), "{said}");

    let _standalone = workspace.standalone();
    workspace.ok(&["pools", "set", "narrow", "1"]);
    let ran = workspace.run(&["dags", "trigger", "two", "--wait", "--json"]);
    assert_eq!(ran.status.code(), Some(1), "x is no command");
    workspace.write_dag("two.toml", &two.replace("\"x\"", "\"true\""));
    wait_until("a run that succeeds", || {
        let ran = workspace.run(&["dags", "trigger", "two", "--wait"]);
        if ran.status.success() { Ok(()) } else { Err(stderr(&ran)) }
    });
    let past = workspace.json(&["dags", "simulate", "dags/two.toml", "--past-durations", "--stored-pools"]);
    assert_eq!(past["pools"][0]["slots"], 1);
    let b = past["timelines"][0]["attempts"].as_array().unwrap().iter().find(|a| a["task"] == "b").unwrap();
    assert!(b["ended"].as_f64().unwrap() - b["started"].as_f64().unwrap() >= 0.2, "{b}");
}

#[test]
fn secrets_are_stored_and_never_shown() {
    let workspace = workspace();
    let secret = "hunter2-the-password";
    let uri = format!("postgres://me:{secret}@db.example:5432/sales?sslmode=require");
    let mut all = stderr(&workspace.run_with_input(&["connections", "set", "warehouse", "-"], &uri));
    for command in [&["connections", "list"][..], &["connections", "get", "warehouse"]] {
        all += &workspace.ok(command);
        all += &workspace.json(command).to_string();
    }
    assert!(all.contains("db.example") && !all.contains(secret), "{all}");
    let said = workspace.refused(&["connections", "set", "broken", &format!("{{\"password\": \"{secret}\"")]);
    assert!(said.contains("'broken' cannot be read") && !said.contains(secret), "{said}");
    workspace.ok(&["connections", "delete", "warehouse"]);
    assert!(workspace.refused(&["connections", "get", "warehouse"]).contains("no connection 'warehouse'"));

    workspace.ok(&["variables", "set", "token", secret]);
    assert!(!workspace.ok(&["variables", "list"]).contains(secret));
    assert_eq!(workspace.ok(&["variables", "get", "token"]).trim(), secret);
    workspace.ok(&["variables", "delete", "token"]);
    assert!(workspace.refused(&["variables", "delete", "token"]).contains("no variable 'token'"));
    let stored = std::fs::read(workspace.path().join(".windrose/windrose.db")).unwrap();
    assert!(!String::from_utf8_lossy(&stored).contains(secret), "secrets are sealed in the database");
}

#[test]
fn pools_are_made_changed_and_deleted() {
    let workspace = workspace();
    workspace.ok(&["pools", "set", "few", "2", "--description", "a few"]);
    workspace.ok(&["pools", "set", "few", "3"]);
    let pools = workspace.json(&["pools", "list"]);
    let few = pools.as_array().unwrap().iter().find(|pool| pool["name"] == "few").unwrap();
    assert_eq!(few["slots"], 3);
    assert!(workspace.refused(&["pools", "set", "few", "-7"]).contains("-7 is neither"));
    workspace.ok(&["pools", "delete", "few"]);
    assert!(workspace.refused(&["pools", "delete", "default_pool"]).contains("cannot be deleted"));
}

#[test]
fn operators_the_database_and_completions_answer_without_a_scheduler() {
    let workspace = workspace();
    let names = workspace.json(&["operators", "list"]).to_string();
    assert!(names.contains("s3_key_sensor") && names.contains("bash"), "{names}");
    assert!(workspace.ok(&["operators", "show", "bash"]).contains("bash_command"));
    assert!(workspace.ok(&["operators", "show", "glue_job_sensor"]).contains("it looks every 120 s"));
    assert_eq!(workspace.json(&["operators", "show", "glue_job_sensor"])["poke_interval"], 120.0);
    workspace.refused(&["operators", "show", "bahs"]);
    workspace.ok(&["db", "migrate"]);
    assert_eq!(workspace.json(&["db", "check"])["pending"], json!([]));
    assert!(workspace.ok(&["completions", "bash"]).contains("_windrose"));
    assert_eq!(workspace.run(&["frobnicate"]).status.code(), Some(2));
    let said = workspace.refused(&["tasks", "test", "dags/greet.toml", "nosuch"]);
    assert!(said.contains("it has hello, bye"), "{said}");
    assert!(workspace.ok(&["tasks", "test", "dags/greet.toml", "hello"]).contains("returned: \"hello you\""));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let workspace = workspace();
    let mut command = workspace.command(&["operators", "docs"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
}

/// Every field of these names, wherever it stands.
fn instants(value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| instants(item, found)),
        Value::Object(fields) => {
            for (name, value) in fields {
                if name.ends_with("_at") || ["logical_date", "run_after", "ts", "at"].contains(&name.as_str()) {
                    found.push((name.clone(), value.clone()));
                }
                instants(value, found);
            }
        }
        _ => {}
    }
}

#[test]
fn every_instant_in_json_is_rfc_3339_in_utc_with_microseconds() {
    let workspace = workspace();
    workspace.write_dag(
        "waits.toml",
        "[tasks.w]\noperator = \"s3_key_sensor\"\nbucket_key = \"s3://b/k\"\nmode = \"reschedule\"\npoke_interval = 60\n",
    );
    let mut workspace = workspace;
    workspace.set_env("AIRFLOW_CONN_AWS_DEFAULT", &windrose_testkit::SlowBucket::start().connection());
    let _standalone = workspace.standalone();
    let date = "2026-01-02T03:04:05.5+01:00";
    workspace.ok(&["dags", "trigger", "greet", "--run-id", "r", "--logical-date", date, "--wait"]);
    assert_eq!(workspace.json(&["runs", "show", "greet", "r"])["run"]["logical_date"], "2026-01-02T02:04:05.500000Z");
    let log = workspace.ok(&["--json", "tasks", "logs", "greet", "hello", "--run-id", "r"]);
    let all = [
        workspace.json(&["runs", "show", "greet", "r"]),
        workspace.json(&["runs", "list"]),
        workspace.json(&["runs", "watch", "greet", "r"]),
        workspace.json(&["tasks", "list", "greet", "r"]),
        workspace.json(&["dags", "next", "greet"]),
        workspace.json(&["dags", "list"]),
        workspace.json(&["tasks", "test", "dags/greet.toml", "hello"]),
        workspace.json(&["tasks", "test", "dags/waits.toml", "w"]),
        serde_json::from_str(log.lines().next().unwrap()).unwrap(),
    ];
    let form = regex::Regex::new(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$").unwrap();
    let mut names = std::collections::BTreeSet::new();
    for answer in &all {
        let mut found = Vec::new();
        instants(answer, &mut found);
        for (name, value) in found {
            assert!(value.is_null() || value.as_str().is_some_and(|text| form.is_match(text)), "{name}: {answer:#}");
            if !value.is_null() {
                names.insert(name);
            }
        }
    }
    for name in ["at", "created_at", "ended_at", "logical_date", "queued_at", "run_after", "started_at", "ts"] {
        assert!(names.contains(name), "{name} is shown nowhere: {names:?}");
    }
}
