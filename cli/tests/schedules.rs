//! Which runs a schedule makes, by the real binary.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::time::Duration;

use serde_json::Value;
use windrose_core::ids::DagId;
use windrose_core::jitter::start_delay;
use windrose_testkit::process::{Workspace, wait_until};

const EMPTY: &str = "[tasks.a]\noperator = \"empty\"\n";

fn workspace() -> Workspace {
    Workspace::new(env!("CARGO_BIN_EXE_windrose"), None)
}

/// All runs of a DAG, oldest first.
fn runs(workspace: &Workspace, dag: &str) -> Vec<Value> {
    let mut runs = workspace.json(&["runs", "list", dag, "--limit", "1000"]).as_array().unwrap().clone();
    runs.sort_by_key(|run| run["run_after"].as_str().unwrap().to_owned());
    runs
}

fn runs_when(workspace: &Workspace, dag: &str, what: &str, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    wait_until(&format!("{what} of {dag}"), || {
        let runs = runs(workspace, dag);
        if enough(&runs) { Ok(runs) } else { Err(format!("{runs:?}")) }
    })
}

fn all_ended(runs: &[Value], count: usize) -> bool {
    runs.len() == count && runs.iter().all(|run| run["state"] == "success" || run["state"] == "failed")
}

fn dates(runs: &[Value], field: &str) -> Vec<String> {
    runs.iter().map(|run| run[field].as_str().unwrap().replace(".000000Z", "Z")).collect()
}

#[test]
fn a_zone_is_followed_through_both_clock_changes() {
    let workspace = workspace();
    let dag = |start: &str, end: &str| {
        format!(
            "schedule = \"30 2 * * *\"\ntimezone = \"Europe/Berlin\"\ncatchup = true\nstart_date = {start}\n\
             end_date = {end}\n{EMPTY}"
        )
    };
    workspace.write_dag("spring.toml", &dag("2026-03-28", "2026-03-30T12:00:00"));
    workspace.write_dag("autumn.toml", &dag("2025-10-25", "2025-10-27T12:00:00"));
    let _standalone = workspace.standalone();
    let spring = runs_when(&workspace, "spring", "three runs", |runs| all_ended(runs, 3));
    // On the 29th the clocks go from two to three: there is no half past two.
    assert_eq!(
        dates(&spring, "logical_date"),
        ["2026-03-28T01:30:00Z", "2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]
    );
    let autumn = runs_when(&workspace, "autumn", "all runs", |runs| runs.len() >= 3 && all_ended(runs, runs.len()));
    let days: Vec<_> = dates(&autumn, "logical_date").iter().map(|date| date[..10].to_owned()).collect();
    assert!(days.starts_with(&["2025-10-25".to_owned(), "2025-10-26".to_owned()]), "{days:?}");
    assert_eq!(dates(&autumn, "logical_date").last().unwrap(), "2025-10-27T01:30:00Z");
}

#[test]
fn several_cron_expressions_are_one_schedule() {
    let workspace = workspace();
    workspace.write_dag(
        "several.toml",
        &format!(
            "schedule = {{ cron = [\"0 */6 * * *\", \"30 7 * * *\"] }}\ncatchup = true\nstart_date = 2026-01-01\n\
             end_date = 2026-01-01T23:00:00\n{EMPTY}"
        ),
    );
    let _standalone = workspace.standalone();
    let runs = runs_when(&workspace, "several", "five runs", |runs| all_ended(runs, 5));
    let hours: Vec<_> = dates(&runs, "logical_date").iter().map(|date| date[11..16].to_owned()).collect();
    assert_eq!(hours, ["00:00", "06:00", "07:30", "12:00", "18:00"]);
}

#[test]
fn once_makes_one_run_and_continuous_one_after_the_other() {
    let workspace = workspace();
    workspace.write_dag("once.toml", &format!("schedule = \"@once\"\n{EMPTY}"));
    workspace.write_dag("on_and_on.toml", &format!("schedule = \"@continuous\"\n{EMPTY}"));
    let standalone = workspace.standalone();
    runs_when(&workspace, "on_and_on", "three runs", |runs| runs.len() >= 3);
    standalone.kill();
    let _standalone = workspace.standalone();
    let seen = runs(&workspace, "on_and_on").len();
    let runs = runs_when(&workspace, "on_and_on", "more runs", |runs| runs.len() > seen + 1);
    for pair in runs.windows(2) {
        assert!(pair[0]["ended_at"].as_str() <= pair[1]["started_at"].as_str().or(Some("9")), "{pair:?}");
    }
    assert_eq!(self::runs(&workspace, "once").len(), 1);
}

#[test]
fn missed_runs_become_one() {
    let workspace = workspace();
    let dag = |catchup: &str| {
        format!(
            "schedule = {{ cron = \"@daily\", data_interval = true }}\ncatchup = \"{catchup}\"\nstart_date = 2026-01-01\n\
             end_date = 2026-01-09\n{EMPTY}"
        )
    };
    workspace.write_dag("latest.toml", &dag("latest"));
    workspace.write_dag("collapse.toml", &dag("collapse"));
    let standalone = workspace.standalone();
    for dag in ["latest", "collapse"] {
        runs_when(&workspace, dag, "one run", |runs| all_ended(runs, 1));
    }
    standalone.kill();
    let _standalone = workspace.standalone();
    let interval = |dag: &str| {
        let runs = runs(&workspace, dag);
        (dates(&runs, "data_interval_start"), dates(&runs, "data_interval_end"))
    };
    let one = |from: &str, to: &str| (vec![from.to_owned()], vec![to.to_owned()]);
    assert_eq!(interval("latest"), one("2026-01-09T00:00:00Z", "2026-01-10T00:00:00Z"));
    assert_eq!(interval("collapse"), one("2026-01-01T00:00:00Z", "2026-01-10T00:00:00Z"));
}

/// A DAG with a run every second of which one takes very long.
fn overlapping(overlap: &str) -> String {
    format!(
        "schedule = {{ every = \"1s\" }}\nmax_active_runs = 1\noverlap = \"{overlap}\"\n\
         [tasks.a]\noperator = \"bash\"\nbash_command = \"sleep 1000\"\n"
    )
}

#[test]
fn with_skip_a_run_without_a_place_is_never_made_not_even_after_a_kill() {
    let workspace = workspace();
    workspace.write_dag("skips.toml", &overlapping("skip"));
    let standalone = workspace.standalone();
    let passed_over = || workspace.log().matches("passed over").count();
    wait_until("runs that are passed over", || if passed_over() >= 3 { Ok(()) } else { Err(workspace.log()) });
    assert_eq!(runs(&workspace, "skips").len(), 1);
    standalone.kill();
    let _standalone = workspace.standalone();
    let before = passed_over();
    wait_until("more runs that are passed over", || {
        if passed_over() >= before + 2 { Ok(()) } else { Err(workspace.log()) }
    });
    let first = runs(&workspace, "skips");
    assert_eq!(first.len(), 1);
    let ended = first[0]["run_id"].as_str().unwrap();
    workspace.ok(&["runs", "cancel", "skips", ended]);
    let runs = runs_when(&workspace, "skips", "a second run", |runs| runs.len() == 2);
    assert!(
        runs[1]["run_after"].as_str() > runs[0]["ended_at"].as_str(),
        "only one that is due from then on: {runs:?}"
    );
}

#[test]
fn with_cancel_old_the_newest_run_takes_the_place() {
    let workspace = workspace();
    workspace.write_dag("newest.toml", &overlapping("cancel_old"));
    let _standalone = workspace.standalone();
    let runs = runs_when(&workspace, "newest", "three runs", |runs| runs.len() >= 3 && runs[1]["state"] == "failed");
    assert_eq!(runs[0]["state"], "failed", "{runs:?}");
    assert!(runs.iter().filter(|run| run["state"] == "running").count() <= 1, "{runs:?}");
    assert!(runs[1]["started_at"].is_string(), "the second one had its time: {runs:?}");
}

#[test]
fn with_cancel_new_the_first_run_stays_and_the_others_can_be_seen() {
    let workspace = workspace();
    workspace.write_dag("first.toml", &overlapping("cancel_new"));
    let _standalone = workspace.standalone();
    let runs = runs_when(&workspace, "first", "three runs", |runs| runs.len() >= 3);
    assert_eq!(runs[0]["state"], "running", "{runs:?}");
    assert!(runs[1..].iter().all(|run| run["state"] == "failed" && run["started_at"].is_null()), "{runs:?}");
}

#[test]
fn jitter_delays_each_dag_by_its_own_time() {
    let workspace = workspace();
    let jitter = Duration::from_secs(20 * 3600);
    let hours = |name: &String| start_delay(&DagId::from(name.as_str()), jitter).as_secs() / 3600;
    // The full hour that is due lies between ten and eleven hours back, and the test takes a while.
    let clear = (0..20).map(|n| format!("dag_{n}")).filter(|name| !(10..=11).contains(&hours(name)));
    let (early, late): (Vec<_>, Vec<_>) = clear.partition(|name| hours(name) < 10);
    assert!(!early.is_empty() && !late.is_empty());
    let due = chrono::Utc::now() - chrono::TimeDelta::hours(10);
    let (hour, end) = (due.format("%H"), (due + chrono::TimeDelta::hours(1)).to_rfc3339());
    let dag = format!(
        "schedule = \"0 {hour} * * *\"\ncatchup = true\njitter = \"20h\"\nstart_date = {}\nend_date = {end}\n{EMPTY}",
        (due - chrono::TimeDelta::hours(1)).to_rfc3339()
    );
    for name in early.iter().chain(&late) {
        workspace.write_dag(&format!("{name}.toml"), &dag);
    }
    let _standalone = workspace.standalone();
    for name in &early {
        let runs = runs_when(&workspace, name, "its run", |runs| all_ended(runs, 1));
        assert_eq!(runs[0]["run_after"], runs[0]["logical_date"], "it stands for the time that was meant");
    }
    for name in &late {
        assert_eq!(runs(&workspace, name).len(), 0, "{name} comes later");
    }
}

#[test]
fn a_dag_that_fails_again_and_again_is_paused_for_good() {
    let workspace = workspace();
    workspace.write_dag(
        "fails.toml",
        "schedule = { every = \"1s\" }\nmax_consecutive_failed_runs = 3\n\
         [tasks.a]\noperator = \"bash\"\nbash_command = \"exit 1\"\n",
    );
    let paused = || {
        let dags = workspace.json(&["dags", "list"]);
        dags.as_array().unwrap().iter().any(|dag| dag["dag_id"] == "fails" && dag["paused"] == true)
    };
    let standalone = workspace.standalone();
    wait_until("the pause", || if paused() { Ok(()) } else { Err(format!("{:?}", runs(&workspace, "fails"))) });
    standalone.kill();
    let _standalone = workspace.standalone();
    assert!(paused(), "also after a restart");
    let failed = runs(&workspace, "fails").iter().filter(|run| run["state"] == "failed").count();
    assert_eq!(failed, 3);
    assert!(workspace.log().contains("the last 3 runs failed"), "{}", workspace.log());
}

#[test]
fn with_run_fails_on_any_a_failed_task_fails_the_run_unless_it_is_tolerated() {
    let workspace = workspace();
    let dag = |head: &str, task: &str| {
        format!(
            "{head}\n[tasks.a]\noperator = \"bash\"\nbash_command = \"exit 1\"\n{task}\n\
             [tasks.b]\noperator = \"empty\"\nupstream = [\"a\"]\ntrigger_rule = \"all_done\"\n"
        )
    };
    let cases = [
        ("leaves", "", "", "success"),
        ("any", "run_fails_on = \"any\"", "", "failed"),
        ("tolerant", "run_fails_on = \"any\"", "tolerate_failure = true", "success"),
    ];
    for (name, head, task, _) in cases {
        workspace.write_dag(&format!("{name}.toml"), &dag(head, task));
    }
    let _standalone = workspace.standalone();
    for (name, _, _, state) in cases {
        workspace.ok(&["dags", "trigger", name, "--run-id", "r"]);
        assert_eq!(workspace.run_to_end(name, "r").state(), state, "{name}");
    }
}
