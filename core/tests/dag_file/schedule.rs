//! The forms of `schedule`.

use windrose_core::asset::AssetCondition;
use windrose_core::dag::Schedule;
use windrose_core::dag_file::{Defaults, parse};

use crate::catalog::SmallCatalog;
use crate::{messages, read_well, source};

const TASK: &str = "\n[tasks.a]\noperator = 'empty'\n";

fn schedule(written: &str) -> Schedule {
    read_well(&format!("schedule = {written}{TASK}")).schedule
}

fn cron(expression: &str) -> Schedule {
    Schedule::Cron { expressions: vec![expression.to_owned()], timezone: None, data_interval: false }
}

#[test]
fn presets_are_written_out() {
    assert_eq!(schedule("'@once'"), Schedule::Once);
    assert_eq!(schedule("'@continuous'"), Schedule::Continuous);
    for (preset, expression) in [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@DAILY", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@quarterly", "0 0 1 */3 *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ] {
        assert_eq!(schedule(&format!("'{preset}'")), cron(expression), "{preset}");
    }
}

#[test]
fn a_table_says_what_a_string_cannot() {
    let several = schedule("{ cron = ['0 6 * * *', '@weekly'], timezone = 'Europe/Berlin' }");
    let expressions = vec!["0 6 * * *".to_owned(), "0 0 * * 0".to_owned()];
    let timezone = Some(chrono_tz::Tz::Europe__Berlin);
    assert_eq!(several, Schedule::Cron { expressions, timezone, data_interval: false });
    let Schedule::Cron { data_interval, .. } = schedule("{ cron = '0 6 * * *', data_interval = true }") else {
        panic!("a cron schedule")
    };
    assert!(data_interval);
}

#[test]
fn the_configuration_decides_over_data_intervals() {
    let defaults =
        Defaults { create_cron_data_intervals: true, create_delta_data_intervals: true, ..Defaults::default() };
    for written in ["'@daily'", "{ every = '5m' }", "{ cron = '0 0 * * *' }"] {
        let dag = parse(&source(&format!("schedule = {written}{TASK}")), &SmallCatalog, &defaults).unwrap();
        let (Schedule::Cron { data_interval, .. } | Schedule::Every { data_interval, .. }) = dag.schedule else {
            panic!("{written}")
        };
        assert!(data_interval, "{written}");
    }
}

#[test]
fn a_continuous_dag_has_one_run_at_a_time() {
    assert_eq!(read_well(&format!("schedule = '@continuous'{TASK}")).max_active_runs, 1);
    let told = messages(&format!("schedule = '@continuous'\nmax_active_runs = 2{TASK}"));
    assert_eq!(told, ["2: a '@continuous' DAG has one run at a time, so 'max_active_runs' can only be 1"]);
}

#[test]
fn a_schedule_that_cannot_be_is_refused() {
    for written in [
        "''",
        "' @daily'",
        "'@reboot'",
        "'* * * *'",
        "'60 * * * *'",
        "'a b c d e'",
        "'*/0 * * * *'",
        "5",
        "{}",
        "{ every = '0s' }",
        "{ every = '-5m' }",
        "{ every = '5m', cron = '@daily' }",
        "{ every = '5m', timezone = 'UTC' }",
        "{ cron = [] }",
        "{ cron = 5 }",
        "{ cron = ['@daily', '@weekly'], data_interval = true }",
        "{ cron = '@daily', timezone = 'Mars/Olympus' }",
        "{ assets = '' }",
        "{ assets = [] }",
        "{ assets = {} }",
        "{ assets = 5 }",
        "{ assets = { all = [] } }",
        "{ assets = { any = ['a'], all = ['b'] } }",
        "{ assets = { both = ['a'] } }",
        "{ assets = { any = ['airflow://a'] } }",
        "{ assets = 'a', timezone = 'UTC' }",
        "{ assets = 'a', every = '5m', cron = '@daily' }",
    ] {
        let told = messages(&format!("schedule = {written}{TASK}"));
        assert_eq!(told.len(), 1, "{written}: {told:?}");
    }
}

#[test]
fn parameters_of_a_scheduled_dag_need_values() {
    let param = "[params.rows]\ntype = 'integer'";
    let told = messages(&format!("schedule = '@daily'\n{param}{TASK}"));
    assert_eq!(told, ["2: the parameter 'rows' has no default, but the DAG has a schedule"]);
    assert!(read_well(&format!("{param}{TASK}")).params["rows"].default.is_none());
}

fn asset(uri: &str) -> AssetCondition {
    AssetCondition::Asset(uri.into())
}

#[test]
fn a_schedule_waits_for_assets_all_or_any_of_them_nested_at_will() {
    for (written, condition) in [
        ("'S3://b/k/'", asset("s3://b/k")),
        ("{ alias = 'daily' }", AssetCondition::Alias("daily".to_owned())),
        ("['a', 'b']", AssetCondition::All(vec![asset("a"), asset("b")])),
        (
            "{ any = ['a', { all = ['b', 'c', { alias = 'd' }] }] }",
            AssetCondition::Any(vec![
                asset("a"),
                AssetCondition::All(vec![asset("b"), asset("c"), AssetCondition::Alias("d".to_owned())]),
            ]),
        ),
    ] {
        let found = schedule(&format!("{{ assets = {written} }}"));
        assert_eq!(found, Schedule::Assets { condition, times: None }, "{written}");
    }
}

#[test]
fn a_schedule_of_assets_may_have_times_too() {
    let found = schedule("{ assets = 'a', cron = '0 0 * * *' }");
    assert_eq!(found, Schedule::Assets { condition: asset("a"), times: Some(Box::new(cron("0 0 * * *"))) });
}
