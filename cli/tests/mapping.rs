//! Mapped tasks and groups with the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use serde_json::Value;
use windrose_testkit::process::Workspace;

const REDUCE: &str = r#"
[tasks.list_files]
operator = "python"
python_callable = "scripts/load.py:names"

[tasks.load]
operator = "python"
python_callable = "scripts/load.py:length"
expand = { op_args = { xcom = "list_files" } }
map_index_template = "{{ mapped.op_args[0] }}"

[tasks.say]
operator = "bash"
bash_command = "echo {{ ti.xcom_pull('load') | sum }}"
upstream = ["load"]

[tasks.product]
operator = "bash"
expand = { bash_command = ["echo a {{ ds_nodash }}", "echo b"], cwd = ["/tmp", "/"] }
"#;

const SCRIPT: &str = "
def names():
    return [['a'], ['bb'], ['ccc']]

def length(name):
    return len(name)
";

const GROUP: &str = r#"
[tasks.start]
operator = "python"
python_callable = "scripts/load.py:names"

[groups.each]
expand = { name = { xcom = "start" } }

[tasks."each.first"]
operator = "bash"
bash_command = "echo {{ mapped.name[0] }}{{ ti.map_index }}"

[tasks."each.second"]
operator = "bash"
bash_command = "test '{{ mapped.name[0] }}' != bb && echo {{ ti.xcom_pull('each.first') }}!"
upstream = ["each.first"]

[tasks.end]
operator = "bash"
bash_command = "echo {{ ti.xcom_pull('each.second') | join(',') }}"
trigger_rule = "all_done"
upstream = ["each"]
"#;

fn workspace() -> Workspace {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    workspace.write_dag("reduce.toml", REDUCE);
    workspace.write_dag("group.toml", GROUP);
    workspace.write_dag("scripts/load.py", SCRIPT);
    workspace
}

/// Task, map index and state of every instance of a run.
fn instances(workspace: &Workspace, dag: &str) -> Vec<(String, i64, String)> {
    let tasks = workspace.json(&["tasks", "list", dag, "r"]);
    let text = |task: &Value, key: &str| task[key].as_str().unwrap().to_owned();
    let one = |task: &Value| (text(task, "task_id"), task["map_index"].as_i64().unwrap(), text(task, "state"));
    tasks.as_array().unwrap().iter().map(one).collect()
}

fn expected(list: &[(&str, i64, &str)]) -> Vec<(String, i64, String)> {
    list.iter().map(|(task, index, state)| ((*task).to_owned(), *index, (*state).to_owned())).collect()
}

#[test]
fn a_task_is_mapped_over_what_another_returned_and_reduced() {
    let workspace = workspace();
    let standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "reduce", "--run-id", "r", "--wait"]);
    let want = expected(&[
        ("list_files", -1, "success"),
        ("load", 0, "success"),
        ("load", 1, "success"),
        ("load", 2, "success"),
        ("say", -1, "success"),
        ("product", 0, "success"),
        ("product", 1, "success"),
        ("product", 2, "success"),
        ("product", 3, "success"),
    ]);
    assert_eq!(instances(&workspace, "reduce"), want);
    let names = workspace.json(&["tasks", "list", "reduce", "r"]);
    assert_eq!(names[2]["rendered_map_index"], "bb");
    assert!(workspace.ok(&["tasks", "logs", "reduce", "say", "--run-id", "r"]).contains("6"));
    let log = workspace.ok(&["tasks", "logs", "reduce", "product", "--run-id", "r", "--map-index", "1"]);
    assert!(log.contains("a 20"), "{log}");
    standalone.kill();
}

#[test]
fn each_instance_has_its_own_environment() {
    let workspace = workspace();
    let mapped = r#"
[tasks.say]
operator = "bash"
bash_command = 'test "$DAY" = "$WANTED"'
expand_kwargs = [{ env = { DAY = "{{ ds }}", WANTED = "2026-01-02" } }, { env = { DAY = "a", WANTED = "a" } }]
[tasks.list]
operator = "bash"
bash_command = "echo $WHO"
expand = { env = [{ WHO = "ann" }, { WHO = "bob" }] }
[tasks.check]
operator = "bash"
bash_command = "test '{{ ti.xcom_pull('list') | join(',') }}' = ann,bob"
upstream = ["list"]
"#;
    workspace.write_dag("env.toml", mapped);
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "env", "--logical-date", "2026-01-02T00:00:00Z", "--wait"]);
}

#[test]
fn a_mapped_group_goes_on_index_by_index_over_a_kill() {
    let workspace = workspace();
    let standalone = workspace.standalone();
    let said = workspace.run(&["dags", "trigger", "group", "--run-id", "r"]);
    assert!(said.status.success());
    standalone.kill();
    let standalone = workspace.standalone();
    workspace.ok(&["runs", "watch", "group", "r"]);
    let want = expected(&[
        ("start", -1, "success"),
        ("each.first", 0, "success"),
        ("each.first", 1, "success"),
        ("each.first", 2, "success"),
        ("each.second", 0, "success"),
        ("each.second", 1, "failed"),
        ("each.second", 2, "success"),
        ("end", -1, "success"),
    ]);
    assert_eq!(instances(&workspace, "group"), want);
    let log = workspace.ok(&["tasks", "logs", "group", "end", "--run-id", "r"]);
    assert!(log.contains("a0!,ccc2!"), "{log}");
    standalone.kill();
}

#[test]
fn a_mapped_task_that_gets_what_it_cannot_take_says_so() {
    let workspace = workspace();
    workspace.write_dag(
        "odd.toml",
        "[tasks.text]\noperator = \"bash\"\nbash_command = \"echo text\"\n\
         [tasks.m]\noperator = \"bash\"\nexpand = { bash_command = { xcom = \"text\" } }\n",
    );
    let standalone = workspace.standalone();
    let _ = workspace.run(&["dags", "trigger", "odd", "--run-id", "r", "--wait"]);
    assert_eq!(instances(&workspace, "odd"), expected(&[("text", -1, "failed"), ("m", -1, "upstream_failed")]));
    let said = workspace.ok(&["tasks", "list", "odd", "r"]);
    assert!(said.contains("'m' is mapped over what it returns"), "{said}");
    standalone.kill();
}

#[test]
fn what_cannot_be_mapped_is_found_before_it_runs() {
    let workspace = workspace();
    let check = |text: &str| {
        workspace.write_dag("wrong.toml", text);
        workspace.refused(&["dags", "check", "dags/wrong.toml"])
    };
    let task = |expand: &str| format!("[tasks.m]\noperator = \"bash\"\n{expand}\n");
    for (expand, says) in [
        ("expand = { bash_comand = [\"a\"] }", "did you mean"),
        ("expand = { bash_command = 3 }", "a list or a table to map over"),
        ("expand = { bash_command = { xcom = \"nobody\" } }", "there is no task or group 'nobody'"),
        ("expand = { retries = [1, 2] }", "is the same for all instances"),
        ("bash_command = \"x\"\nexpand = { bash_command = [\"a\"] }", "both mapped and given"),
        ("expand_kwargs = [3]", "a list of tables of arguments"),
        ("expand = { bash_command = [\"{{ nope\"] }", "the template in 'bash_command'"),
    ] {
        let said = check(&task(expand));
        assert!(said.contains(says), "{expand}: {said}");
    }
}
