//! `redshift_data` against the lab: calls, results, failures.

use serde_json::{Value, json};

use super::lab::{LAB, WORKGROUP, built, run, with};
use crate::error::TaskError;

fn statement(sql: impl Into<Value>, more: Value) -> Value {
    let place = json!({
        "sql": sql.into(), "database": "dev", "workgroup_name": WORKGROUP, "secret_arn": LAB.secret_arn(),
    });
    with(place, more)
}

async fn value(sql: impl Into<Value>, more: Value) -> Value {
    run(LAB.task(), "redshift_data", statement(sql, more)).await.0.unwrap()
}

async fn error(sql: impl Into<Value>, more: Value) -> TaskError {
    run(LAB.task(), "redshift_data", statement(sql, more)).await.0.unwrap_err()
}

#[tokio::test]
async fn a_statement_is_executed_described_until_it_ends_and_once_more() {
    let (ids, services) = run(LAB.task(), "redshift_data", statement("SELECT 'call order'", json!({}))).await;
    let ids = ids.unwrap();
    let id = ids[0].as_str().unwrap();
    assert_eq!(ids, json!([id]));
    let calls = LAB.data_api_calls("'call order'", id).await;
    assert_eq!(calls[0], "ExecuteStatement");
    assert_eq!(calls.len(), services.sleeps().len() + 3, "{calls:?}");
    assert!(calls[1..].iter().all(|call| call == "DescribeStatement"), "{calls:?}");
    assert!(services.sleeps().iter().all(|pause| pause.as_secs() == 10));
    assert_eq!(services.checkpoints(), [json!(id)]);
    assert!(services.log_text().contains("Processed 1 rows"));
}

#[tokio::test]
async fn a_list_is_one_transaction_with_an_id_for_each_statement() {
    LAB.sql("CREATE TABLE batch_rows (a integer)").await;
    let ids = value(json!(["INSERT INTO batch_rows VALUES (1)", "SELECT a FROM batch_rows"]), json!({})).await;
    let first = ids[0].as_str().unwrap();
    assert!(first.ends_with(":1") && ids[1].as_str().unwrap().ends_with(":2"), "{ids}");

    let failed = error(json!(["INSERT INTO batch_rows VALUES (2)", "SELECT nope FROM batch_rows"]), json!({})).await;
    let text = failed.to_string();
    assert!(text.contains("Query #2 failed") && text.contains("SELECT nope FROM batch_rows"), "{text}");
    assert_eq!(LAB.sql("SELECT a FROM batch_rows").await, json!([[1]]));
}

#[tokio::test]
async fn a_failure_says_the_statement_its_id_the_error_and_the_position_only() {
    let (failed, services) =
        run(LAB.task(), "redshift_data", statement("SELECT * FROM nowhere_at_all", json!({}))).await;
    let text = failed.unwrap_err().to_string();
    let id = services.checkpoints()[0].as_str().unwrap().to_owned();
    assert_eq!(
        text,
        format!(
            "Redshift statement {id} ended in state FAILED: ERROR: relation \"nowhere_at_all\" does not exist\n  \
             Position: 15 Statement: SELECT * FROM nowhere_at_all"
        )
    );
    assert!(services.log_text().contains(&format!("Statement {id} terminated with status FAILED.")));
}

#[tokio::test]
async fn results_come_as_typed_cells_lists_or_objects() {
    let sql = "SELECT :n::integer AS n, 'x' AS t, 1.5::float8 AS d, true AS b, NULL AS z";
    let parameters = json!([{"name": "n", "value": 7}]);
    let result = |rows_as: &str| {
        value(sql, json!({"parameters": parameters, "return_sql_result": true, "return_rows_as": rows_as}))
    };
    let typed = result("typed_cells").await;
    let cells =
        json!([{"longValue": 7}, {"stringValue": "x"}, {"doubleValue": 1.5}, {"booleanValue": true}, {"isNull": true}]);
    assert_eq!(typed[0]["Records"], json!([cells]));
    assert_eq!((&typed[0]["TotalNumRows"], &typed[0]["ColumnMetadata"][0]["name"]), (&json!(1), &json!("n")));
    assert_eq!(result("lists").await, json!([[[7, "x", 1.5, true, null]]]));
    assert_eq!(result("objects").await, json!([[{"n": 7, "t": "x", "d": 1.5, "b": true, "z": null}]]));
}

#[tokio::test]
async fn all_pages_of_a_result_are_fetched_up_to_its_bound() {
    let sql = "SELECT * FROM generate_series(1, 2500)";
    let rows = json!({"return_sql_result": true, "return_rows_as": "lists"});
    let all = value(sql, rows.clone()).await;
    assert_eq!(all[0].as_array().unwrap().len(), 2500);
    assert_eq!(all[0][2499], json!([2500]));
    let refused = error(sql, with(rows, json!({"max_result_bytes": 9000}))).await.to_string();
    assert!(refused.contains("larger than max_result_bytes = 9000") && refused.contains("redshift_to_s3"), "{refused}");
}

#[tokio::test]
async fn a_statement_without_result_set_has_none_to_return() {
    let text = error("CREATE TABLE without_result (a integer)", json!({"return_sql_result": true})).await.to_string();
    assert!(text.contains("Query does not have result") && text.contains("leave out return_sql_result"), "{text}");
}

#[tokio::test]
async fn a_session_is_handed_on_by_xcom() {
    let keep = statement("CREATE TEMP TABLE of_session AS SELECT 5 AS a", json!({"session_keep_alive_seconds": 60}));
    let (done, services) = run(LAB.task(), "redshift_data", keep).await;
    done.unwrap();
    let session_id = services.pushed_value("session_id").unwrap();
    let next = json!({
        "sql": "SELECT a FROM of_session", "session_id": session_id, "return_sql_result": true, "return_rows_as": "lists",
    });
    assert_eq!(run(LAB.task(), "redshift_data", next).await.0.unwrap(), json!([[[5]]]));
}

#[tokio::test]
async fn a_statement_that_is_not_waited_for_is_described_once() {
    let hold = LAB.hold("'not awaited'").await;
    let ids = value("SELECT 'not awaited'", json!({"wait_for_completion": false, "deferrable": true})).await;
    let calls = LAB.data_api_calls("'not awaited'", ids[0].as_str().unwrap()).await;
    assert_eq!(calls, ["ExecuteStatement", "DescribeStatement"]);
    LAB.release(&hold).await;
}

#[tokio::test]
async fn a_cluster_takes_a_database_user() {
    let on_cluster = json!({
        "sql": "SELECT current_user", "database": "dev", "cluster_identifier": "sample-cluster", "db_user": "demo",
        "return_sql_result": true, "return_rows_as": "lists",
    });
    assert_eq!(run(LAB.task(), "redshift_data", on_cluster).await.0.unwrap(), json!([[["IAM:demo"]]]));
}

#[test]
fn wrong_parameters_are_refused_in_airflows_words() {
    let refused = |parameters: Value| built("redshift_data", parameters).err().unwrap();
    let one_place = "Exactly one of cluster_identifier, workgroup_name, or session_id must be provided";
    assert_eq!(refused(json!({"sql": "SELECT 1"})), one_place);
    assert_eq!(refused(json!({"sql": "SELECT 1", "workgroup_name": "w", "cluster_identifier": "c"})), one_place);
    assert_eq!(refused(json!({"sql": "SELECT 1", "session_id": "x"})), "session_id must be a valid UUID4");
    let long = json!({"sql": "SELECT 1", "workgroup_name": "w", "session_keep_alive_seconds": 86_401});
    assert_eq!(refused(long), "Session keep alive duration must be between 0 and 86400 seconds.");
    let many = json!({"sql": vec!["SELECT 1"; 41], "workgroup_name": "w"});
    assert!(refused(many).contains("at most 40"));
    let no_rows =
        json!({"sql": "SELECT 1", "workgroup_name": "w", "return_sql_result": true, "wait_for_completion": false});
    assert!(refused(no_rows).contains("wait_for_completion"));
}
