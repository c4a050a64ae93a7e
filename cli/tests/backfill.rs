//! Backfills: what they make, how they are held and ended, that no kill loses or doubles a run, and that scheduled runs do
//! not wait for them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use windrose_testkit::TestDatabase;
use windrose_testkit::process::{Workspace, wait_until};

/// Daily; the task does what a file in the workspace says, or what the run is given.
const DAG: &str = r#"
schedule = "0 0 * * *"
start_date = 2999-01-01
max_active_runs = 1
[params]
do = ". FOLDER/do"
[tasks.work]
operator = "bash"
bash_command = "{{ params.do }}"
"#;

fn workspace(database: Option<&str>) -> Workspace {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), database);
    let folder = workspace.path().display().to_string();
    workspace.write_dag("fill.toml", &DAG.replace("FOLDER", &folder));
    set_work(&workspace, "true");
    workspace
}

fn set_work(workspace: &Workspace, text: &str) {
    std::fs::write(workspace.path().join("do"), text).unwrap();
}

fn create<'a>(from: &'a str, to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["backfill", "create", "fill", "--from", from, "--to", to][..], more].concat()
}

fn shown(workspace: &Workspace, id: i64) -> Value {
    workspace.json(&["backfill", "show", &id.to_string()])
}

/// Waits for the end of a backfill.
fn ended(workspace: &Workspace, id: i64) -> Value {
    wait_until(&format!("the end of backfill {id}"), || {
        let shown = shown(workspace, id);
        if shown["backfill"]["ended_at"].is_null() { Err(shown["backfill"].to_string()) } else { Ok(shown) }
    })
}

fn states(shown: &Value) -> Vec<String> {
    let dates = shown["dates"].as_array().unwrap().iter();
    dates
        .map(|date| format!("{} {}", &date["logical_date"].as_str().unwrap()[..10], date["state"].as_str().unwrap()))
        .collect()
}

#[test]
fn a_backfill_makes_a_run_for_each_date_and_runs_again_what_it_is_told_to() {
    let workspace = workspace(None);
    let _standalone = workspace.standalone();
    let done = workspace.json(&create("2026-01-01", "2026-01-03", &["--conf", r#"{"do": "exit 1"}"#]));
    assert_eq!((&done["backfill_id"], &done["dates"]), (&json!(1), &json!(3)));
    assert_eq!(states(&ended(&workspace, 1)), ["2026-01-01 failed", "2026-01-02 failed", "2026-01-03 failed"]);
    let run = workspace.json(&["runs", "show", "fill", "backfill__2026-01-02T00:00:00+00:00"])["run"].clone();
    assert_eq!((&run["run_type"], &run["logical_date"]), (&json!("backfill"), &json!("2026-01-02T00:00:00.000000Z")));

    let wide = create("2025-12-31", "2026-01-04", &["--backwards", "--reprocess", "failed"]);
    let plan = workspace.json(&[&wide[..], &["--dry-run"]].concat());
    assert_eq!((&plan["create"], &plan["reprocess"], &plan["skip"]), (&json!(2), &json!(3), &json!(0)));
    assert_eq!(plan["dates"][0]["logical_date"], "2026-01-04T00:00:00.000000Z");
    assert!(workspace.ok(&[&wide[..], &["--dry-run"]].concat()).contains("2 run(s) would be made, 3 would run again"));
    assert_eq!(workspace.json(&["backfill", "list"]).as_array().unwrap().len(), 1, "a dry run makes none");

    // What failed was given `exit 1`, and keeps it unless it is given something else.
    workspace.ok(&[&wide[..], &["--conf", r#"{"do": "true"}"#]].concat());
    let again = ended(&workspace, 2);
    assert_eq!(again["backfill"]["progress"]["success"], 5, "{again:#}");
    let tries =
        workspace.find_run("fill", "backfill__2026-01-02T00:00:00+00:00").unwrap().task("work")["try_number"].clone();
    assert_eq!(tries, 2);

    workspace.ok(&create("2026-01-01", "2026-01-03", &[]));
    let third = ended(&workspace, 3);
    assert_eq!(third["backfill"]["progress"]["skipped"], 3);
    assert_eq!(states(&third)[0], "2026-01-01 already_exists");
    let completed = create("2026-01-01", "2026-01-01", &["--reprocess", "completed"]);
    workspace.ok(&completed);
    assert_eq!(ended(&workspace, 4)["backfill"]["progress"]["success"], 1);
    assert!(workspace.ok(&["backfill", "list", "fill"]).contains("ended"));
}

#[test]
fn a_run_made_by_hand_or_by_the_schedule_is_reprocessed_too() {
    let workspace = workspace(None);
    let _standalone = workspace.standalone();
    set_work(&workspace, "exit 1");
    let date = ["--logical-date", "2026-01-02T00:00:00Z"];
    let _ = workspace.run(&[&["dags", "trigger", "fill", "--run-id", "by_hand", "--wait"][..], &date].concat());
    set_work(&workspace, "true");
    workspace.ok(&create("2026-01-01", "2026-01-02", &["--reprocess", "failed"]));
    ended(&workspace, 1);
    let run = workspace.json(&["runs", "show", "fill", "by_hand"])["run"].clone();
    assert_eq!((&run["state"], &run["run_type"]), (&json!("success"), &json!("backfill")));
}

#[test]
fn what_cannot_be_filled_is_refused_with_what_to_do() {
    let workspace = workspace(None);
    workspace.write_dag("hand.toml", "[tasks.a]\noperator = \"empty\"\n");
    let past = DAG.replace("[tasks.work]", "[tasks.work]\ndepends_on_past = true");
    workspace.write_dag("past.toml", &past);
    let _standalone = workspace.standalone();
    let said = workspace.refused(&["backfill", "create", "hand", "--from", "2026-01-01", "--to", "2026-01-02"]);
    assert!(said.contains("has no schedule with dates") && said.contains("windrose dags trigger hand"), "{said}");
    let said =
        workspace.refused(&["backfill", "create", "past", "--from", "2026-01-01", "--to", "2026-01-02", "--backwards"]);
    assert!(said.contains("depends_on_past"), "{said}");
    assert!(workspace.refused(&create("yesterday", "2026-01-02", &[])).contains("'yesterday' is no date"));
    assert!(workspace.refused(&create("2999-01-01", "2999-01-02", &[])).contains("in the future"));
    assert!(workspace.refused(&create("2026-01-02", "2026-01-01", &[])).contains("exchange them"));
    assert!(
        workspace
            .refused(&create("2026-01-01", "2026-01-02", &["--max-active-runs", "0"]))
            .contains("at least one run")
    );
    assert!(workspace.refused(&["backfill", "show", "7"]).contains("windrose backfill list"));
    assert!(workspace.refused(&["backfill", "pause", "7"]).contains("no backfill 7 under way"));
    workspace.write_dag(
        "typed.toml",
        &DAG.replace("[params]\ndo = \". FOLDER/do\"", "[params.do]\ntype = \"string\"\ndefault = \"\""),
    );
    wait_until("the DAG", || {
        let shown = workspace.run(&["dags", "show", "typed"]);
        if shown.status.success() { Ok(()) } else { Err(String::new()) }
    });
    let bad = ["backfill", "create", "typed", "--from", "2026-01-01", "--to", "2026-01-02", "--conf", r#"{"do": 1}"#];
    assert!(workspace.refused(&bad).contains("/do: 1 is not of type \"string\""));
}

fn running(workspace: &Workspace, id: i64, count: u64) -> Value {
    wait_until(&format!("{count} running runs of backfill {id}"), || {
        let shown = shown(workspace, id);
        if shown["backfill"]["progress"]["running"] == count { Ok(shown) } else { Err(shown["backfill"].to_string()) }
    })
}

#[test]
fn a_backfill_has_its_own_limit_and_is_paused_resumed_and_cancelled() {
    let workspace = workspace(None);
    let _standalone = workspace.standalone();
    let wait_for = |name: &str| {
        let folder = workspace.path().display();
        format!("until test -e {folder}/{name}; do test -e {folder} || exit 1; sleep 0.05; done")
    };
    set_work(&workspace, &wait_for("first"));
    workspace.ok(&create("2026-01-01", "2026-01-20", &["--max-active-runs", "3"]));
    assert_eq!(running(&workspace, 1, 3)["backfill"]["progress"]["waiting"], 17);
    let said = workspace.refused(&create("2026-01-01", "2026-01-20", &[]));
    assert!(
        said.contains("backfill 1 of DAG 'fill' is under way") && said.contains("windrose backfill cancel 1"),
        "{said}"
    );
    // The DAG's own limit of one run is not used up by them.
    workspace.ok(&["dags", "trigger", "fill", "--run-id", "by_hand", "--conf", r#"{"do": "true"}"#, "--wait"]);

    workspace.ok(&["backfill", "pause", "1"]);
    set_work(&workspace, &wait_for("second"));
    std::fs::write(workspace.path().join("first"), "").unwrap();
    let paused = running(&workspace, 1, 0);
    assert_eq!(
        (&paused["backfill"]["state"], &paused["backfill"]["progress"]["success"]),
        (&json!("paused"), &json!(3))
    );
    assert_eq!(paused["backfill"]["progress"]["waiting"], 17, "nobody follows while it is paused");
    workspace.ok(&["backfill", "resume", "1"]);
    running(&workspace, 1, 3);

    let done = workspace.json(&["backfill", "cancel", "1"]);
    assert_eq!((&done["dropped"], &done["running"]), (&json!(14), &json!(3)));
    std::fs::write(workspace.path().join("second"), "").unwrap();
    let over = running(&workspace, 1, 0);
    assert_eq!(
        (&over["backfill"]["state"], &over["backfill"]["progress"]["success"]),
        (&json!("cancelled"), &json!(6))
    );
    assert_eq!(over["backfill"]["progress"]["waiting"], 14);

    set_work(&workspace, &wait_for("never"));
    workspace.ok(&create("2026-02-01", "2026-02-09", &["--max-active-runs", "2"]));
    running(&workspace, 2, 2);
    workspace.ok(&["backfill", "cancel", "2", "--running"]);
    assert_eq!(running(&workspace, 2, 0)["backfill"]["progress"]["failed"], 2);
}

fn kills_neither_lose_nor_double_a_run(database: Option<&str>) {
    let workspace = workspace(database);
    set_work(&workspace, &format!("echo x >> {}/ran-$AIRFLOW_CTX_DAG_RUN_ID", workspace.path().display()));
    let standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "fill", "--logical-date", "2026-01-05T00:00:00Z", "--run-id", "there", "--wait"]);
    workspace.ok(&create("2026-01-01", "2026-02-09", &["--max-active-runs", "4", "--reprocess", "completed"]));
    let mut standalone = Some(standalone);
    for millis in [0, 30, 90, 150, 210, 400] {
        std::thread::sleep(Duration::from_millis(millis));
        standalone.take().unwrap().kill();
        standalone = Some(workspace.standalone());
    }
    let over = ended(&workspace, 1);
    assert_eq!(over["backfill"]["progress"]["success"], 40, "{over:#}");
    let mut by_date: BTreeMap<String, u32> = BTreeMap::new();
    for run in workspace.json(&["runs", "list", "fill", "--limit", "1000"]).as_array().unwrap() {
        *by_date.entry(run["logical_date"].as_str().unwrap().to_owned()).or_default() += 1;
        assert_eq!((&run["state"], &run["run_type"]), (&json!("success"), &json!("backfill")));
    }
    assert_eq!((by_date.len(), by_date.values().max()), (40, Some(&1)));
    assert_eq!(workspace.find_run("fill", "there").unwrap().task("work")["state"], "success");
}

#[test]
fn kills_neither_lose_nor_double_a_run_on_sqlite() {
    kills_neither_lose_nor_double_a_run(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_neither_lose_nor_double_a_run_on_postgresql() {
    let database = TestDatabase::postgres().await;
    let url = database.url().to_owned();
    tokio::task::spawn_blocking(move || kills_neither_lose_nor_double_a_run(Some(&url))).await.unwrap();
}

/// The run's start, and when its only task was dispatched.
fn times(workspace: &Workspace, run: &Value) -> Option<(String, String)> {
    let shown = workspace.json(&["runs", "show", "busy", run["run_id"].as_str()?]);
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    Some((text(&shown["run"]["started_at"])?, text(&shown["tasks"][0]["queued_at"])?))
}

#[test]
fn a_scheduled_run_does_not_wait_for_a_backfill() {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    workspace.write_dag(
        "busy.toml",
        "schedule = { every = \"2s\" }\nstart_date = 2026-01-01\nmax_active_runs = 1\n\
         [tasks.work]\noperator = \"bash\"\nbash_command = \"sleep 0.2\"\n",
    );
    workspace.ok(&["pools", "set", "default_pool", "2"]);
    let _standalone = workspace.standalone();
    let range = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-01-01T01:00:00Z", "--max-active-runs", "20"];
    let made = workspace.json(&[&["backfill", "create", "busy"][..], &range].concat());
    assert_eq!(made["dates"], 1801);
    let created = shown(&workspace, 1)["backfill"]["created_at"].as_str().unwrap().to_owned();
    let after = wait_until("two scheduled runs after the backfill", || {
        let listed = workspace.json(&["runs", "list", "busy", "--state", "success", "--limit", "1000"]);
        let due =
            |run: &&Value| run["run_type"] == "scheduled" && run["run_after"].as_str().unwrap() > created.as_str();
        let found: Vec<Value> = listed.as_array().unwrap().iter().filter(due).cloned().collect();
        if found.len() >= 2 { Ok(found) } else { Err(found.len().to_string()) }
    });
    workspace.ok(&["dags", "pause", "busy"]);
    let progress = shown(&workspace, 1)["backfill"]["progress"].clone();
    assert!(progress["waiting"].as_u64().unwrap() > 1000, "it was busy all the time: {progress}");
    let listed = workspace.json(&["runs", "list", "busy", "--limit", "1000"]);
    let all = listed.as_array().unwrap();
    let backfill: Vec<_> =
        all.iter().filter(|run| run["run_type"] == "backfill").filter_map(|run| times(&workspace, run)).collect();
    assert!(backfill.len() > 10, "{}", backfill.len());
    for run in after {
        let (started, dispatched) = times(&workspace, &run).unwrap();
        let overtook = backfill.iter().filter(|(_, other)| *other > started && *other < dispatched).count();
        assert_eq!(overtook, 0, "task instances of the backfill were dispatched while {run} waited");
    }
}
