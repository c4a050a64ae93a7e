//! What is warned of.

use windrose_core::dag_file::{Severity, lint};

use crate::catalog::SmallCatalog;
use crate::{read_well, source};

fn warnings(text: &str) -> Vec<String> {
    let found = lint(&read_well(text), &source(text), &SmallCatalog);
    assert!(found.iter().all(|d| d.severity == Severity::Warning));
    found.iter().map(|d| format!("{}: {}", d.line, d.message)).collect()
}

#[test]
fn a_careful_file_has_no_warnings() {
    let text = include_str!("seeds/groups.toml").replacen(
        r#"["start", "g"], ["g", "end"], ["g.inner", "g.last"]"#,
        r#"["g.inner", "g.last"], ["start", "g"], ["g", "end"]"#,
        1,
    );
    assert_eq!(warnings(&text), [""; 0]);
}

#[test]
fn a_leaf_that_runs_whatever_happened_hides_failures() {
    let text =
        "[tasks.a]\noperator = 'empty'\n[tasks.b]\noperator = 'empty'\nupstream = ['a']\ntrigger_rule = 'all_done'\n";
    assert_eq!(
        warnings(text),
        [
            "6: 'b' is the end of the DAG and runs whatever happened before: the run succeeds even if tasks above it fail"
        ]
    );
    assert_eq!(warnings(&format!("{text}[tasks.c]\noperator = 'empty'\nupstream = ['b']\n")), [""; 0]);
}

#[test]
fn sensors_without_an_end_and_with_idle_slots_are_told() {
    let text = "[tasks.a]\noperator = 's3_key_sensor'\nbucket_key = 's3://b/k'\npoke_interval = '10m'\n";
    assert_eq!(
        warnings(text),
        [
            "1: the sensor 'a' has no 'timeout', so it waits for up to 7 days",
            "4: the sensor 'a' keeps its pool slot through long waits"
        ]
    );
}

#[test]
fn remote_work_without_retries_is_told() {
    let text = "[tasks.a]\noperator = 'glue_crawler'\nconfig = { Name = 'x' }\n";
    assert_eq!(warnings(text), ["1: 'a' calls another system and has no retries"]);
}

#[test]
fn a_question_mark_in_a_full_url_is_told() {
    let sensor = |key: &str, more: &str| {
        format!(
            "[tasks.a]\noperator = 's3_key_sensor'\ntimeout = '1h'\nwildcard_match = true\nbucket_key = {key}\n{more}"
        )
    };
    let told = ["5: in a full URL everything from '?' on is dropped, so it is no wildcard here"];
    assert_eq!(warnings(&sensor("'s3://b/file?.csv'", "")), told);
    assert_eq!(warnings(&sensor("['s3://b/x', 'S3A://b/file?.csv']", "")), told);
    assert_eq!(warnings(&sensor("'file?.csv'", "bucket_name = 'b'")), [""; 0]);
    assert_eq!(warnings(&sensor("\"s3://b/{{ '?' }}*\"", "")), [""; 0]);
}

#[test]
fn constants_that_are_unused_or_missing_are_told() {
    let text = "[vars]\na = 'x'\nb = '{{ vars.a }}'\nc = 1\n[tasks.t]\noperator = 'bash'\nbash_command = \"{{ vars['b'] }} {{ vars.d }}\"\n";
    assert_eq!(
        warnings(text),
        ["4: 'vars.c' is not used", "7: 'vars.d' is used in 'bash_command' but is not in [vars]"]
    );
}

#[test]
fn dates_that_leave_no_run_or_depend_on_luck_are_told() {
    let task = "\n[tasks.a]\noperator = 'empty'\n";
    assert_eq!(
        warnings(&format!("start_date = 2026-01-02\nend_date = 2026-01-01{task}")),
        ["2: 'end_date' is before 'start_date': there will be no run"]
    );
    assert_eq!(warnings(&format!("schedule = '@daily'{task}")), ["1: the DAG has a schedule but no 'start_date'"]);
}

#[test]
fn links_that_come_too_early_are_told() {
    let text = include_str!("seeds/groups.toml").replacen(
        r#"["start", "g"], ["g", "end"]"#,
        r#"["start", "g"], ["g.inner.work", "g.last"]"#,
        1,
    );
    assert_eq!(warnings(&text), ["1: the group 'g' is linked before a link within it, which does not count then"]);
}

#[test]
fn what_is_there_for_nothing_is_told() {
    let text = "[groups.g]\n[defaults]\ncwd = '/'\n[tasks.a]\noperator = 'empty'\nretries = 1\nretry_on = []\n";
    assert_eq!(
        warnings(text),
        [
            "1: the group 'g' has no tasks, so links to it link nothing",
            "3: no task of this file takes the default 'cwd'",
            "7: 'retry_on' is empty, so nothing is retried"
        ]
    );
    assert_eq!(warnings(""), ["1: the DAG has no tasks"]);
}
