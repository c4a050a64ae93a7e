//! The example of the format's page, and a file that uses every field.

use std::time::Duration;

use serde_json::json;
use windrose_core::catalog::OperatorKind;
use windrose_core::dag::{Catchup, OnLost, Schedule, SensorMode, WeightRule};
use windrose_core::trigger_rule::TriggerRule;

use crate::read_well;

const EXAMPLE: &str = r#"
description = "Raw product files in S3 to Redshift, and the curated table back to S3"
schedule    = "@once"
start_date  = 2021-01-01
tags        = ["etl", "redshift"]
chain       = ["sensor_key", "crawl_s3", "transfer_redshift_to_s3"]

[vars]                                   # constants of this file: {{ vars.src_bucket }}
src_bucket = "sample-inp-bucket-etl-{{ var.value.username }}"
partition  = "year={{ ds[:4] }}/month={{ ds[5:7] }}/day={{ ds[8:] }}"

[params.table]                           # run parameters, typed with JSON Schema: {{ params.table }}
type    = "string"
default = "products_f"

[defaults]                               # Airflow's default_args
retries     = 2
retry_delay = "5m"

[tasks.sensor_key]
operator       = "s3_key_sensor"
bucket_key     = "s3://{{ vars.src_bucket }}/products/{{ vars.partition }}/*.csv"
wildcard_match = true
mode           = "reschedule"
poke_interval  = "60s"
timeout        = "12h"

[tasks.crawl_s3]
operator            = "glue_crawler"
config              = { Name = "products", Role = "{{ var.value.glue_role_arn }}", DatabaseName = "products_db" }
wait_for_completion = false

[tasks.transfer_redshift_to_s3]
operator     = "redshift_to_s3"
s3_bucket    = "out"
s3_key       = "products_f"
trigger_rule = "all_done"
"#;

#[test]
fn the_example_of_the_format_is_read_in_full() {
    let dag = read_well(EXAMPLE);
    assert_eq!(dag.dag_id.as_str(), "example");
    assert_eq!(dag.schedule, Schedule::Once);
    assert_eq!(dag.start_date.unwrap().to_string(), "2021-01-01T00:00:00Z");
    assert_eq!(dag.tags, ["etl", "redshift"]);
    assert_eq!(dag.params["table"].default, Some(json!("products_f")));
    assert_eq!(dag.params["table"].schema["type"], "string");
    assert_eq!(dag.vars["partition"], "year={{ ds[:4] }}/month={{ ds[5:7] }}/day={{ ds[8:] }}");
    assert_eq!(dag.paused, Some(true));

    let [sensor, crawl, transfer] = &dag.tasks[..] else { panic!("three tasks") };
    let settings = sensor.sensor.unwrap();
    assert_eq!((settings.mode, settings.timeout_given), (SensorMode::Reschedule, true));
    assert_eq!((settings.poke_interval, settings.timeout), (Duration::from_secs(60), Duration::from_secs(43_200)));
    assert_eq!(sensor.parameters.keys().collect::<Vec<_>>(), ["bucket_key", "wildcard_match"]);
    assert_eq!((crawl.kind, crawl.retries, crawl.sensor), (OperatorKind::Remote, 2, None));
    assert_eq!(crawl.parameters["config"]["DatabaseName"], "products_db");
    assert_eq!(transfer.trigger_rule, TriggerRule::AllDone);
    assert_eq!((dag.upstream(1), dag.upstream(2)), (vec![0], vec![1]));
    assert_eq!(dag.position("transfer_redshift_to_s3"), Some(2));
    assert_eq!(dag.position("nobody"), None);
}

#[test]
fn every_field_of_a_dag_reaches_the_model() {
    let dag = read_well(
        r##"
        dag_id = "my.dag-1"
        doc = "# Title"
        owner = "data"
        schedule = { every = "15m", data_interval = true }
        timezone = "Europe/Berlin"
        start_date = 2026-03-29T02:30:00
        end_date = 2026-10-25T02:30:00
        catchup = true
        max_active_runs = 3
        max_active_tasks = 5
        dagrun_timeout = "2h"
        max_consecutive_failed_runs = 0
        paused = false
        fail_fast = true
        render_native = true
        overlap = "queue"
        jitter = "0s"
        run_fails_on = "leaves"
        [params]
        rows = 5
        [tasks.a]
        operator = "empty"
        "##,
    );
    assert_eq!(
        (dag.dag_id.as_str(), dag.owner.as_deref(), dag.doc.as_deref()),
        ("my.dag-1", Some("data"), Some("# Title"))
    );
    assert_eq!(dag.schedule, Schedule::Every { interval: Duration::from_secs(900), data_interval: true });
    // The first is skipped by the clocks, the second is there twice.
    assert_eq!(dag.start_date.unwrap().to_string(), "2026-03-29T01:30:00Z");
    assert_eq!(dag.end_date.unwrap().to_string(), "2026-10-25T01:30:00Z");
    assert_eq!(dag.catchup, Catchup::All);
    assert_eq!((dag.max_active_runs, dag.max_active_tasks), (3, 5));
    assert_eq!(dag.dagrun_timeout, Some(Duration::from_secs(7_200)));
    assert_eq!((dag.paused, dag.fail_fast, dag.render_native), (Some(false), true, true));
    assert_eq!(dag.params["rows"].default, Some(json!(5)));
}

#[test]
fn every_field_of_a_task_reaches_the_model() {
    let dag = read_well(
        r#"
        [tasks.a]
        operator = "bash"
        bash_command = "true"
        retries = 3
        retry_delay = 30
        retry_exponential_backoff = true
        max_retry_delay = "1h"
        retry_on = ["timeout", "throttled"]
        on_lost = "fail"
        execution_timeout = "90m"
        pool = "small"
        pool_slots = 2
        priority_weight = -5
        weight_rule = "absolute"
        queue = "big"
        wait_for_downstream = true
        max_active_tis_per_dag = 4
        max_active_tis_per_dagrun = 2
        doc = "why"
        owner = "me"
        do_xcom_push = false
        tolerate_failure = false
        env = { HOME = "/tmp", DAY = "{{ ds }}" }
        params = { size = { type = "integer", default = 3 } }
        "#,
    );
    let task = &dag.tasks[0];
    assert_eq!((task.retries, task.retry_delay), (3, Duration::from_secs(30)));
    assert_eq!((task.retry_exponential_backoff, task.max_retry_delay), (Some(2.0), Some(Duration::from_secs(3_600))));
    assert_eq!(task.retry_on.as_deref(), Some(&["timeout".to_owned(), "throttled".to_owned()][..]));
    assert_eq!((task.on_lost, task.execution_timeout), (OnLost::Fail, Some(Duration::from_secs(5_400))));
    assert_eq!((task.pool.as_str(), task.pool_slots, task.queue.as_str()), ("small", 2, "big"));
    assert_eq!((task.priority_weight, task.weight_rule), (-5, WeightRule::Absolute));
    assert!(task.depends_on_past && task.wait_for_downstream && !task.do_xcom_push);
    assert_eq!((task.max_active_tis_per_dag, task.max_active_tis_per_dagrun), (Some(4), Some(2)));
    assert_eq!(task.env["DAY"], "{{ ds }}");
    assert_eq!(task.params["size"].default, Some(json!(3)));
    assert_eq!(task.parameters.keys().collect::<Vec<_>>(), ["bash_command"]);
}
