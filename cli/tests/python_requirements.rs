//! Environments of `python` tasks with requirements, made by the real pip (or uv) from the real package index.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use windrose_testkit::process::Workspace;

/// A workspace with a cache of its own and a function that uses a small package.
fn workspace() -> Workspace {
    let mut workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    let cache = workspace.path().join("cache").display().to_string();
    workspace.set_env("XDG_CACHE_HOME", &cache);
    workspace.write_dag("version.py", "def main():\n    import six\n    return 'six ' + six.__version__\n");
    workspace
}

fn python(task: &str, requirement: &str) -> String {
    format!(
        "[tasks.{task}]\noperator = \"python\"\npython_callable = \"version.py:main\"\nrequirements = [\"{requirement}\"]\n"
    )
}

#[test]
fn tasks_with_the_same_requirements_share_one_environment_that_is_made_once() {
    let workspace = workspace();
    let tasks = ["one", "two", "later"].map(|task| python(task, "six==1.17.0")).concat();
    workspace.write_dag("shared.toml", &format!("chain = [[\"one\", \"two\"], \"later\"]\n{tasks}"));
    let _standalone = workspace.standalone();
    workspace.ok(&["dags", "trigger", "shared", "--run-id", "r", "--wait"]);
    let logs = ["one", "two", "later"].map(|task| workspace.task_log("shared", "r", task));
    for log in &logs {
        assert!(log.contains("Returned value was: \"six 1.17.0\""), "{log}");
    }
    let made: Vec<_> = logs.iter().map(|log| log.contains("Making a Python environment with ")).collect();
    let used: Vec<_> = logs.iter().map(|log| log.contains("Using the Python environment ")).collect();
    assert_eq!(made.iter().filter(|made| **made).count(), 1, "{logs:#?}");
    assert!(!made[2] && used[2], "{logs:#?}");
    assert!(made.iter().zip(&used).all(|(made, used)| made != used), "{logs:#?}");
}

#[test]
fn a_requirement_that_cannot_be_had_is_named_and_the_next_try_begins_anew() {
    let workspace = workspace();
    let task = python("t", "six==999.0");
    workspace.write_dag("failing.toml", &format!("{task}retries = 1\nretry_delay = 0\n"));
    let _standalone = workspace.standalone();
    let said = workspace.refused(&["dags", "trigger", "failing", "--run-id", "r", "--wait"]);
    let sentence = "The Python environment for six==999.0 cannot be made:";
    assert!(said.contains(sentence) && said.contains("Correct the task's requirements"), "{said}");
    let log = workspace.task_log("failing", "r", "t");
    assert!(log.contains("Starting attempt 2 of 2"), "{log}");
    assert!(log.contains("Making a Python environment with ") && log.contains(sentence), "{log}");
}
