//! What is tried again depends on its cause, and a lost worker costs no retry, with the real binary and an offline AWS.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use serde_json::{Value, json};
use support::started_lab;
use windrose_testkit::process::{RunView, Workspace};

const CAUSES: &str = r#"
[defaults]
retry_delay = 0.1
retries = 2

[tasks.slowed_down]
operator = "redshift_data"
workgroup_name = "sample-workgroup"
database = "dev"
secret_arn = "{{ var.value.redshift_secret_arn }}"
sql = "SELECT 1"
poll_interval = 0.1
retry_on = ["throttled"]

[tasks.misspelt]
operator = "redshift_data"
workgroup_name = "sample-workgroup"
database = "dev"
secret_arn = "{{ var.value.redshift_secret_arn }}"
sql = "SELEC 1"
poll_interval = 0.1
retry_on = ["throttled"]
upstream = ["slowed_down"]

[tasks.no_such_table]
operator = "sql_execute_query"
conn_id = "secrets_redshift_connection"
sql = "SELECT * FROM nosuch"
no_retry_on = ["sql_syntax"]

[tasks.divided_by_zero]
operator = "sql_execute_query"
conn_id = "secrets_redshift_connection"
sql = "SELECT 1 / 0"
no_retry_on = ["sql_syntax"]
"#;

/// The kinds of causes of a task's tries, oldest first; null for one that succeeded.
fn causes(workspace: &Workspace, dag: &str, task: &str) -> Vec<Value> {
    let tries = workspace.json(&["tasks", "tries", dag, task, "--run-id", "r"]);
    tries.as_array().unwrap().iter().map(|row| row["cause"]["kind"].clone()).collect()
}

fn outcome(run: &RunView, task: &str) -> Value {
    json!([run.task(task)["state"], run.task(task)["try_number"]])
}

#[test]
fn throttling_is_tried_again_and_a_mistake_in_sql_is_not() {
    let (lab, workspace) = started_lab();
    workspace.write_dag("causes.toml", CAUSES);
    // The client itself asks five times.
    lab.refuse("redshift-data", "ExecuteStatement", "ThrottlingException", 5);
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "causes", "--run-id", "r"]);
    let run = workspace.run_to_end("causes", "r");
    assert_eq!(outcome(&run, "slowed_down"), json!(["success", 2]), "{}", run.task("slowed_down"));
    let tries = workspace.json(&["tasks", "tries", "causes", "slowed_down", "--run-id", "r"]);
    assert_eq!((&tries[0]["cause"]["throttled"], &tries[1]["cause"]), (&json!(true), &Value::Null), "{tries}");
    assert_eq!(outcome(&run, "misspelt"), json!(["failed", 1]));
    assert_eq!(causes(&workspace, "causes", "misspelt"), ["remote_failed"]);
    assert_eq!(outcome(&run, "no_such_table"), json!(["failed", 1]));
    assert_eq!(run.task("no_such_table")["cause"]["sqlstate"], "42P01");
    assert_eq!(outcome(&run, "divided_by_zero"), json!(["failed", 3]));
}

#[test]
fn a_lost_worker_costs_no_retry() {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    let dag = r#"
[tasks.work]
operator = "bash"
bash_command = "touch started; until test -e FOLDER/go || ! test -d FOLDER; do sleep 0.05; done; test -e FOLDER/pass"
cwd = "FOLDER"
retries = 1
retry_delay = 0.1
"#;
    workspace.write_dag("lost.toml", &dag.replace("FOLDER", &workspace.path().display().to_string()));
    let standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "lost", "--run-id", "r"]);
    for killed in [Some(standalone), None] {
        let _ = workspace.task_in("lost", "r", "work", "running");
        if let Some(standalone) = killed {
            standalone.kill();
            let again = workspace.standalone();
            let _ = workspace.task_in("lost", "r", "work", "running");
            again.kill();
        }
    }
    std::fs::write(workspace.path().join("go"), "").unwrap();
    let _standalone = workspace.standalone();
    let run = workspace.run_to_end("lost", "r");
    // Twice lost, and both tries are still there to fail by themselves.
    assert_eq!(outcome(&run, "work"), json!(["failed", 2]));
    assert_eq!(causes(&workspace, "lost", "work"), ["lost", "lost", "exit_code", "exit_code"]);
}
