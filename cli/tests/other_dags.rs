//! Tasks that trigger, watch and read other DAGs' runs, with the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use windrose_testkit::process::{Workspace, wait_until};

fn workspace() -> Workspace {
    Workspace::new(env!("CARGO_BIN_EXE_windrose"), None)
}

/// A DAG whose only task waits for the file `go`.
fn until_go(workspace: &Workspace) -> std::path::PathBuf {
    let go = workspace.path().join("go");
    let text = format!(
        "[params.n]\ntype = \"integer\"\ndefault = 0\n[tasks.t]\noperator = \"bash\"\ndo_xcom_push = true\n\
         bash_command = \"until [ -e {} ]; do sleep 0.02; done; echo n={{{{ params.n }}}}\"\n",
        go.display()
    );
    workspace.write_dag("target.toml", &text);
    go
}

const TRIGGER: &str = r#"
[tasks.trigger]
operator = "trigger_dag_run"
trigger_dag_id = "target"
conf = { n = "{{ 3 + 4 }}" }
wait_for_completion = true
poke_interval = 0.05
deferrable = true
"#;

fn runs_of(workspace: &Workspace, dag: &str) -> Vec<serde_json::Value> {
    workspace.json(&["runs", "list", dag]).as_array().unwrap().clone()
}

#[test]
fn a_triggered_run_is_waited_for_over_a_kill_and_made_once() {
    let workspace = workspace();
    let go = until_go(&workspace);
    workspace.write_dag("source.toml", &TRIGGER.replace("\"{{ 3 + 4 }}\"", "7"));
    let standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "source", "--run-id", "s"]);
    let _ = workspace.task_in("source", "s", "trigger", "deferred");
    let run = runs_of(&workspace, "target")[0]["run_id"].as_str().unwrap().to_owned();
    standalone.kill();
    let _standalone = workspace.standalone();
    std::fs::write(go, "").unwrap();
    assert_eq!(
        workspace.run_to_end("source", "s").state(),
        "success",
        "{}",
        workspace.task_log("source", "s", "trigger")
    );
    let runs = runs_of(&workspace, "target");
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!(
        (runs[0]["state"].as_str(), runs[0]["triggered_by"].as_str()),
        (Some("success"), Some("source.trigger of s"))
    );
    assert!(workspace.task_log("target", &run, "t").contains("n=7"));
}

#[test]
fn cancelling_the_task_cancels_the_run_it_waits_for() {
    let workspace = workspace();
    let _go = until_go(&workspace);
    workspace.write_dag("source.toml", &TRIGGER.replace("\"{{ 3 + 4 }}\"", "7"));
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "source", "--run-id", "s"]);
    let _ = workspace.task_in("source", "s", "trigger", "deferred");
    workspace.ok(&["runs", "cancel", "source", "s"]);
    wait_until("the end of the triggered run", || {
        let runs = runs_of(&workspace, "target");
        if runs[0]["state"] == "failed" { Ok(()) } else { Err(format!("{runs:?}")) }
    });
}

#[test]
fn a_sensor_waits_for_another_dags_task_and_values_are_pulled_from_it() {
    let workspace = workspace();
    let go = until_go(&workspace);
    workspace.write_dag(
        "watcher.toml",
        r#"
chain = ["sensor", "read"]
[tasks.sensor]
operator = "external_task_sensor"
external_dag_id = "target"
external_task_id = "t"
execution_delta = "1d"
poke_interval = 0.05
mode = "reschedule"
check_existence = true
[tasks.read]
operator = "bash"
bash_command = "echo 'got {{ ti.xcom_pull(task_ids='t', dag_id='target', run_id='r') }} {{ ti.xcom_pull(task_ids='t', dag_id='target') }}'"
[tasks.before]
operator = "bash"
bash_command = "echo 'prior {{ ti.xcom_pull(task_ids='before', include_prior_dates=True) }}'; echo {{ ds }}"
"#,
    );
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "watcher", "--run-id", "w", "--logical-date", "2026-01-02T00:00:00Z"]);
    let _ = workspace.task_in("watcher", "w", "sensor", "up_for_reschedule");
    workspace.ok(&["dags", "trigger", "target", "--run-id", "r", "--logical-date", "2026-01-01T00:00:00Z"]);
    std::fs::write(go, "").unwrap();
    assert_eq!(workspace.run_to_end("watcher", "w").state(), "success");
    let log = workspace.task_log("watcher", "w", "read");
    assert!(log.contains("got n=0 None"), "{log}");
    workspace.ok(&["dags", "trigger", "watcher", "--run-id", "v", "--logical-date", "2026-01-03T00:00:00Z"]);
    let _ = workspace.task_in("watcher", "v", "before", "success");
    let log = workspace.task_log("watcher", "v", "before");
    assert!(log.contains("prior 2026-01-02"), "{log}");
}
