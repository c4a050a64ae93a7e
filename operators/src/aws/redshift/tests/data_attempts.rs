//! `redshift_data` against the lab: cancellation, throttling, and attempts that follow one another.

use serde_json::{Value, json};

use super::lab::{LAB, WORKGROUP, built, run, until, with};
use crate::error::TaskError;

fn statement(sql: &str, more: Value) -> Value {
    let place = json!({"sql": sql, "database": "dev", "workgroup_name": WORKGROUP, "secret_arn": LAB.secret_arn()});
    with(place, more)
}

async fn state_of(id: &str) -> String {
    let (ctx, _) = LAB.task().build();
    let aws =
        crate::aws::parameters::AwsParameters { aws_conn_id: Some("aws_default".to_owned()), ..Default::default() };
    let session = crate::aws::session::session_for(&ctx, &aws).await.unwrap();
    super::super::data_api::describe(&session, id).await.ok().unwrap().status().unwrap().as_str().to_owned()
}

/// Cancels a task while its statement runs; the answer is the statement's id.
async fn cancelled_while_running(marker: &str, more: Value) -> String {
    LAB.hold(marker).await;
    let (ctx, services) = LAB.task().real_time().build();
    let runnable = built("redshift_data", statement(&format!("SELECT {marker}"), more)).unwrap();
    let (ended, ()) = tokio::join!(runnable.execute(&ctx), async {
        until("it is waited for", async || !services.sleeps().is_empty()).await;
        ctx.cancelled.cancel();
    });
    assert!(matches!(ended, Err(TaskError::Cancelled)));
    runnable.cancel(&ctx).await.unwrap();
    services.checkpoints()[0].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn cancelling_the_task_cancels_the_statement() {
    let id = cancelled_while_running("'to be cancelled'", json!({})).await;
    until("it is aborted", async || state_of(&id).await == "ABORTED").await;
}

#[tokio::test]
async fn a_statement_goes_on_if_it_is_not_to_be_cancelled() {
    let id = cancelled_while_running("'to go on'", json!({"cancel_on_kill": false})).await;
    assert_eq!(state_of(&id).await, "STARTED");
    assert!(!LAB.data_api_calls("'to go on'", &id).await.contains(&"CancelStatement".to_owned()));
}

#[tokio::test]
async fn throttled_looks_do_not_fail_the_task() {
    let hold = LAB.hold("'throttled'").await;
    let (ctx, services) = LAB.task().real_time().build();
    let parameters = statement("SELECT 'throttled'", json!({"poll_interval": 0.1}));
    let runnable = built("redshift_data", parameters).unwrap();
    let (done, ()) = tokio::join!(runnable.execute(&ctx), async {
        until("it is waited for", async || !services.sleeps().is_empty()).await;
        let throttle = json!({
            "service": "redshift-data", "operation": "DescribeStatement", "match": services.checkpoints()[0], "times": 4,
            "code": "ThrottlingException",
        });
        LAB.post("faults", throttle).await;
        LAB.release(&hold).await;
    });
    let ids = done.unwrap().value.unwrap();
    assert!(services.log_text().contains("ThrottlingException"), "{}", services.log_text());
    let calls = LAB.data_api_calls("'throttled'", ids[0].as_str().unwrap()).await;
    assert_eq!(calls.iter().filter(|call| *call == "ExecuteStatement").count(), 1);
}

#[tokio::test]
async fn the_attempt_after_a_crash_takes_hold_of_the_statement() {
    let hold = LAB.hold("'survives'").await;
    let (ctx, services) = LAB.task().real_time().build();
    let parameters = statement("SELECT 'survives'", json!({}));
    let runnable = built("redshift_data", parameters.clone()).unwrap();
    let crashed = tokio::select! {
        _ = runnable.execute(&ctx) => false,
        () = until("it is waited for", async || !services.sleeps().is_empty()) => true,
    };
    assert!(crashed);
    let handle = services.checkpoints()[0].clone();
    LAB.release(&hold).await;
    let (ids, services) = run(LAB.task().checkpoint(handle.clone()), "redshift_data", parameters).await;
    assert_eq!(ids.unwrap(), json!([handle]));
    assert!(services.checkpoints().is_empty());
    let calls = LAB.data_api_calls("'survives'", handle.as_str().unwrap()).await;
    assert_eq!(calls.iter().filter(|call| *call == "ExecuteStatement").count(), 1, "{calls:?}");
}

#[tokio::test]
async fn a_statement_whose_checkpoint_was_lost_is_not_run_twice() {
    let parameters = statement("SELECT 'lost checkpoint'", json!({}));
    let task = || LAB.task_named("lost checkpoint");
    let first = run(task(), "redshift_data", parameters.clone()).await.0.unwrap();
    let again = run(task(), "redshift_data", parameters.clone()).await.0.unwrap();
    assert_eq!(first, again);
    let cleared = run(task().with(|info| info.generation = 1), "redshift_data", parameters).await.0.unwrap();
    assert_ne!(first, cleared);
    assert_eq!(LAB.statements("'lost checkpoint'").await.len(), 2);
}

#[tokio::test]
async fn a_retry_after_a_failure_submits_anew() {
    let parameters = statement("SELECT a FROM comes_later", json!({}));
    let (failed, services) = run(LAB.task(), "redshift_data", parameters.clone()).await;
    failed.unwrap_err();
    LAB.sql("CREATE TABLE comes_later (a integer)").await;
    let earlier = services.checkpoints()[0].clone();
    let (ids, services) = run(LAB.task().checkpoint(earlier.clone()), "redshift_data", parameters).await;
    assert_ne!(ids.unwrap(), json!([earlier]));
    assert!(services.log_text().contains("Prior job in terminal state, resubmitting fresh"));
}

#[tokio::test]
async fn an_id_that_is_not_known_any_more_is_submitted_anew() {
    let gone = json!("00000000-0000-4000-8000-000000000000");
    let (ids, services) =
        run(LAB.task().checkpoint(gone.clone()), "redshift_data", statement("SELECT 'gone'", json!({}))).await;
    assert_ne!(ids.unwrap(), json!([gone]));
    assert_eq!(services.checkpoints().len(), 1);
}
