//! Defaults, groups, setups and teardowns.

use std::time::Duration;

use windrose_core::dag::Dag;
use windrose_core::dag_file::{Defaults, parse};
use windrose_core::trigger_rule::TriggerRule;

use crate::catalog::SmallCatalog;
use crate::{messages, read_well, source};

fn upstream(dag: &Dag, task: &str) -> Vec<String> {
    let position = dag.position(task).unwrap();
    dag.upstream(position).into_iter().map(|above| dag.tasks[above].id.to_string()).collect()
}

#[test]
fn defaults_apply_to_the_tasks_that_can_take_them() {
    let dag = read_well(
        r#"
        [defaults]
        retries = 4
        mode = "deferred"
        aws_conn_id = "other"
        cwd = "/tmp"
        timeout = 7
        params = { a = 1, b = 1 }
        [tasks.run]
        operator = "bash"
        bash_command = "true"
        retries = 1
        cwd = "/"
        params = { b = 2 }
        [tasks.wait]
        operator = "s3_key_sensor"
        bucket_key = "s3://b/k"
        [tasks.unload]
        operator = "redshift_to_s3"
        s3_bucket = "b"
        s3_key = "k"
        [tasks.nothing]
        operator = "empty"
        "#,
    );
    let [run, wait, unload, nothing] = &dag.tasks[..] else { panic!("four tasks") };
    assert_eq!((run.retries, wait.retries, nothing.retries), (1, 4, 4));
    assert_eq!((&run.parameters["cwd"], &run.parameters["aws_conn_id"]), (&"/".into(), &"other".into()));
    assert_eq!(wait.sensor.unwrap().timeout, Duration::from_secs(7));
    assert_eq!(wait.parameters["aws_conn_id"], "other");
    assert!(!wait.parameters.contains_key("timeout") && !wait.parameters.contains_key("cwd"));
    assert_eq!(unload.parameters["timeout"], 7, "for this operator 'timeout' is a parameter");
    assert!(nothing.parameters.is_empty());
    assert_eq!(run.params["a"].default, Some(1.into()));
    assert_eq!(run.params["b"].default, Some(2.into()));
}

#[test]
fn a_sensor_looks_as_often_as_the_file_says_or_else_as_its_operator_does() {
    let text = |defaults: &str, task: &str| {
        let sensors = ["s3_key_sensor\"\nbucket_key = \"s3://b/k", "glue_job_sensor\"\njob_name = \"j\"\nrun_id = \"r"];
        let tasks = sensors.iter().zip(["a", "b"]);
        let tasks = tasks.map(|(sensor, id)| format!("[tasks.{id}]\noperator = \"{sensor}\"\n{task}\n"));
        format!("[defaults]\n{defaults}\n{}", tasks.collect::<String>())
    };
    let seconds = |defaults: &str, task: &str| {
        let dag = read_well(&text(defaults, task));
        dag.tasks.iter().map(|task| task.sensor.unwrap().poke_interval.as_secs()).collect::<Vec<_>>()
    };
    assert_eq!(seconds("", ""), [60, 120]);
    assert_eq!(seconds("poke_interval = 7", ""), [7, 7]);
    assert_eq!(seconds("poke_interval = 7", "poke_interval = \"5s\""), [5, 5]);
}

#[test]
fn a_default_that_no_operator_knows_is_refused() {
    let text = "[defaults]\nretires = 2\ncwd = '/'\n[tasks.a]\noperator = 'empty'\n";
    assert_eq!(messages(text), ["2: no task can take the default 'retires'"]);
}

#[test]
fn a_bad_default_is_told_once() {
    let text = "[defaults]\nretries = -1\n[tasks.a]\noperator = 'empty'\n[tasks.b]\noperator = 'empty'\n";
    assert_eq!(messages(text), ["2: 'retries' must lie between 0 and 4294967295, not -1"]);
}

#[test]
fn a_bad_default_is_told_even_if_no_task_shows_it() {
    let text = "[defaults]\nretries = 'x'\n[tasks.a]\noperator = 'empty'\nretries = 1\n";
    assert_eq!(messages(text), ["2: 'retries' must be a whole number, not a string"]);
}

#[test]
fn the_configuration_speaks_where_the_file_is_silent() {
    let defaults = Defaults {
        timezone: chrono_tz::Tz::Asia__Tokyo,
        retries: 7,
        max_active_runs: 2,
        dags_are_paused_at_creation: false,
        ..Defaults::default()
    };
    let file = source("start_date = 2026-01-01\n[tasks.a]\noperator = 'empty'\n");
    let dag = parse(&file, &SmallCatalog, &defaults).unwrap();
    assert_eq!(dag.start_date.unwrap().to_string(), "2025-12-31T15:00:00Z");
    assert_eq!((dag.tasks[0].retries, dag.max_active_runs, dag.paused), (7, 2, Some(false)));
}

#[test]
fn a_group_stands_for_its_leaves_and_its_roots() {
    let dag = read_well(
        r#"
        [groups.g]
        upstream = ["start"]
        tooltip = "work"
        [groups."g.inner"]
        upstream = ["g.a"]
        [tasks.start]
        operator = "empty"
        [tasks.end]
        operator = "empty"
        upstream = ["g"]
        [tasks."g.a"]
        operator = "empty"
        [tasks."g.inner.b"]
        operator = "empty"
        [tasks."g.inner.c"]
        operator = "empty"
        upstream = ["g.inner.b"]
        [tasks.loose]
        operator = "empty"
        group = "g"
        "#,
    );
    assert_eq!(upstream(&dag, "g.a"), ["start"]);
    assert_eq!(upstream(&dag, "loose"), ["start"]);
    assert_eq!(upstream(&dag, "g.inner.b"), ["g.a"]);
    assert_eq!(upstream(&dag, "g.inner.c"), ["g.inner.b"]);
    assert_eq!(upstream(&dag, "end"), ["g.inner.c", "loose"]);
    assert_eq!(dag.groups["g.inner"].parent.as_deref(), Some("g"));
    let group = |task: &str| dag.tasks[dag.position(task).unwrap()].group.clone();
    assert_eq!((group("g.inner.b").as_deref(), group("loose").as_deref()), (Some("g.inner"), Some("g")));
}

#[test]
fn what_a_teardown_lists_becomes_a_setup_above_it() {
    let dag = read_well(
        r#"
        chain = ["create", "work", "delete"]
        [tasks.create]
        operator = "empty"
        [tasks.work]
        operator = "empty"
        [tasks.delete]
        operator = "empty"
        teardown = ["create"]
        on_failure_fail_dagrun = true
        "#,
    );
    assert_eq!(upstream(&dag, "delete"), ["create", "work"]);
    let [create, work, delete] = &dag.tasks[..] else { panic!("three tasks") };
    assert!(create.setup && !work.setup && delete.on_failure_fail_dagrun);
    assert_eq!(delete.teardown.as_deref(), Some(&["create".into()][..]));
    assert_eq!(delete.trigger_rule, TriggerRule::AllDoneSetupSuccess);
}

#[test]
fn a_chain_fans_out_and_in_and_links_equal_lists_pairwise() {
    let task = |id: &str| format!("[tasks.{id}]\noperator = 'empty'\n");
    let tasks: String = ["a", "b", "c", "d", "e", "f"].map(task).concat();
    let chains = "chain = ['a', ['b', 'c'], ['d', 'e'], 'f']\nchains = [['a', 'b'], ['a', 'f']]\n";
    let dag = read_well(&format!("{chains}{tasks}"));
    assert_eq!(upstream(&dag, "b"), ["a"]);
    assert_eq!(upstream(&dag, "c"), ["a"]);
    assert_eq!((upstream(&dag, "d"), upstream(&dag, "e")), (vec!["b".to_owned()], vec!["c".to_owned()]));
    assert_eq!(upstream(&dag, "f"), ["a", "d", "e"]);
}
