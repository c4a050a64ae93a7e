//! Clear and mark: a plan first, then exactly that; and the history of all tries.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use serde_json::{Value, json};
use windrose_testkit::TestDatabase;
use windrose_testkit::process::{Workspace, wait_until};

/// a → b → c; b does what the run says.
const DAG: &str = r#"
chain = ["a", "b", "c"]
[tasks.a]
operator = "bash"
bash_command = "echo this is try {{ ti.try_number }}"
[tasks.b]
operator = "bash"
bash_command = "test -e {{ params.folder }}/ok || exit 7"
[tasks.c]
operator = "empty"
[params]
folder = "FOLDER"
"#;

fn workspace(database: Option<&str>) -> Workspace {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), database);
    let folder = workspace.path().display().to_string();
    workspace.write_dag("abc.toml", &DAG.replace("FOLDER", &folder));
    workspace
}

/// A run for each day of January 2026 up to this one; b fails in all of them.
fn failed_runs(workspace: &Workspace, days: u32) {
    for day in 1..=days {
        let (id, date) = (format!("r{day}"), format!("2026-01-{day:02}T00:00:00Z"));
        let _ = workspace.run(&["dags", "trigger", "abc", "--run-id", &id, "--logical-date", &date]);
        assert_eq!(workspace.run_to_end("abc", &id).state(), "failed");
    }
}

fn planned(plan: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let runs = plan["runs"].as_array().unwrap().iter();
    runs.flat_map(|run| {
        let tasks = run["tasks"].as_array().unwrap().iter();
        tasks.map(|task| (text(&run["run_id"]), text(&task["task_id"]), text(&task["becomes"]))).collect::<Vec<_>>()
    })
    .collect()
}

fn expect(rows: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    rows.iter().map(|(run, task, state)| ((*run).to_owned(), (*task).to_owned(), (*state).to_owned())).collect()
}

/// Work without end, but that it ends with the test, also if its scheduler was killed.
fn as_long_as(workspace: &Workspace) -> String {
    format!("while test -e {}; do sleep 0.1; done", workspace.path().display())
}

fn let_b_pass(workspace: &Workspace) {
    std::fs::write(workspace.path().join("ok"), "").unwrap();
}

fn what_was_planned_is_done_over_several_runs(database: Option<&str>) {
    let workspace = workspace(database);
    let standalone = workspace.standalone();
    failed_runs(&workspace, 3);
    let clear = ["tasks", "clear", "abc", "--run-id", "r2", "--only-failed", "--future"];
    let said = workspace.refused(&clear);
    assert!(
        said.contains("changes 4 task instance(s) of 2 run(s), and nobody is there to be asked; say --yes"),
        "{said}"
    );
    let plan = workspace.json(&[&clear[..], &["--dry-run"]].concat());
    let wanted = [("r2", "b", "none"), ("r2", "c", "none"), ("r3", "b", "none"), ("r3", "c", "none")];
    assert_eq!((planned(&plan), &plan["total"]), (expect(&wanted), &json!(4)));
    assert_eq!(plan["runs"][0]["newest_version"], true);
    let shown = workspace.ok(&[&clear[..], &["--dry-run"]].concat());
    assert!(shown.contains("4 task instance(s) of 2 run(s) of DAG 'abc'") && shown.contains("(the newest)"), "{shown}");
    assert_eq!(workspace.find_run("abc", "r2").unwrap().state(), "failed", "a dry run changes nothing");

    let_b_pass(&workspace);
    let done = workspace.json(&[&clear[..], &["--yes"]].concat());
    assert_eq!((&done["cleared"], &done["runs"]), (&json!(4), &json!(2)));
    for run in ["r2", "r3"] {
        let ended = workspace.run_to_end("abc", run);
        assert_eq!(
            (ended.state(), &ended.task("a")["try_number"], &ended.task("b")["try_number"]),
            ("success", &json!(1), &json!(2))
        );
    }
    assert_eq!(workspace.find_run("abc", "r1").unwrap().state(), "failed");

    // Planned without a scheduler, done by the next one.
    assert!(standalone.terminate().success());
    let queued = workspace.run(&["tasks", "clear", "abc", "b", "--upstream", "--past", "--run-id", "r2", "--yes"]);
    assert_eq!(queued.status.code(), Some(3));
    let _standalone = workspace.standalone();
    wait_until("all of it", || {
        let tries = |run| workspace.find_run("abc", run).unwrap().task("a")["try_number"].clone();
        if [tries("r1"), tries("r2"), tries("r3")] == [json!(2), json!(2), json!(1)] {
            Ok(())
        } else {
            Err(String::new())
        }
    });
    assert_eq!(workspace.run_to_end("abc", "r1").task("a")["state"], "success");
}

#[test]
fn what_was_planned_is_done_over_several_runs_on_sqlite() {
    what_was_planned_is_done_over_several_runs(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_planned_is_done_over_several_runs_on_postgresql() {
    let database = TestDatabase::postgres().await;
    let url = database.url().to_owned();
    tokio::task::spawn_blocking(move || what_was_planned_is_done_over_several_runs(Some(&url))).await.unwrap();
}

#[test]
fn marking_puts_tasks_where_a_person_says_and_lets_what_failed_below_run() {
    let workspace = workspace(None);
    let _standalone = workspace.standalone();
    failed_runs(&workspace, 1);
    let mark = ["tasks", "mark", "success", "abc", "b", "--run-id", "r1"];
    let plan = workspace.json(&[&mark[..], &["--dry-run"]].concat());
    assert_eq!(planned(&plan), expect(&[("r1", "b", "success"), ("r1", "c", "none")]));
    let said = workspace.run(&[&mark[..], &["--yes"]].concat());
    let said = String::from_utf8(said.stderr).unwrap();
    assert_eq!(said.trim(), "1 task instance of run 'r1' marked success, and 1 task instance below cleared");
    assert_eq!(workspace.run_to_end("abc", "r1").states().into_values().collect::<Vec<_>>(), ["success"; 3]);
    let again = workspace.json(&[&mark[..], &["--yes"]].concat());
    assert_eq!(again["status"], "nothing to do");

    workspace.ok(&["tasks", "mark", "failed", "abc", "b", "c", "--run-id", "r1", "--yes"]);
    let row = workspace.find_run("abc", "r1").unwrap().task("b").clone();
    assert_eq!(row["state"], "failed");
    assert!(row["cause_text"].as_str().unwrap().contains("Marked failed by"), "{row}");
    workspace.ok(&["tasks", "mark", "skipped", "abc", "b", "--run-id", "r1", "--yes"]);
    assert_eq!(workspace.find_run("abc", "r1").unwrap().task("b")["state"], "skipped");
    assert_eq!(workspace.run(&["tasks", "mark", "odd", "abc", "b"]).status.code(), Some(2));

    workspace.ok(&["runs", "mark", "success", "abc", "r1", "--yes"]);
    let run = workspace.find_run("abc", "r1").unwrap();
    assert_eq!(
        (run.state(), run.states().into_values().collect::<Vec<_>>()),
        ("success", vec!["success".to_owned(); 3])
    );
    workspace.ok(&["runs", "mark", "failed", "abc", "r1", "--yes"]);
    assert_eq!(workspace.find_run("abc", "r1").unwrap().state(), "failed");
    let_b_pass(&workspace);
    workspace.ok(&["runs", "clear", "abc", "r1", "--yes"]);
    assert_eq!(workspace.run_to_end("abc", "r1").state(), "success");
}

#[test]
fn every_try_is_kept_and_its_log_too() {
    let workspace = workspace(None);
    let _standalone = workspace.standalone();
    failed_runs(&workspace, 1);
    let_b_pass(&workspace);
    for _ in 0..2 {
        workspace.ok(&["runs", "clear", "abc", "r1", "--yes"]);
        assert_eq!(workspace.run_to_end("abc", "r1").state(), "success");
    }
    let tries = workspace.json(&["tasks", "tries", "abc", "b", "--run-id", "r1"]);
    let row = |t: &Value| (t["try_number"].clone(), t["cleared"].clone(), t["outcome"].clone());
    let tries: Vec<_> = tries.as_array().unwrap().iter().map(row).collect();
    assert_eq!(
        tries,
        [
            (json!(1), json!(0), json!("failed")),
            (json!(2), json!(1), json!("success")),
            (json!(3), json!(2), json!("success"))
        ]
    );
    assert!(workspace.ok(&["tasks", "tries", "abc", "b"]).contains("exit code 7"));
    for number in ["1", "2", "3"] {
        let log = workspace.ok(&["tasks", "logs", "abc", "a", "--run-id", "r1", "--try", number]);
        assert!(log.contains(&format!("this is try {number}")), "{log}");
    }
    assert!(workspace.refused(&["tasks", "tries", "abc", "nosuch"]).contains("no task instance 'nosuch'"));
}

#[test]
fn a_cleared_run_keeps_its_version_unless_told_otherwise() {
    let workspace = workspace(None);
    let _standalone = workspace.standalone();
    failed_runs(&workspace, 1);
    let before = workspace.json(&["dags", "show", "abc"])["version"].clone();
    let text = std::fs::read_to_string(workspace.path().join("dags/abc.toml")).unwrap();
    workspace.write_dag(
        "abc.toml",
        &text.replace("|| exit 7", "|| exit 0").replace("[tasks.c]", "[tasks.d]").replace("\"c\"]", "\"d\"]"),
    );
    let newest = wait_until("the new version", || {
        let now = workspace.json(&["dags", "show", "abc"])["version"].clone();
        if now == before { Err(now.to_string()) } else { Ok(now) }
    });
    let clear = ["tasks", "clear", "abc", "--only-failed", "--run-id", "r1"];
    let plan = workspace.json(&[&clear[..], &["--dry-run"]].concat());
    assert_eq!((&plan["runs"][0]["dag_version"], &plan["runs"][0]["newest_version"]), (&before, &json!(false)));
    workspace.ok(&[&clear[..], &["--yes"]].concat());
    let run = workspace.run_to_end("abc", "r1");
    assert_eq!(
        (run.state(), &run.task("b")["try_number"]),
        ("failed", &json!(2)),
        "its own version still exits with 7"
    );

    let newer = [&clear[..], &["--new-version"]].concat();
    let plan = workspace.json(&[&newer[..], &["--dry-run"]].concat());
    assert_eq!((&plan["runs"][0]["dag_version"], &plan["runs"][0]["newest_version"]), (&newest, &json!(true)));
    workspace.ok(&[&newer[..], &["--yes"]].concat());
    let run = workspace.run_to_end("abc", "r1");
    assert_eq!((run.state(), run.task("d")["state"].as_str()), ("success", Some("success")));
    assert_eq!(run.task("a")["try_number"], 1, "only what failed ran again");
    let plan = workspace.json(&["runs", "clear", "abc", "r1", "--dry-run"]);
    assert_eq!(plan["runs"][0]["dag_version"], newest, "it is pinned to that one now");
}

#[test]
fn cleared_runs_wait_for_their_place_under_max_active_runs() {
    let workspace = workspace(None);
    let text = std::fs::read_to_string(workspace.path().join("dags/abc.toml")).unwrap();
    let slow = text
        .replace("chain =", "max_active_runs = 1\nchain =")
        .replace("|| exit 7", &format!("|| exit 7; {}", as_long_as(&workspace)));
    workspace.write_dag("abc.toml", &slow);
    let standalone = workspace.standalone();
    failed_runs(&workspace, 3);
    let_b_pass(&workspace);
    let done = workspace.json(&["runs", "clear", "abc", "r1", "--future", "--yes"]);
    assert_eq!(done["runs"], 3);
    let states = || ["r1", "r2", "r3"].map(|run| workspace.find_run("abc", run).unwrap().state().to_owned());
    let _ = workspace.task_in("abc", "r1", "b", "running");
    assert_eq!(states(), ["running", "queued", "queued"]);
    // A kill in between: they wait on as rows.
    standalone.kill();
    let _standalone = workspace.standalone();
    assert_eq!(states(), ["running", "queued", "queued"]);
    workspace.ok(&["runs", "cancel", "abc", "r2"]);
    assert_eq!(workspace.find_run("abc", "r2").unwrap().state(), "failed");
    workspace.ok(&["runs", "cancel", "abc", "r1"]);
    let _ = workspace.task_in("abc", "r3", "b", "running");
}
