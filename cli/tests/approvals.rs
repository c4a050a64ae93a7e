//! Tasks that ask people, with the real binary: asked once, answered once, by whoever may, whatever restarts.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "support/receiver.rs"]
mod receiver;

use receiver::{all, body, web_server};
use serde_json::{Value, json};
use windrose_testkit::TestDatabase;
use windrose_testkit::process::{Workspace, wait_until};

const RELEASE: &str = r#"
[tasks.ask]
operator = "approval"
subject = "Load {{ run_id }}?"
body = "Rows: **5**"
[tasks.load]
operator = "bash"
bash_command = "echo loaded by {{ ti.xcom_pull(task_ids='ask').responded_by_user.id }}"
upstream = ["ask"]
"#;

fn workspace(dag: &str, database: Option<&str>) -> Workspace {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), database);
    workspace.write_dag("release.toml", dag);
    workspace
}

/// The questions that wait, once there are so many.
fn open(workspace: &Workspace, count: usize) -> Vec<Value> {
    wait_until(&format!("{count} open questions"), || {
        let listed = workspace.json(&["approvals", "list"]);
        let rows = listed.as_array().unwrap();
        if rows.len() == count { Ok(rows.clone()) } else { Err(listed.to_string()) }
    })
}

fn trigger(workspace: &Workspace, run: &str) {
    workspace.ok(&["dags", "trigger", "release", "--run-id", run]);
}

fn answer<'a>(run: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&["approvals", "answer", "release", run], rest].concat()
}

fn people_decide_and_the_first_answer_counts(database: Option<&str>) {
    let workspace = workspace(RELEASE, database);
    let _standalone = workspace.standalone();
    for run in ["yes", "no"] {
        trigger(&workspace, run);
    }
    let rows = open(&workspace, 2);
    let row = rows.iter().find(|row| row["run_id"] == "yes").unwrap();
    assert_eq!(
        (&row["subject"], &row["options"], &row["state"]),
        (&json!("Load yes?"), &json!(["Approve", "Reject"]), &json!("open"))
    );
    let _ = workspace.task_in("release", "yes", "ask", "deferred");
    let why = workspace.json(&["explain", "release", "yes", "ask"])["runs"][0]["tasks"][0]["why"].clone();
    assert_eq!(why[0]["reason"], "approval", "{why}");
    assert_eq!(why[0]["wakes"], "'windrose approvals answer release yes ask OPTION'");

    let unknown = workspace.refused(&answer("yes", &["ask", "Perhaps"]));
    assert!(unknown.contains("'Perhaps' cannot be chosen; its options are Approve, Reject"), "{unknown}");
    let said = workspace.refused(&answer("yes", &["load", "Approve"]));
    assert!(said.contains("has asked nothing"), "{said}");
    workspace.ok(&answer("yes", &["ask", "Approve", "--user", "ann"]));
    let late = workspace.refused(&answer("yes", &["ask", "Reject", "--user", "bob"]));
    assert!(late.contains("it was answered already: ann chose Approve"), "{late}");
    assert_eq!(workspace.run_to_end("release", "yes").state(), "success");
    assert!(workspace.task_log("release", "yes", "load").contains("loaded by ann"));

    workspace.ok(&answer("no", &["ask", "Reject"]));
    let states = workspace.run_to_end("release", "no").states();
    assert_eq!((states["ask"].as_str(), states["load"].as_str()), ("success", "skipped"));
    let shown = workspace.ok(&["approvals", "show", "release", "yes", "ask"]);
    assert!(shown.contains("Rows: **5**") && shown.contains("answered Approve (ann, "), "{shown}");
    assert!(open(&workspace, 0).is_empty());
    assert_eq!(workspace.json(&["approvals", "list", "--all"]).as_array().unwrap().len(), 2);
}

#[test]
fn people_decide_and_the_first_answer_counts_on_sqlite() {
    people_decide_and_the_first_answer_counts(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn people_decide_and_the_first_answer_counts_on_postgresql() {
    let database = TestDatabase::postgres().await;
    let url = database.url().to_owned();
    tokio::task::spawn_blocking(move || people_decide_and_the_first_answer_counts(Some(&url))).await.unwrap();
}

#[test]
fn a_question_survives_a_kill_and_can_be_answered_while_nobody_schedules() {
    let (port, got) = web_server("{}", 0);
    let told = format!("notifiers = {{ notifier = \"webhook\", url = \"http://127.0.0.1:{port}/\" }}\n");
    let workspace = workspace(&RELEASE.replace("body =", &format!("{told}body =")), None);
    let standalone = workspace.standalone();
    trigger(&workspace, "r");
    let asked_at = open(&workspace, 1)[0]["asked_at"].clone();
    let facts = body(&all(&got, 1)[0]);
    assert_eq!((&facts["reason"], &facts["task_id"]), (&json!("asked"), &json!("ask")));
    let message = facts["message"].as_str().unwrap();
    assert!(
        message.contains("Load r? (Approve, Reject)") && message.contains("approvals answer release r ask"),
        "{message}"
    );
    standalone.kill();
    assert_eq!(open(&workspace, 1)[0]["asked_at"], asked_at);
    // The first start takes the answer of the command table; the question is not asked, and nobody is told, again.
    let kept = workspace.run(&answer("r", &["ask", "Approve", "--user", "ann"]));
    assert_eq!(kept.status.code(), Some(3), "{}", String::from_utf8_lossy(&kept.stderr));
    let _standalone = workspace.standalone();
    assert_eq!(workspace.run_to_end("release", "r").state(), "success");
    let shown = workspace.json(&["approvals", "show", "release", "r", "ask"]);
    assert_eq!((&shown["asked_at"], &shown["try_number"]), (&asked_at, &json!(1)));
    // It may have arrived twice, as the kill came; it is the same one.
    assert!(got.lock().unwrap().iter().all(|request| body(request) == facts), "{facts}");
}

#[test]
fn a_kill_while_a_question_is_open_changes_nothing_about_it() {
    let workspace = workspace(RELEASE, None);
    trigger_and_kill(&workspace);
    let _standalone = workspace.standalone();
    let _ = workspace.task_in("release", "r", "ask", "deferred");
    assert_eq!(open(&workspace, 1)[0]["try_number"], 1);
    workspace.ok(&answer("r", &["ask", "Approve"]));
    assert_eq!(workspace.run_to_end("release", "r").state(), "success");
}

fn trigger_and_kill(workspace: &Workspace) {
    let standalone = workspace.standalone();
    trigger(workspace, "r");
    open(workspace, 1);
    let _ = workspace.task_in("release", "r", "ask", "deferred");
    standalone.kill();
}

#[test]
fn only_those_may_answer_who_are_asked_and_what_they_fill_in_is_checked() {
    let dag = r#"
[tasks.ask]
operator = "hitl_entry"
subject = "How many rows?"
assigned_users = ["ann", "bob"]
[tasks.ask.params]
rows = { default = 5, type = "integer", minimum = 1 }
table = { default = "products", type = "string" }
[tasks.load]
operator = "bash"
bash_command = "echo {{ ti.xcom_pull(task_ids='ask').params_input.rows }} of {{ ti.xcom_pull(task_ids='ask').params_input.table }}"
upstream = ["ask"]
"#;
    let workspace = workspace(dag, None);
    let _standalone = workspace.standalone();
    trigger(&workspace, "r");
    open(&workspace, 1);
    let eve = workspace.refused(&answer("r", &["ask", "OK", "--user", "eve"]));
    assert!(eve.contains("'eve' may not answer it; ann, bob may"), "{eve}");
    let bad = workspace.refused(&answer("r", &["ask", "OK", "--user", "bob", "--params", r#"{"rows": 0, "x": 1}"#]));
    assert!(bad.contains("rows") && bad.contains('x'), "{bad}");
    workspace.ok(&answer("r", &["ask", "OK", "--user", "bob", "--params", r#"{"rows": 7}"#]));
    assert_eq!(workspace.run_to_end("release", "r").state(), "success");
    assert!(workspace.task_log("release", "r", "load").contains("7 of products"));
}

#[test]
fn when_time_is_up_the_default_counts_or_the_task_fails_also_over_a_restart() {
    let dag = r#"
[tasks.default]
operator = "approval"
subject = "Load?"
defaults = "Reject"
response_timeout = "2s"
[tasks.strict]
operator = "hitl"
subject = "Which?"
options = ["a", "b"]
response_timeout = "2s"
[tasks.below]
operator = "empty"
upstream = ["default"]
"#;
    let workspace = workspace(dag, None);
    let standalone = workspace.standalone();
    trigger(&workspace, "r");
    open(&workspace, 2);
    standalone.kill();
    let _standalone = workspace.standalone();
    let run = workspace.run_to_end("release", "r");
    let states = run.states();
    assert_eq!(
        (states["default"].as_str(), states["strict"].as_str(), states["below"].as_str()),
        ("success", "failed", "skipped")
    );
    assert_eq!(run.task("strict")["cause"]["kind"], "timeout", "{}", run.task("strict"));
    let answered = workspace.json(&["approvals", "show", "release", "r", "default"])["answer"].clone();
    assert_eq!((&answered["chosen_options"], &answered["user"]), (&json!(["Reject"]), &Value::Null));
    let late = workspace.refused(&answer("r", &["default", "Approve"]));
    assert!(late.contains("nobody in time, so the default chose Reject"), "{late}");
    let closed = workspace.refused(&answer("r", &["strict", "a"]));
    assert!(closed.contains("its try has ended"), "{closed}");
}

#[test]
fn each_mapped_instance_asks_for_itself_and_a_cancelled_run_asks_no_more() {
    let dag = r#"
[tasks.ask]
operator = "hitl_branch"
options = ["load", "drop"]
expand = { subject = ["a?", "b?"] }
[tasks.load]
operator = "empty"
upstream = ["ask"]
[tasks.drop]
operator = "empty"
upstream = ["ask"]
"#;
    let workspace = workspace(&dag.replace("hitl_branch", "hitl"), None);
    let _standalone = workspace.standalone();
    trigger(&workspace, "r");
    open(&workspace, 2);
    workspace.ok(&answer("r", &["ask[1]", "drop"]));
    let left = open(&workspace, 1);
    assert_eq!((&left[0]["map_index"], &left[0]["subject"]), (&json!(0), &json!("a?")));
    workspace.ok(&["runs", "cancel", "release", "r"]);
    assert!(open(&workspace, 0).is_empty());
    let said = workspace.refused(&answer("r", &["ask[0]", "drop"]));
    assert!(said.contains("does not wait for an answer any more"), "{said}");
    // A clear asks anew.
    workspace.ok(&["tasks", "clear", "release", "ask", "--run-id", "r", "--yes"]);
    open(&workspace, 2);
    for task in ["ask[0]", "ask[1]"] {
        workspace.ok(&answer("r", &[task, "load"]));
    }
    assert_eq!(workspace.run_to_end("release", "r").state(), "success");
}
