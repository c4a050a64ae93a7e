//! What a command for a run answers: whether it is done and what it did, or that it is kept for a scheduler.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use serde_json::{Value, json};
use windrose_testkit::TestDatabase;
use windrose_testkit::process::Workspace;

const DAG: &str = r#"
chain = ["b_first", "a_second"]
[tasks.b_first]
operator = "bash"
bash_command = "{{ dag_run.conf.get('do', 'true') }}"
[tasks.a_second]
operator = "empty"
"#;

const QUEUED: &str = "queued: no scheduler is running; it will be done when one starts";

fn workspace(database: Option<&str>) -> Workspace {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), database);
    workspace.write_dag("two.toml", DAG);
    workspace
}

/// The exit code, and both outputs.
fn answered(workspace: &Workspace, args: &[&str]) -> (Option<i32>, String, String) {
    let output = workspace.run(args);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn is_queued(workspace: &Workspace, args: &[&str]) {
    let (code, _, said) = answered(workspace, args);
    assert_eq!((code, said.trim()), (Some(3), QUEUED), "{args:?}");
}

fn commands_wait_for_a_scheduler(database: Option<&str>) {
    let workspace = workspace(database);
    assert!(workspace.standalone().terminate().success());

    is_queued(&workspace, &["dags", "trigger", "two", "--run-id", "r"]);
    let (code, said, _) = answered(&workspace, &["--json", "dags", "trigger", "two", "--run-id", "s", "--wait"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(code, Some(3), "nobody is there to wait for");
    assert_eq!(said, json!({ "dag_id": "two", "run_id": "s", "status": "queued" }));

    let standalone = workspace.standalone();
    for run in ["r", "s"] {
        assert_eq!(workspace.run_to_end("two", run).state(), "success");
    }
    // It ends with the test: a scheduler that is killed leaves its processes behind.
    let work = format!("while test -e {}; do sleep 0.1; done", workspace.path().display());
    let conf = json!({ "do": work }).to_string();
    workspace.ok(&["dags", "trigger", "two", "--run-id", "long", "--conf", &conf]);
    let _ = workspace.task_in("two", "long", "b_first", "running");
    // Killed, not asked to stop: it had no chance to say that it goes.
    standalone.kill();
    is_queued(&workspace, &["tasks", "clear", "--yes", "two", "--run-id", "r"]);
    is_queued(&workspace, &["runs", "cancel", "two", "long"]);
    assert_eq!(workspace.find_run("two", "long").unwrap().state(), "running", "nobody has done it yet");

    let _standalone = workspace.standalone();
    assert_eq!(workspace.run_to_end("two", "long").state(), "failed");
    let cleared = workspace.task_in("two", "r", "a_second", "success");
    assert_eq!(workspace.run_to_end("two", "r").task("b_first")["try_number"], 2, "{cleared}");
}

#[test]
fn without_a_scheduler_commands_are_queued_and_done_when_one_starts_on_sqlite() {
    commands_wait_for_a_scheduler(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_scheduler_commands_are_queued_and_done_when_one_starts_on_postgresql() {
    let database = TestDatabase::postgres().await;
    let url = database.url().to_owned();
    tokio::task::spawn_blocking(move || commands_wait_for_a_scheduler(Some(&url))).await.unwrap();
}

#[test]
fn with_a_scheduler_commands_say_what_they_did() {
    let workspace = workspace(None);
    let _standalone = workspace.standalone();
    let (code, run, said) = answered(&workspace, &["dags", "trigger", "two", "--run-id", "r"]);
    assert_eq!((code, run.trim(), said.as_str()), (Some(0), "r", ""));
    assert_eq!(workspace.run_to_end("two", "r").state(), "success");

    let (code, _, said) = answered(&workspace, &["tasks", "clear", "--yes", "two", "a_second", "--run-id", "r"]);
    assert_eq!((code, said.trim()), (Some(0), "1 task instance of run 'r' cleared, to run again"));
    assert_eq!(workspace.run_to_end("two", "r").state(), "success");
    let (code, _, said) =
        answered(&workspace, &["tasks", "clear", "--yes", "two", "b_first", "--downstream", "--run-id", "r"]);
    assert_eq!((code, said.trim()), (Some(0), "2 task instances of run 'r' cleared, to run again"));
    let cleared = workspace.json(&["tasks", "clear", "--yes", "two", "--run-id", "r"]);
    assert_eq!(
        cleared,
        json!({ "dag_id": "two", "run_id": "r", "status": "done", "cleared": 2, "marked": 0, "stopped": 0, "runs": 1 })
    );
    let said = workspace.refused(&["tasks", "clear", "--yes", "two", "nosuch", "--run-id", "r"]);
    assert!(said.contains("has no task instance 'nosuch'"), "{said}");

    workspace.ok(&["dags", "trigger", "two", "--run-id", "long", "--conf", r#"{"do": "sleep 1000"}"#]);
    let _ = workspace.task_in("two", "long", "b_first", "running");
    let (code, _, said) = answered(&workspace, &["runs", "cancel", "two", "long"]);
    assert_eq!((code, said.trim()), (Some(0), "run 'long' is cancelled: 1 task instance stopped"));
    assert_eq!(workspace.find_run("two", "long").unwrap().state(), "failed", "it is done when the command says so");
}

#[test]
fn a_run_that_has_not_begun_can_be_cancelled_but_not_cleared() {
    let workspace = workspace(None);
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "pause", "two"]);
    workspace.ok(&["dags", "trigger", "two", "--run-id", "waits"]);
    let said = workspace.refused(&["tasks", "clear", "--yes", "two", "--run-id", "waits"]);
    assert!(said.contains("has not begun: nothing is to be cleared or marked"), "{said}");
    let cancelled = workspace.json(&["runs", "cancel", "two", "waits"]);
    assert_eq!(cancelled["stopped"], 0, "{cancelled}");
    assert_eq!(workspace.find_run("two", "waits").unwrap().state(), "failed");
}

#[test]
fn tasks_are_listed_in_the_order_of_the_file() {
    let workspace = workspace(None);
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "two", "--run-id", "r", "--wait"]);
    let ids = |rows: &Value| -> Vec<String> {
        rows.as_array().unwrap().iter().map(|row| row["task_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&workspace.json(&["tasks", "list", "two", "r"])), ["b_first", "a_second"]);
    assert_eq!(ids(&workspace.json(&["runs", "show", "two", "r"])["tasks"]), ["b_first", "a_second"]);
    let listed = workspace.ok(&["tasks", "list", "two", "r"]);
    assert!(listed.find("b_first").unwrap() < listed.find("a_second").unwrap(), "{listed}");
    // The version of the run counts, not the file of today.
    let before = workspace.json(&["dags", "show", "two"])["version"].clone();
    workspace.write_dag("two.toml", "[tasks.a_second]\noperator = \"empty\"\n[tasks.b_first]\noperator = \"empty\"\n");
    windrose_testkit::process::wait_until("the new version", || {
        let now = workspace.json(&["dags", "show", "two"])["version"].clone();
        if now == before { Err(now.to_string()) } else { Ok(()) }
    });
    assert_eq!(ids(&workspace.json(&["tasks", "list", "two", "r"])), ["b_first", "a_second"]);
}
