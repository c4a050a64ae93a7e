//! Standalone is killed at seeded moments while a command is given: afterwards the command is wholly done or wholly not
//! done. What was answered as done is done, what was not is done by the next scheduler, and nothing is stuck.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::process::Stdio;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use windrose_testkit::TestDatabase;
use windrose_testkit::process::{RunView, Workspace, is_alive, wait_until};

const KILLS: u64 = 12;

const QUICK: &str = r#"
chain = ["a", "b", "c"]
[tasks.a]
operator = "bash"
bash_command = "true"
[tasks.b]
operator = "bash"
bash_command = "sleep 0.02"
[tasks.c]
operator = "empty"
"#;

const LONG: &str = r#"
chain = ["a", "b"]
[tasks.a]
operator = "bash"
bash_command = "echo pid $$; while test -e FOLDER; do sleep 0.1; done"
[tasks.b]
operator = "empty"
[tasks.beside]
operator = "bash"
bash_command = "while test -e FOLDER; do sleep 0.1; done"
"#;

struct Killed {
    /// What the command answered: it is done, or it is kept.
    done: bool,
    /// How the run stood while nobody worked on it.
    run: RunView,
    story: String,
}

fn workspace(database: Option<&str>) -> Workspace {
    let workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), database);
    workspace.write_dag("quick.toml", QUICK);
    // It ends with the test: a scheduler that is killed leaves its processes behind.
    workspace.write_dag("long.toml", &LONG.replace("FOLDER", &workspace.path().display().to_string()));
    workspace
}

/// Gives a command, and kills the scheduler between its start and a while after its usual end.
fn killed_during(
    workspace: &Workspace,
    standalone: windrose_testkit::process::Standalone,
    seed: u64,
    usual: Duration,
    args: &[&str],
) -> Killed {
    let moment = usual.mul_f64(StdRng::seed_from_u64(seed).random_range(0.0..1.5));
    let mut command = workspace.command(args);
    let mut given = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // The fault itself: how far both have come by then is what the seeds vary.
    std::thread::sleep(moment);
    standalone.kill();
    let code = given.wait().unwrap().code();
    let story = format!("seed {seed}, killed after {moment:?}, the command ended with {code:?}");
    assert!(matches!(code, Some(0 | 3)), "{story}");
    let run = workspace.find_run(args[2], args[args.len() - 1]).unwrap();
    Killed { done: code == Some(0), run, story }
}

/// Whether all of the run's tasks are in this form, or none.
fn all_or_none(killed: &Killed, form: impl Fn(&Value) -> bool) -> bool {
    let tasks = killed.run.tasks();
    let count = tasks.iter().filter(|task| form(task)).count();
    assert!(count == 0 || count == tasks.len(), "{}: it is half done: {:#?}", killed.story, killed.run);
    count > 0
}

fn clears_survive_kills(database: Option<&str>) {
    let workspace = workspace(database);
    let mut usual = Duration::from_millis(200);
    for seed in 0..KILLS {
        let run = format!("seed_{seed}");
        let standalone = workspace.standalone();
        let _ = workspace.ok(&["dags", "trigger", "quick", "--run-id", &run, "--wait"]);
        if seed == 0 {
            let began = Instant::now();
            let _ = workspace.ok(&["tasks", "clear", "quick", "--yes", "--run-id", &run]);
            usual = began.elapsed();
            assert_eq!(workspace.run_to_end("quick", &run).state(), "success");
            standalone.kill();
            continue;
        }
        let killed =
            killed_during(&workspace, standalone, seed, usual, &["tasks", "clear", "quick", "--yes", "--run-id", &run]);
        let untouched =
            all_or_none(&killed, |task| task["state"] == "success" && task["try_number"].as_u64() < Some(2));
        assert!(!(killed.done && untouched), "{}: it was said to be done", killed.story);
        assert!(!untouched || killed.run.state() == "success", "{}: {:#?}", killed.story, killed.run);

        let standalone = workspace.standalone();
        wait_until("every task to have run again", || {
            let view = workspace.run_to_end("quick", &run);
            let bash = ["a", "b"].map(|task| view.task(task)["try_number"].clone());
            let again = view.state() == "success" && bash.iter().all(|tries| *tries == 2);
            if again { Ok(()) } else { Err(format!("{}: {view:#?}\n{}", killed.story, workspace.log())) }
        });
        standalone.kill();
    }
}

fn cancels_survive_kills(database: Option<&str>) {
    let workspace = workspace(database);
    let mut usual = Duration::from_millis(200);
    for seed in 0..KILLS {
        let run = format!("seed_{seed}");
        let standalone = workspace.standalone();
        let _ = workspace.ok(&["dags", "trigger", "long", "--run-id", &run]);
        let pid: u32 = wait_until("the task's process", || {
            let log = workspace.run(&["tasks", "logs", "long", "a", "--run-id", &run]);
            let log = String::from_utf8_lossy(&log.stdout).into_owned();
            log.lines().find_map(|line| line.split_once(" pid ")?.1.trim().parse().ok()).ok_or(log)
        });
        let _ = workspace.task_in("long", &run, "beside", "running");
        if seed == 0 {
            let began = Instant::now();
            let _ = workspace.ok(&["runs", "cancel", "long", &run]);
            usual = began.elapsed();
            standalone.kill();
            continue;
        }
        let killed = killed_during(&workspace, standalone, seed, usual, &["runs", "cancel", "long", &run]);
        let ended = all_or_none(&killed, |task| matches!(task["state"].as_str(), Some("failed" | "skipped")));
        assert_eq!(killed.run.state(), if ended { "failed" } else { "running" }, "{}", killed.story);
        assert!(ended || !killed.done, "{}: it was said to be done", killed.story);

        let standalone = workspace.standalone();
        let view = workspace.run_to_end("long", &run);
        assert_eq!(view.state(), "failed", "{}", killed.story);
        assert_eq!(view.task("b")["state"], "skipped", "{}: {view:#?}", killed.story);
        wait_until("the process to be ended", || {
            if is_alive(pid) { Err(format!("{}\n{}", killed.story, workspace.log())) } else { Ok(()) }
        });
        standalone.kill();
    }
}

async fn on_postgresql(test: fn(Option<&str>)) {
    let database = TestDatabase::postgres().await;
    let url = database.url().to_owned();
    tokio::task::spawn_blocking(move || test(Some(&url))).await.unwrap();
}

#[test]
fn a_clear_survives_kills_at_any_moment_on_sqlite() {
    clears_survive_kills(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clear_survives_kills_at_any_moment_on_postgresql() {
    on_postgresql(clears_survive_kills).await;
}

#[test]
fn a_cancel_survives_kills_at_any_moment_on_sqlite() {
    cancels_survive_kills(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_survives_kills_at_any_moment_on_postgresql() {
    on_postgresql(cancels_survive_kills).await;
}
