//! Runs that people start: what they are given, when they start, and what is noted.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use serde_json::json;
use windrose_testkit::process::{Workspace, wait_until};

const DAG: &str = r#"
schedule = "0 6 * * *"
start_date = 2999-01-01
[params.table]
type = "string"
enum = ["orders", "products"]
default = "orders"
[params.rows]
type = "integer"
minimum = 1
default = 10
[tasks.show]
operator = "bash"
bash_command = "echo {{ params.table }} {{ params.rows }} {{ dag_run.conf.get('more', '') }} {{ data_interval_start }}"
"#;

fn workspace() -> Workspace {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    workspace.write_dag("load.toml", DAG);
    workspace.write_dag(
        "must.toml",
        "[params.day]\ntype = \"string\"\nformat = \"date\"\n[tasks.a]\noperator = \"empty\"\n",
    );
    workspace
}

#[test]
fn a_run_whose_parameters_do_not_fit_is_refused_with_every_violation() {
    let workspace = workspace();
    let _standalone = workspace.standalone();
    let conf = r#"{"table": "users", "rows": 0, "more": "x"}"#;
    let said = workspace.refused(&["dags", "trigger", "load", "--run-id", "r", "--conf", conf]);
    assert!(said.contains(r#"/table: "users" is not one of "#), "{said}");
    assert!(said.contains(r#"(enum: ["orders","products"])"#), "{said}");
    assert!(said.contains("/rows: 0 is less than the minimum of 1 (minimum: 1)"), "{said}");
    assert!(workspace.find_run("load", "r").is_none(), "nothing was made");
    let said = workspace.refused(&["dags", "trigger", "must"]);
    assert!(said.contains("the parameter 'day' has no default, so it must be given"), "{said}");
    workspace.ok(&["dags", "trigger", "must", "--conf", r#"{"day": "2026-01-31"}"#, "--wait"]);

    let conf = r#"{"table": "products", "more": "extra"}"#;
    workspace.ok(&["dags", "trigger", "load", "--run-id", "r", "--conf", conf, "--wait"]);
    let log = workspace.task_log("load", "r", "show");
    assert!(log.contains("products 10 extra"), "{log}");
}

#[test]
fn a_run_can_wait_for_an_instant_and_carries_its_note() {
    let workspace = workspace();
    let _standalone = workspace.standalone();
    let soon = chrono::Utc::now() + chrono::TimeDelta::seconds(3);
    let at = soon.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    workspace.ok(&["dags", "trigger", "load", "--run-id", "later", "--run-after", &at, "--note", "for the audit"]);
    let waiting = workspace.json(&["runs", "show", "load", "later"])["run"].clone();
    assert_eq!(
        (&waiting["run_after"], &waiting["logical_date"], &waiting["note"]),
        (&json!(at), &json!(at), &json!("for the audit"))
    );
    assert_eq!(workspace.run_to_end("load", "later").state(), "success");
    let started = workspace.json(&["runs", "show", "load", "later"])["run"]["started_at"].clone();
    assert!(started.as_str().unwrap() >= at.as_str(), "{started} is before {at}");

    let never = ["dags", "trigger", "load", "--run-id", "never", "--run-after", "2999-01-01T00:00:00Z"];
    workspace.ok(&never);
    workspace.ok(&["dags", "trigger", "load", "--run-id", "now", "--wait"]);
    assert_eq!(workspace.find_run("load", "never").unwrap().state(), "queued", "others do not wait for it");
    assert!(workspace.ok(&["runs", "show", "load", "later"]).contains("note: for the audit"));
}

#[test]
fn a_run_for_a_chosen_date_has_the_interval_that_the_schedule_gives_it() {
    let workspace = workspace();
    let interval = DAG.replace("\"0 6 * * *\"", "{ cron = \"0 6 * * *\", data_interval = true }");
    workspace.write_dag("spans.toml", &interval);
    let _standalone = workspace.standalone();
    let date = ["--logical-date", "2026-03-05T12:00:00Z"];
    workspace.ok(&[&["dags", "trigger", "spans", "--run-id", "r", "--wait"][..], &date].concat());
    let log = workspace.task_log("spans", "r", "show");
    assert!(log.contains("2026-03-04 06:00:00+00:00") || log.contains("2026-03-04T06:00:00+00:00"), "{log}");
    let said = workspace.refused(&[&["dags", "trigger", "spans", "--run-id", "s"][..], &date].concat());
    assert!(said.contains("already has a run for 2026-03-05T12:00:00"), "{said}");
    wait_until("the run's row", || workspace.find_run("spans", "r").map(|_| ()).ok_or_else(|| "none".to_owned()));
}
