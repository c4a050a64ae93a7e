//! Deadlines with the real binary: people are told once of what is late, whatever restarts, and of nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "support/receiver.rs"]
mod receiver;

use receiver::{Got, all, body, web_server};
use serde_json::Value;
use windrose_testkit::process::{Workspace, wait_until};

/// It ends with the folder of its test, also if nobody is left to stop it.
const ENDLESS: &str = "[tasks.load]\noperator = \"bash\"\nbash_command = 'while [ -d \"$PWD\" ]; do sleep 0.1; done'\n";
const EMPTY: &str = "[tasks.load]\noperator = \"empty\"\n";

fn workspace() -> Workspace {
    Workspace::new(env!("CARGO_BIN_EXE_windrose"), None)
}

fn deadline(condition: &str, port: u16) -> String {
    format!("deadline = {{ {condition}, notify = {{ notifier = \"webhook\", url = \"http://127.0.0.1:{port}/\" }} }}\n")
}

/// What was taken of one DAG, or of one of its runs.
fn told(got: &Got, dag: &str, run: Option<&str>) -> Vec<Value> {
    let taken = got.lock().unwrap().clone();
    let facts = taken.iter().filter(|request| request.starts_with("200")).map(|request| body(request));
    facts.filter(|facts| facts["dag_id"] == dag && (run.is_none() || facts["run_id"].as_str() == run)).collect()
}

fn wait_told(got: &Got, dag: &str, run: Option<&str>, count: usize) -> Vec<Value> {
    wait_until(&format!("{count} notifications about {dag} {run:?}"), || {
        let told = told(got, dag, run);
        if told.len() >= count { Ok(told) } else { Err(format!("{:?}", got.lock().unwrap())) }
    })
}

/// The runs of the DAG that are listed as late.
fn listed_as_missed(workspace: &Workspace, dag: &str) -> Vec<String> {
    let listed = workspace.json(&["dags", "deadlines", dag]);
    let missed = listed.as_array().unwrap().iter().filter(|row| !row["missed_at"].is_null());
    let mut runs: Vec<_> = missed.map(|row| row["run_id"].as_str().unwrap_or("-").to_owned()).collect();
    runs.sort();
    runs
}

#[test]
fn a_run_that_is_not_done_is_told_of_once_also_after_a_kill() {
    let workspace = workspace();
    let (port, got) = web_server("{}", 1);
    workspace.write_dag("slow.toml", &format!("{}{ENDLESS}", deadline("not_done_by = \"1s\", name = \"soon\"", port)));
    let standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "slow", "--run-id", "r1"]);
    let refused = || workspace.log().contains("a notification was not sent");
    wait_until("a failed try to send it", || if refused() { Ok(()) } else { Err(workspace.log()) });
    standalone.kill();
    let _standalone = workspace.standalone();
    let facts = wait_told(&got, "slow", Some("r1"), 1).remove(0);
    assert_eq!((&facts["reason"], &facts["deadline"]["name"]), (&"deadline".into(), &"soon".into()), "{facts}");
    assert_eq!(facts["deadline"]["kind"], "not_done_by");
    let instant = |name: &str| chrono::DateTime::parse_from_rfc3339(facts["deadline"][name].as_str().unwrap()).unwrap();
    assert_eq!((instant("due_at") - instant("counted_from")).num_milliseconds(), 1_000);
    let message = facts["message"].as_str().unwrap();
    assert!(
        message.starts_with("Run r1 of DAG slow is not done by ") && message.ends_with(": load is running."),
        "{message}"
    );

    let explained = workspace.json(&["explain", "slow", "r1"]);
    assert_eq!(explained["runs"][0]["why"][0]["reason"], "deadline_missed", "{explained}");
    // The next one's deadline is later: had the first been told of once more, that would have come before.
    workspace.ok(&["dags", "trigger", "slow", "--run-id", "r2"]);
    wait_told(&got, "slow", Some("r2"), 1);
    assert_eq!(told(&got, "slow", Some("r1")).len(), 1);
    assert_eq!(listed_as_missed(&workspace, "slow"), ["r1", "r2"]);
}

#[test]
fn a_deadline_that_passes_while_nobody_schedules_is_told_of_at_the_next_start() {
    let workspace = workspace();
    let (port, got) = web_server("{}", 0);
    workspace.write_dag("slow.toml", &format!("{}{ENDLESS}", deadline("not_done_by = \"3s\"", port)));
    let standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "slow", "--run-id", "r1"]);
    standalone.kill();
    let listed = workspace.json(&["dags", "deadlines", "slow"]);
    let due = listed[0]["due_at"].as_str().map(|at| chrono::DateTime::parse_from_rfc3339(at).unwrap());
    wait_until("the deadline", || match due {
        Some(due) if chrono::Utc::now() <= due => Err(format!("{due}")),
        _ => Ok(()),
    });
    let _standalone = workspace.standalone();
    wait_told(&got, "slow", Some("r1"), 1);
    assert_eq!(listed_as_missed(&workspace, "slow"), ["r1"]);
}

#[test]
fn a_run_without_a_place_is_told_of_as_not_started() {
    let workspace = workspace();
    let (port, got) = web_server("{}", 0);
    let dag = format!("max_active_runs = 1\n{}{ENDLESS}", deadline("not_started_by = \"1s\"", port));
    workspace.write_dag("narrow.toml", &dag);
    let _standalone = workspace.standalone();
    for run in ["first", "second"] {
        workspace.ok(&["dags", "trigger", "narrow", "--run-id", run]);
    }
    let facts = wait_told(&got, "narrow", None, 1).remove(0);
    assert_eq!((&facts["run_id"], &facts["deadline"]["kind"]), (&"second".into(), &"not_started_by".into()));
    let message = facts["message"].as_str().unwrap();
    assert!(message.contains("has not started by ") && message.ends_with(": it is queued."), "{message}");
    // A paused DAG's runs are late all the same.
    workspace.ok(&["dags", "pause", "narrow"]);
    workspace.ok(&["dags", "trigger", "narrow", "--run-id", "third"]);
    wait_told(&got, "narrow", Some("third"), 1);
    assert_eq!(listed_as_missed(&workspace, "narrow"), ["second", "third"]);
}

#[test]
fn no_success_is_told_of_once_and_again_after_the_next_success() {
    let workspace = workspace();
    let (port, got) = web_server("{}", 0);
    let text = "{{ dag.dag_id }} {{ notification.deadline.name }} {{ notification.run_id }}";
    let fresh = format!(
        "deadline = {{ no_success_since = \"2s\", name = \"fresh\", notify = {{ notifier = \"webhook\", \
         url = \"http://127.0.0.1:{port}/\", json = {{ dag_id = \"fresh\", text = \"{text}\" }} }} }}\n{EMPTY}"
    );
    workspace.write_dag("fresh.toml", &fresh);
    workspace
        .write_dag("asleep.toml", &format!("paused = true\n{}{EMPTY}", deadline("no_success_since = \"1s\"", port)));
    let standalone = workspace.standalone();
    assert_eq!(wait_told(&got, "fresh", None, 1)[0]["text"], "fresh fresh None");
    let explained = workspace.json(&["explain", "fresh"]);
    let reasons: Vec<_> = explained["dag"].as_array().unwrap().iter().map(|why| &why["reason"]).collect();
    assert!(reasons.contains(&&"deadline_missed".into()), "{explained}");
    standalone.kill();
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "fresh", "--run-id", "r", "--wait"]);
    wait_until("the second deadline", || {
        let missed = listed_as_missed(&workspace, "fresh");
        if missed.len() == 2 { Ok(()) } else { Err(format!("{missed:?}")) }
    });
    assert_eq!(listed_as_missed(&workspace, "asleep"), [""; 0], "it is paused");
}

#[test]
fn a_run_that_is_done_in_time_is_never_told_of_also_if_it_is_cleared_later() {
    let workspace = workspace();
    let (port, got) = web_server("{}", 0);
    workspace.write_dag("quick.toml", &format!("{}{EMPTY}", deadline("not_done_by = \"8s\"", port)));
    workspace.write_dag("slow.toml", &format!("{}{ENDLESS}", deadline("not_done_by = \"8s\"", port)));
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "quick", "--run-id", "r", "--wait"]);
    // Due after the first one was.
    workspace.ok(&["dags", "trigger", "slow", "--run-id", "later"]);
    wait_told(&got, "slow", Some("later"), 1);
    workspace.ok(&["runs", "clear", "quick", "r", "--yes"]);
    assert_eq!(workspace.run_to_end("quick", "r").state(), "success");
    assert_eq!(listed_as_missed(&workspace, "quick"), [""; 0]);
    assert_eq!(told(&got, "quick", None).len(), 0);
}

#[test]
fn a_run_is_late_when_it_takes_longer_than_those_before() {
    let workspace = workspace();
    let (port, got) = web_server("{}", 0);
    let condition = "not_done_by = \"1s\", reference = \"average_runtime\", max_runs = 2";
    let command = "if [ '{{ run_id }}' = r3 ]; then while [ -d \"$PWD\" ]; do sleep 0.1; done; fi";
    let task = format!("[tasks.load]\noperator = \"bash\"\nbash_command = \"\"\"{command}\"\"\"\n");
    workspace.write_dag("usual.toml", &format!("{}{task}", deadline(condition, port)));
    let _standalone = workspace.standalone();
    for run in ["r1", "r2"] {
        workspace.ok(&["dags", "trigger", "usual", "--run-id", run, "--wait"]);
    }
    workspace.ok(&["dags", "trigger", "usual", "--run-id", "r3"]);
    wait_told(&got, "usual", Some("r3"), 1);
    assert_eq!(listed_as_missed(&workspace, "usual"), ["r3"]);
    assert_eq!(all(&got, 1).len(), 1);
}
