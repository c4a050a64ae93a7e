//! How a run resolves, with the real binary: branches, short circuits, groups, setup and teardown, fail_fast, limits.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use serde_json::json;
use windrose_testkit::process::{RunView, Workspace, wait_until};

fn workspace(dags: &[(&str, &str)]) -> Workspace {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    let folder = workspace.path().display().to_string();
    for (name, text) in dags {
        workspace.write_dag(&format!("{name}.toml"), &text.replace("FOLDER", &folder));
    }
    workspace
}

fn run(workspace: &Workspace, dag: &str) -> RunView {
    workspace.ok(&["dags", "trigger", dag, "--run-id", "r"]);
    workspace.run_to_end(dag, "r")
}

/// `a=success b=skipped`, in the order of the ids.
fn states(run: &RunView) -> String {
    let all: BTreeMap<_, _> = run.states();
    all.iter().map(|(task, state)| format!("{task}={state}")).collect::<Vec<_>>().join(" ")
}

const BRANCHES: &str = r#"
[tasks.pick]
operator = "branch"
choose = ["groups_end", "left"]
[tasks.left]
operator = "empty"
upstream = ["pick"]
[tasks.right]
operator = "empty"
upstream = ["pick"]
[tasks.below_right]
operator = "empty"
upstream = ["right"]
[groups.groups_end]
upstream = ["pick"]
[tasks."groups_end.one"]
operator = "empty"
[tasks."groups_end.two"]
operator = "empty"
upstream = ["groups_end.one"]
[tasks.all]
operator = "empty"
upstream = ["left", "right"]
[tasks.some]
operator = "empty"
upstream = ["left", "right", "groups_end"]
trigger_rule = "none_failed_min_one_success"
"#;

const CIRCUITS: &str = r#"
[tasks.everything]
operator = "short_circuit"
condition = false
[tasks.first]
operator = "empty"
upstream = ["everything"]
[tasks.whatever]
operator = "empty"
upstream = ["first"]
trigger_rule = "all_done"
[tasks.direct]
operator = "short_circuit"
condition = false
ignore_downstream_trigger_rules = false
[tasks.second]
operator = "empty"
upstream = ["direct"]
[tasks.by_rule]
operator = "empty"
upstream = ["second"]
trigger_rule = "all_done"
[tasks.newest]
operator = "latest_only"
[tasks.only_new]
operator = "empty"
upstream = ["newest"]
"#;

#[test]
fn branches_and_short_circuits_skip_what_airflow_skips() {
    let workspace = workspace(&[("branches", BRANCHES), ("circuits", CIRCUITS)]);
    let _standalone = workspace.standalone();
    let branches = run(&workspace, "branches");
    assert_eq!(branches.state(), "success");
    assert_eq!(
        states(&branches),
        "all=skipped below_right=skipped groups_end.one=success groups_end.two=success left=success pick=success \
         right=skipped some=success"
    );
    let circuits = run(&workspace, "circuits");
    assert_eq!(
        states(&circuits),
        "by_rule=success direct=success everything=success first=skipped newest=success only_new=success second=skipped \
         whatever=skipped"
    );
}

const FAIL_FAST: &str = r#"
fail_fast = true
[tasks.breaks]
operator = "bash"
bash_command = "until test -e FOLDER/both; do sleep 0.02; done; exit 1"
[tasks.works]
operator = "bash"
bash_command = "touch FOLDER/both; while test -d FOLDER; do sleep 0.05; done"
[tasks.later]
operator = "empty"
upstream = ["works"]
[tasks.cleans]
operator = "bash"
bash_command = "touch FOLDER/cleaned"
upstream = ["later"]
teardown = true
"#;

#[test]
fn fail_fast_stops_what_runs_and_still_tears_down() {
    let workspace = workspace(&[("fast", FAIL_FAST)]);
    let _standalone = workspace.standalone();
    let ended = run(&workspace, "fast");
    assert_eq!(ended.state(), "failed");
    let states = ended.states();
    assert_eq!((states["breaks"].as_str(), states["works"].as_str()), ("failed", "failed"));
    assert_eq!(states["cleans"], "success");
    assert!(workspace.path().join("cleaned").exists());
}

const CLUSTER: &str = r#"
[tasks.create]
operator = "bash"
bash_command = "echo create >> FOLDER/ledger"
setup = true
[tasks.load]
operator = "bash"
bash_command = "echo load >> FOLDER/ledger; test -e FOLDER/ok"
upstream = ["create"]
[tasks.report]
operator = "bash"
bash_command = "echo report >> FOLDER/ledger"
upstream = ["load"]
[tasks.delete]
operator = "bash"
bash_command = "echo delete >> FOLDER/ledger"
upstream = ["report"]
teardown = ["create"]
"#;

#[test]
fn a_teardown_runs_whatever_happened_and_a_clear_takes_setup_and_teardown_along() {
    let workspace = workspace(&[("cluster", CLUSTER)]);
    let _standalone = workspace.standalone();
    let ended = run(&workspace, "cluster");
    assert_eq!(ended.state(), "failed");
    assert_eq!(states(&ended), "create=success delete=success load=failed report=upstream_failed");
    let plan = workspace.json(&["tasks", "clear", "cluster", "report", "--run-id", "r", "--dry-run"]);
    let planned = plan["runs"][0]["tasks"].as_array().unwrap().iter().map(|task| task["task_id"].as_str().unwrap());
    assert_eq!(planned.collect::<Vec<_>>(), ["create", "report", "delete"], "{plan}");
    std::fs::write(workspace.path().join("ok"), "").unwrap();
    workspace.ok(&["tasks", "clear", "cluster", "load", "--downstream", "--run-id", "r", "--yes"]);
    assert_eq!(workspace.run_to_end("cluster", "r").state(), "success");
    let ledger = std::fs::read_to_string(workspace.path().join("ledger")).unwrap();
    assert_eq!(ledger, "create\nload\ndelete\ncreate\nload\nreport\ndelete\n");
}

/// Notes how many of it go on at once, over all runs and in its own.
const LIMITED: &str = r#"
max_active_runs = 4
[tasks.load]
operator = "bash"
LIMIT
env = { PATH = "{{ var.value.get('p', '/usr/bin:/bin') }}" }
bash_command = """
mkdir FOLDER/at/{{ run_id }}-{{ ti.map_index }}
ls FOLDER/at | wc -l >> FOLDER/all; ls FOLDER/at | grep -c "^{{ run_id }}-" >> FOLDER/own
sleep 0.3; rmdir FOLDER/at/{{ run_id }}-{{ ti.map_index }}"""
expand = { append_env = [true, true, true, true] }
"#;

/// The most that went on at once: over all runs, and in one.
fn most_at_once(limit: &str) -> (u32, u32) {
    let workspace = workspace(&[("limited", &LIMITED.replace("LIMIT", limit))]);
    std::fs::create_dir(workspace.path().join("at")).unwrap();
    let _standalone = workspace.standalone();
    for run in ["one", "two"] {
        workspace.ok(&["dags", "trigger", "limited", "--run-id", run]);
    }
    for run in ["one", "two"] {
        assert_eq!(workspace.run_to_end("limited", run).state(), "success");
    }
    let most = |file: &str| {
        let text = std::fs::read_to_string(workspace.path().join(file)).unwrap();
        text.lines().map(|line| line.trim().parse::<u32>().unwrap()).max().unwrap()
    };
    (most("all"), most("own"))
}

#[test]
fn a_tasks_own_limits_hold_over_all_runs_and_in_each() {
    let (all, _) = most_at_once("max_active_tis_per_dag = 2");
    assert!(all <= 2, "{all} at once");
    let (_, own) = most_at_once("max_active_tis_per_dagrun = 1");
    assert_eq!(own, 1);
}

#[test]
fn a_tasks_params_take_the_place_of_the_dags_and_are_checked_when_it_runs() {
    let dag = r#"
[params.table]
type = "string"
default = "orders"
[tasks.shows]
operator = "bash"
bash_command = "echo {{ params.table }} {{ params.rows }}"
[tasks.shows.params]
rows = { type = "integer", minimum = 1, default = 3 }
[tasks.other]
operator = "bash"
bash_command = "echo {{ params.table }} of {{ params.get('rows', 'no') }} rows"
[tasks.other.params]
table = "products"
"#;
    let workspace = workspace(&[("params", dag)]);
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "params", "--run-id", "good", "--wait"]);
    assert!(workspace.task_log("params", "good", "shows").contains("orders 3"));
    assert!(workspace.task_log("params", "good", "other").contains("products of no rows"));
    workspace.refused(&["dags", "trigger", "params", "--run-id", "bad", "--conf", r#"{"rows": 0}"#, "--wait"]);
    let bad = workspace.run_to_end("params", "bad");
    let cause = bad.task("shows")["cause_text"].as_str().unwrap();
    assert!(
        cause.contains("its params do not fit") && cause.contains("/rows") && cause.contains("minimum: 1"),
        "{cause}"
    );
    assert_eq!(bad.task("other")["state"], "success", "it has no such parameter");
}

#[test]
fn one_mapped_instance_can_be_cleared_and_marked_by_its_index() {
    let dag = r#"
[tasks.load]
operator = "bash"
append_env = true
expand = { bash_command = ["true", "test -e FOLDER/ok", "exit 7"] }
[tasks.after]
operator = "empty"
upstream = ["load"]
"#;
    let workspace = workspace(&[("mapped", dag)]);
    let _standalone = workspace.standalone();
    assert_eq!(run(&workspace, "mapped").state(), "failed");
    std::fs::write(workspace.path().join("ok"), "").unwrap();
    let select = ["mapped", "load", "--run-id", "r", "--map-index"];
    workspace.ok(&[&["tasks", "clear"], &select[..], &["1", "--yes"]].concat());
    assert_eq!(workspace.run_to_end("mapped", "r").state(), "failed");
    let rows = |field: &str| {
        let run = workspace.find_run("mapped", "r").unwrap();
        let loads = run.tasks().iter().filter(|row| row["task_id"] == "load").map(|row| row[field].clone());
        loads.collect::<Vec<_>>()
    };
    assert_eq!(rows("state"), ["success", "success", "failed"]);
    assert_eq!(rows("try_number"), [json!(1), json!(2), json!(1)]);
    workspace.ok(&[&["tasks", "mark", "success"], &select[..], &["2", "--yes"]].concat());
    wait_until("the run's end", || {
        let run = workspace.find_run("mapped", "r").unwrap();
        if run.state() == "success" { Ok(()) } else { Err(format!("{run:?}")) }
    });
    assert_eq!(rows("state"), ["success", "success", "success"]);
    assert_eq!(workspace.find_run("mapped", "r").unwrap().task("after")["state"], "success");
}

#[test]
fn a_longer_list_than_max_map_length_fails_the_task_that_returns_it() {
    let dag = r#"
[tasks.list]
operator = "bash"
bash_command = "echo '[1, 2, 3]'"
output_processor = "json"
[tasks.each]
operator = "bash"
bash_command = "true"
expand = { env = { xcom = "list" } }
"#;
    let mut workspace = workspace(&[("long", dag)]);
    workspace.set_env("WINDROSE__SCHEDULER__MAX_MAP_LENGTH", "2");
    let _standalone = workspace.standalone();
    let ended = run(&workspace, "long");
    assert_eq!(states(&ended), "each=upstream_failed list=failed");
    let cause = ended.task("list")["cause_text"].as_str().unwrap();
    assert!(cause.contains("returned 3 elements") && cause.contains("2 at most"), "{cause}");
}
