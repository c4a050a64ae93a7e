//! `redshift_to_s3` against the lab.

use serde_json::{Value, json};

use super::lab::{LAB, TARGET, WORKGROUP, built, run, until, with};
use crate::error::TaskError;
use crate::testing::TestTask;

/// The table gets three rows.
async fn table(name: &str) {
    LAB.sql(&format!("CREATE TABLE {name} AS SELECT a, 'row ' || a AS t FROM generate_series(1, 3) AS a")).await;
}

fn to_target(name: &str, more: Value) -> Value {
    let base = json!({
        "s3_bucket": TARGET, "s3_key": format!("{name}/out"), "table": name, "iam_role": "default", "aws_conn_id": "aws_xacct",
        "unload_options": ["CSV"], "include_header": true,
    });
    with(base, more)
}

async fn unload(task: TestTask, parameters: Value) -> Result<Value, TaskError> {
    run(task, "redshift_to_s3", parameters).await.0
}

#[tokio::test]
async fn rows_are_written_and_the_result_names_them() {
    table("unloaded").await;
    let (result, services) = run(LAB.task(), "redshift_to_s3", to_target("unloaded", json!({}))).await;
    let key = "unloaded/out/unloaded_0000_part_00";
    assert_eq!(result.unwrap(), json!({"rows": 3, "objects": [format!("s3://{TARGET}/{key}")]}));
    assert_eq!(LAB.object(TARGET, key).await, "a,t\n1,row 1\n2,row 2\n3,row 3\n");
    let log = services.log_text();
    assert!(log.contains("Executing UNLOAD command...") && log.contains("UNLOAD command complete..."), "{log}");
    assert!(log.contains("IAM_ROLE default") && !log.contains(&LAB.password()), "{log}");
}

#[tokio::test]
async fn a_manifest_names_the_objects() {
    table("listed").await;
    let query = "SELECT t FROM listed WHERE t = ''row 2''";
    let options =
        json!({"unload_options": ["CSV", "MANIFEST"], "select_query": query, "table": null, "include_header": false});
    let parameters = with(to_target("listed", json!({})), options);
    let result = unload(LAB.task(), parameters).await.unwrap();
    assert_eq!(result, json!({"rows": 1, "objects": [format!("s3://{TARGET}/listed/out0000_part_00")]}));
    assert_eq!(LAB.object(TARGET, "listed/out0000_part_00").await, "row 2\n");
}

#[tokio::test]
async fn a_prefix_that_is_not_empty_fails_in_redshifts_words() {
    table("twice").await;
    unload(LAB.task(), to_target("twice", json!({}))).await.unwrap();
    let text = unload(LAB.task(), to_target("twice", json!({}))).await.unwrap_err().to_string();
    assert!(text.contains("Specified unload destination on S3 is not empty"), "{text}");
    assert!(text.contains("put ALLOWOVERWRITE or CLEANPATH into unload_options"), "{text}");
    let over = json!({"unload_options": ["CSV", "ALLOWOVERWRITE"]});
    unload(LAB.task(), to_target("twice", over)).await.unwrap();
}

#[tokio::test]
async fn the_role_of_a_named_connection_goes_into_the_statement() {
    table("by_role").await;
    let (result, services) = run(LAB.task(), "redshift_to_s3", to_target("by_role", json!({"iam_role": null}))).await;
    assert_eq!(result.unwrap()["rows"], 3);
    let role = format!("aws_iam_role={}", LAB.role("etl-demo-s3-access"));
    assert!(services.log_text().contains(&role), "{}", services.log_text());
}

#[tokio::test]
async fn keys_go_into_the_statement_but_never_into_the_log() {
    table("by_keys").await;
    // Nobody names the connection, so its role is taken on, and the role's keys are written.
    let task = LAB.task().connection(LAB.aws("aws_default", Some("etl-demo-s3-access")));
    let parameters = to_target("by_keys", json!({"iam_role": null, "aws_conn_id": null}));
    let (result, services) = run(task, "redshift_to_s3", parameters).await;
    assert_eq!(result.unwrap()["rows"], 3);
    let statement = &LAB.statements("by_keys/out").await[0];
    assert!(statement.contains("aws_secret_access_key=***;token=***"), "{statement}");
    let (log, secrets) = (services.log_text(), services.secrets());
    assert!(secrets.len() >= 3, "the connection's key, the role's, and its token");
    assert!(secrets.iter().all(|secret| !log.contains(secret)), "{log}");
    assert!(log.contains("credentials\n'***'".trim_start()) || log.contains("credentials '***'"), "{log}");
    assert!(log.contains("Set iam_role"), "{log}");
}

#[tokio::test]
async fn an_error_never_shows_the_keys() {
    let parameters = to_target("no_such_table", json!({"iam_role": null, "aws_conn_id": null}));
    let (failed, services) = run(LAB.task(), "redshift_to_s3", parameters).await;
    let failed = format!("{:?}", failed.unwrap_err());
    assert!(services.secrets().iter().all(|secret| !failed.contains(secret)), "{failed}");
}

#[tokio::test]
async fn a_refusal_of_s3_says_whose_rights_were_used() {
    table("refused").await;
    let role = LAB.role("etl-demo-no-access");
    let text = unload(LAB.task(), to_target("refused", json!({"iam_role": role}))).await.unwrap_err().to_string();
    assert!(text.contains("S3ServiceException") && text.contains(&format!("IAM_ROLE {role}")), "{text}");
}

#[tokio::test]
async fn rows_are_known_even_if_the_worker_may_not_list_the_bucket() {
    table("unlisted").await;
    let (result, services) =
        run(LAB.task(), "redshift_to_s3", to_target("unlisted", json!({"aws_conn_id": null}))).await;
    assert_eq!(result.unwrap(), json!({"rows": 3, "objects": null}));
    assert!(services.log_text().contains("The objects written are not known"));
}

fn by_data_api(name: &str, more: Value) -> Value {
    let kwargs = json!({"workgroup_name": WORKGROUP, "database": "dev", "secret_arn": LAB.secret_arn()});
    let route = json!({"redshift_data_api_kwargs": kwargs, "data_api_aws_conn_id": "aws_default"});
    with(to_target(name, route), more)
}

#[tokio::test]
async fn the_data_api_carries_the_statement_and_a_retry_takes_hold_of_it() {
    table("by_api").await;
    let (result, services) = run(LAB.task(), "redshift_to_s3", by_data_api("by_api", json!({}))).await;
    let result = result.unwrap();
    assert_eq!(result, json!({"rows": 3, "objects": [format!("s3://{TARGET}/by_api/out/by_api_0000_part_00")]}));
    let handle = services.checkpoints()[0].clone();
    let retry = LAB.task().checkpoint(handle);
    assert_eq!(unload(retry, by_data_api("by_api", json!({}))).await.unwrap(), result);
    assert_eq!(LAB.statements("by_api/out").await.len(), 1);
}

#[tokio::test]
async fn the_data_api_is_not_asked_with_the_keys_of_a_database() {
    let parameters = by_data_api("by_trap", json!({"data_api_aws_conn_id": null}));
    let text = unload(LAB.task(), parameters).await.unwrap_err().to_string();
    assert!(text.contains("'redshift_default'") && text.contains("data_api_aws_conn_id"), "{text}");
}

#[tokio::test]
async fn cancelling_the_task_cancels_the_unload() {
    let (ctx, services) = LAB.task().build();
    let slow = json!({"select_query": "SELECT pg_sleep(600) AS cancelled_unload"});
    let runnable = built("redshift_to_s3", to_target("slow", slow)).unwrap();
    let running =
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%cancelled' || '_unload%'";
    let (ended, ()) = tokio::join!(runnable.execute(&ctx), async {
        until("it runs", async || LAB.sql(running).await != json!([[0]])).await;
        ctx.cancelled.cancel();
    });
    assert!(matches!(ended, Err(TaskError::Cancelled)));
    assert!(services.log_text().contains("cancelled on the server"), "{}", services.log_text());
    until("it has ended", async || LAB.sql(running).await == json!([[0]])).await;
}

#[test]
fn wrong_parameters_are_refused_in_airflows_words() {
    let refused = |more: Value| {
        let base = json!({"s3_bucket": "b", "s3_key": "k", "table": "t"});
        built("redshift_to_s3", with(base, more)).err().unwrap()
    };
    assert_eq!(refused(json!({"table": ""})), "Please specify either a table or `select_query` to fetch the data.");
    assert_eq!(
        refused(json!({"redshift_data_api_kwargs": {"sql": "SELECT 1"}})),
        "Cannot include param 'sql' in Redshift Data API kwargs"
    );
    assert!(refused(json!({"redshift_data_api_kwargs": {"workgroup": "w"}})).contains("unknown field `workgroup`"));
    assert!(refused(json!({"redshift_data_api_kwargs": {"database": "d"}})).starts_with("Exactly one of"));
}
