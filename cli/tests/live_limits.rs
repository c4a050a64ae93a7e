//! Pools that change while tasks use them and wait for them, and queues that no worker serves.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use serde_json::Value;
use windrose_testkit::process::{Workspace, wait_until};

const MANY: &str = r#"
max_active_tasks = 100
[tasks.load]
operator = "bash"
bash_command = "until test -e FOLDER/go-$NUMBER; do test -d FOLDER || exit 1; sleep 0.02; done"
append_env = true
pool = "narrow"
expand = { env = [{ NUMBER = "0" }, { NUMBER = "1" }, { NUMBER = "2" }, { NUMBER = "3" }, { NUMBER = "4" }] }
"#;

/// How many instances are in this state, once there are so many.
fn count_in(workspace: &Workspace, state: &str, count: usize) {
    wait_until(&format!("{count} instances to be {state}"), || {
        let run = workspace.find_run("many", "r").ok_or("no run")?;
        let found = run.tasks().iter().filter(|row| row["state"] == state).count();
        if found == count { Ok(()) } else { Err(format!("{found}")) }
    });
}

fn why(workspace: &Workspace, dag: &str, task: &str) -> Value {
    workspace.json(&["explain", dag, "r", task])["runs"][0]["tasks"][0]["why"][0].clone()
}

#[test]
fn a_pool_grows_shrinks_and_goes_while_it_is_used() {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    workspace.write_dag("many.toml", &MANY.replace("FOLDER", &workspace.path().display().to_string()));
    let go = |number: usize| std::fs::write(workspace.path().join(format!("go-{number}")), "").unwrap();
    workspace.ok(&["pools", "set", "narrow", "1"]);
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "many", "--run-id", "r"]);
    count_in(&workspace, "running", 1);
    assert_eq!(why(&workspace, "many", "load[4]")["reason"], "pool_full");

    workspace.ok(&["pools", "set", "narrow", "3"]);
    count_in(&workspace, "running", 3);

    // What runs goes on; nothing begins until there is room.
    workspace.ok(&["pools", "set", "narrow", "2"]);
    wait_until("the pool to be known as too full", || {
        let why = why(&workspace, "many", "load[4]");
        if why["text"].as_str().unwrap().contains("is 3/2") { Ok(()) } else { Err(why.to_string()) }
    });
    go(0);
    count_in(&workspace, "success", 1);
    count_in(&workspace, "running", 2);
    count_in(&workspace, "scheduled", 2);

    workspace.ok(&["pools", "delete", "narrow"]);
    wait_until("the pool to be gone", || {
        let why = why(&workspace, "many", "load[4]");
        if why["reason"] == "no_pool" { Ok(()) } else { Err(why.to_string()) }
    });
    (1..5).for_each(go);
    count_in(&workspace, "success", 3);
    count_in(&workspace, "scheduled", 2);

    workspace.ok(&["pools", "set", "narrow", "1"]);
    assert_eq!(workspace.run_to_end("many", "r").state(), "success");
}

#[test]
fn a_task_waits_for_a_worker_that_serves_its_queue() {
    let mut workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    let dag = "[tasks.here]\noperator = \"empty\"\n[tasks.there]\noperator = \"bash\"\nbash_command = \"true\"\n\
               queue = \"gpu\"\n";
    workspace.write_dag("queues.toml", dag);
    workspace.set_env("WINDROSE__WORKER__QUEUES", "[default, etl]");
    let standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "queues", "--run-id", "r"]);
    let _ = workspace.task_in("queues", "r", "here", "success");
    let why = why(&workspace, "queues", "there");
    assert_eq!(
        (why["reason"].as_str(), why["text"].as_str()),
        (Some("no_worker"), Some("no worker serves queue 'gpu'"))
    );
    standalone.kill();
    workspace.set_env("WINDROSE__WORKER__QUEUES", "[gpu]");
    let _standalone = workspace.standalone();
    assert_eq!(workspace.run_to_end("queues", "r").state(), "success");
}
