//! Standalone is killed at seeded moments and started again: a run ends as it would have ended, nothing that was
//! acknowledged is run again, nothing is stuck, and nothing that was left behind lives on.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use windrose_testkit::process::{Workspace, is_alive, wait_until};
use windrose_testkit::{SlowBucket, TestDatabase};

const BINARY: &str = env!("CARGO_BIN_EXE_windrose");
const KILLS: u32 = 20;

/// What bash tasks begin with. A line is written in one step, so lines of several processes do not mix.
const NOTE: &str =
    r#"note() { echo "$AIRFLOW_CTX_DAG_RUN_ID $AIRFLOW_CTX_TASK_ID $AIRFLOW_CTX_TRY_NUMBER $$ $1" >> "$LEDGER"; }"#;

const DAG: &str = r#"
[defaults]
retry_delay = 0.1

[tasks.first]
operator = "bash"
bash_command = '''NOTE; note start; sleep 0.1; note end'''

[tasks.fan_1]
operator = "empty"
upstream = ["first"]
[tasks.fan_2]
operator = "empty"
upstream = ["first"]
[tasks.fan_3]
operator = "empty"
upstream = ["first"]

[tasks.join]
operator = "bash"
upstream = ["fan_1", "fan_2", "fan_3"]
bash_command = '''NOTE; note start; sleep 0.05; note end'''

[tasks.flaky]
operator = "bash"
upstream = ["first"]
retries = 2
bash_command = '''NOTE; note start; [ "$AIRFLOW_CTX_TRY_NUMBER" = 3 ] || exit 1; note end'''

[tasks.pick]
operator = "branch"
upstream = ["join"]
choose = "left"
[tasks.left]
operator = "bash"
upstream = ["pick"]
bash_command = '''NOTE; note start; sleep 0.05; note end'''
[tasks.right]
operator = "empty"
upstream = ["pick"]

[tasks.broken]
operator = "bash"
retries = 1
bash_command = '''NOTE; note start; exit 3'''
[tasks.cleanup]
operator = "bash"
upstream = ["broken"]
trigger_rule = "all_done"
bash_command = '''NOTE; note start; note end'''

[tasks.waits_rescheduled]
operator = "s3_key_sensor"
bucket_key = "s3://inbox/{{ run_id }}/rescheduled"
mode = "reschedule"
poke_interval = 0.2
[tasks.waits_deferred]
operator = "s3_key_sensor"
bucket_key = "s3://inbox/{{ run_id }}/deferred"
mode = "deferred"
poke_interval = 0.2
"#;

/// Each task's state and try number at the end of an undisturbed run.
const ENDS: [(&str, &str, u64); 13] = [
    ("broken", "failed", 2),
    ("cleanup", "success", 1),
    ("fan_1", "success", 1),
    ("fan_2", "success", 1),
    ("fan_3", "success", 1),
    ("first", "success", 1),
    ("flaky", "success", 3),
    ("join", "success", 1),
    ("left", "success", 1),
    ("pick", "success", 1),
    ("right", "skipped", 0),
    ("waits_deferred", "success", 1),
    ("waits_rescheduled", "success", 1),
];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    run: String,
    task: String,
    pid: u32,
    what: String,
}

struct Harness {
    workspace: Workspace,
    ledger: PathBuf,
}

impl Harness {
    fn new(database: Option<&str>) -> Self {
        let mut workspace = Workspace::new(BINARY, database);
        let ledger = workspace.path().join("ledger");
        workspace.set_env("LEDGER", ledger.to_str().unwrap());
        workspace.set_env("AIRFLOW_CONN_AWS_DEFAULT", &SlowBucket::start().connection());
        Self { workspace, ledger }
    }

    fn ledger(&self, run: &str) -> Vec<Line> {
        let text = std::fs::read_to_string(&self.ledger).unwrap_or_default();
        let lines = text.lines().filter_map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            let [run, task, _try, pid, what] = words[..] else { panic!("a line of the ledger: {line}") };
            Some(Line { run: run.into(), task: task.into(), pid: pid.parse().ok()?, what: what.into() })
        });
        lines.filter(|line| line.run == run).collect()
    }

    fn starts(&self, run: &str) -> BTreeMap<String, usize> {
        let mut starts = BTreeMap::new();
        for line in self.ledger(run).into_iter().filter(|line| line.what == "start") {
            *starts.entry(line.task).or_default() += 1;
        }
        starts
    }

    fn trigger(&self, run: &str) -> Child {
        let mut command = self.workspace.command(&["dags", "trigger", "killed", "--run-id", run]);
        command.stdout(Stdio::null()).spawn().unwrap()
    }

    /// Which tasks have been acknowledged as done, with how often each has begun.
    fn acknowledged(&self, run: &str) -> BTreeMap<String, usize> {
        let starts = self.starts(run);
        let Some(view) = self.workspace.find_run("killed", run) else { return BTreeMap::new() };
        let done = view.states().into_iter().filter(|(_, state)| state == "success" || state == "failed");
        done.map(|(task, _)| (starts.get(&task).copied().unwrap_or(0), task)).map(|(n, task)| (task, n)).collect()
    }

    fn check_end(&self, run: &str, story: &str) {
        let view = self.workspace.run_to_end("killed", run);
        let ends: BTreeMap<_, _> = view
            .tasks()
            .iter()
            .map(|t| {
                (t["task_id"].as_str().unwrap(), (t["state"].as_str().unwrap(), t["try_number"].as_u64().unwrap()))
            })
            .collect();
        let wanted: BTreeMap<_, _> = ENDS.iter().map(|(task, state, tries)| (*task, (*state, *tries))).collect();
        assert_eq!(ends, wanted, "{story}\n{}", self.workspace.log());
        assert_eq!(view.state(), "success", "{story}");
        self.check_one_at_a_time(run, story);
    }

    /// Once a later process of a task has begun, an earlier one says nothing any more.
    fn check_one_at_a_time(&self, run: &str, story: &str) {
        let mut newest: BTreeMap<String, u32> = BTreeMap::new();
        let ledger = self.ledger(run);
        for line in &ledger {
            if line.what == "start" {
                newest.insert(line.task.clone(), line.pid);
            } else {
                assert_eq!(newest.get(&line.task), Some(&line.pid), "{story}: two at a time: {ledger:#?}");
            }
        }
    }
}

/// The fault itself: how far the process has come by then is what the seeds vary.
fn let_run(moment: Duration) {
    std::thread::sleep(moment);
}

fn kill_at_many_moments(database: Option<&str>) {
    let harness = Harness::new(database);
    harness.workspace.write_dag("killed.toml", &DAG.replace("NOTE", NOTE));

    let standalone = harness.workspace.standalone();
    let began = Instant::now();
    assert!(harness.trigger("undisturbed").wait().unwrap().success());
    harness.check_end("undisturbed", "without a kill");
    let typical = began.elapsed();
    standalone.kill();

    let mut kills = 0;
    for seed in 0.. {
        let mut random = StdRng::seed_from_u64(seed);
        let run = format!("seed_{seed}");
        let mut story = format!("seed {seed}");
        let mut acknowledged = BTreeMap::new();
        let mut trigger = None;
        for _ in 0..random.random_range(1..=3) {
            let standalone = harness.workspace.standalone();
            trigger.get_or_insert_with(|| harness.trigger(&run));
            let moment = typical.mul_f64(random.random_range(0.0..1.0));
            let_run(moment);
            standalone.kill();
            kills += 1;
            story.push_str(&format!(", killed after {moment:?}"));
            acknowledged.extend(harness.acknowledged(&run));
        }
        let standalone = harness.workspace.standalone();
        // 3: it is kept, since no scheduler was there at that moment.
        let code = trigger.unwrap().wait().unwrap().code();
        assert!(matches!(code, Some(0 | 3)), "{story}: the trigger must not be lost: {code:?}");
        harness.check_end(&run, &story);
        let starts = harness.starts(&run);
        for (task, before) in acknowledged {
            assert_eq!(starts.get(&task).copied().unwrap_or(0), before, "{story}: '{task}' was done and ran again");
        }
        standalone.kill();
        if kills >= KILLS {
            break;
        }
    }
    let all = harness.workspace.json(&["runs", "list", "killed", "--limit", "1000"]);
    assert!(all.as_array().unwrap().iter().all(|run| run["state"] == "success"), "every run once, and ended: {all}");
}

#[test]
fn a_run_survives_kills_at_any_moment_on_sqlite() {
    kill_at_many_moments(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_survives_kills_at_any_moment_on_postgresql() {
    let database = TestDatabase::postgres().await;
    let url = database.url().to_owned();
    tokio::task::spawn_blocking(move || kill_at_many_moments(Some(&url))).await.unwrap();
}

#[test]
fn what_a_task_had_started_is_ended_before_it_runs_again() {
    let harness = Harness::new(None);
    let script =
        "NOTE; note start; sleep 1000 & echo \"$AIRFLOW_CTX_DAG_RUN_ID child 1 $! start\" >> \"$LEDGER\"; wait";
    harness.workspace.write_dag(
        "killed.toml",
        &format!("[tasks.parent]\noperator = \"bash\"\nbash_command = '''{}'''\n", script.replace("NOTE", NOTE)),
    );
    let started = |harness: &Harness, processes: usize| {
        wait_until("processes to start", || {
            let lines = harness.ledger("r");
            if lines.len() >= processes { Ok(lines) } else { Err(format!("{lines:?}")) }
        })
    };
    let standalone = harness.workspace.standalone();
    assert!(harness.trigger("r").wait().unwrap().success());
    let before = started(&harness, 2);
    standalone.kill();
    assert!(before.iter().all(|line| is_alive(line.pid)), "nobody was there to end them");

    let standalone = harness.workspace.standalone();
    started(&harness, 4);
    assert!(before.iter().all(|line| !is_alive(line.pid)), "the old process group is ended before the next attempt");
    assert_eq!(harness.workspace.task_in("killed", "r", "parent", "running")["try_number"], 1);

    assert!(standalone.terminate().success());
    assert!(harness.ledger("r").iter().all(|line| !is_alive(line.pid)), "an orderly end leaves no process");
}

#[test]
fn a_task_that_must_not_run_again_fails_when_its_process_is_lost() {
    let harness = Harness::new(None);
    harness.workspace.write_dag(
        "killed.toml",
        &format!(
            "[tasks.once]\noperator = \"bash\"\non_lost = \"fail\"\nretries = 3\nbash_command = '''{NOTE}; note start; sleep 1000'''\n"
        ),
    );
    let standalone = harness.workspace.standalone();
    assert!(harness.trigger("r").wait().unwrap().success());
    wait_until("the task to start", || harness.starts("r").get("once").copied().ok_or("nothing".to_owned()));
    standalone.kill();
    let _standalone = harness.workspace.standalone();
    let run = harness.workspace.run_to_end("killed", "r");
    assert_eq!(run.state(), "failed");
    let cause = run.task("once")["cause_text"].as_str().unwrap().to_owned();
    assert!(cause.contains("The process that ran this task is gone"), "{cause}");
    assert_eq!(harness.starts("r")["once"], 1);
}
