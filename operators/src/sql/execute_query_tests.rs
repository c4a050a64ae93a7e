use std::sync::Arc;

use serde_json::json;
use windrose_core::connection::Connection;

use super::*;
use crate::registry;
use crate::testing::{TestServices, TestTask};

/// A SQLite file as connection `db`.
fn sqlite(folder: &tempfile::TempDir) -> Connection {
    Connection {
        conn_id: "db".to_owned(),
        conn_type: "sqlite".to_owned(),
        host: Some(folder.path().join("test.db").display().to_string()),
        ..Connection::default()
    }
}

async fn run_on(connection: &Connection, parameters: Value) -> (Result<Option<Value>, TaskError>, Arc<TestServices>) {
    let Value::Object(mut parameters) = parameters else { panic!("an object") };
    parameters.insert("conn_id".to_owned(), json!("db"));
    let runnable = registry::find("sql_execute_query").unwrap().build(parameters).unwrap();
    let (ctx, services) = TestTask::new("query").connection(connection.clone()).build();
    (runnable.execute(&ctx).await.map(|done| done.value), services)
}

async fn value(connection: &Connection, parameters: Value) -> Option<Value> {
    run_on(connection, parameters).await.0.unwrap()
}

#[tokio::test]
async fn rows_come_back_with_their_types() {
    let folder = tempfile::tempdir().unwrap();
    let rows =
        value(&sqlite(&folder), json!({ "sql": "SELECT 1, 2.5, 'x', NULL UNION ALL SELECT 2, 3.5, 'y', 7" })).await;
    assert_eq!(rows, Some(json!([[1, 2.5, "x", null], [2, 3.5, "y", 7]])));
    assert_eq!(value(&sqlite(&folder), json!({ "sql": "SELECT 1 WHERE false" })).await, Some(json!([])));
}

#[tokio::test]
async fn the_result_follows_airflows_rule() {
    let folder = tempfile::tempdir().unwrap();
    let db = sqlite(&folder);
    assert_eq!(value(&db, json!({ "sql": "CREATE TABLE t (a INTEGER)" })).await, None);
    let two = "SELECT 1; SELECT 2";
    assert_eq!(value(&db, json!({ "sql": two, "split_statements": true })).await, Some(json!([[2]])));
    let all = json!({ "sql": two, "split_statements": true, "return_last": false });
    assert_eq!(value(&db, all).await, Some(json!([[[1]], [[2]]])));
    assert_eq!(value(&db, json!({ "sql": ["SELECT 1", "SELECT 2"] })).await, Some(json!([[[1]], [[2]]])));
}

#[tokio::test]
async fn parameters_are_given_by_position_or_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let db = sqlite(&folder);
    let by_position = json!({ "sql": "SELECT ?, ?", "parameters": [1, "it's"] });
    assert_eq!(value(&db, by_position).await, Some(json!([[1, "it's"]])));
    let by_name = json!({ "sql": "SELECT :a", "parameters": { "a": "x" } });
    assert_eq!(value(&db, by_name).await, Some(json!([["x"]])));
    let as_text = json!({ "sql": "SELECT ?", "parameters": "['x']" });
    assert_eq!(value(&db, as_text).await, Some(json!([["x"]])));
}

#[tokio::test]
async fn an_error_undoes_what_came_before_it_unless_autocommit() {
    let folder = tempfile::tempdir().unwrap();
    let db = sqlite(&folder);
    value(&db, json!({ "sql": "CREATE TABLE t (a INTEGER)" })).await;
    for (autocommit, kept) in [(false, 0), (true, 1)] {
        let parameters = json!({ "sql": ["INSERT INTO t VALUES (1)", "SELECT * FROM nope"], "autocommit": autocommit });
        let error = run_on(&db, parameters).await.0.unwrap_err();
        let TaskError::Failed { cause: Cause::Sql { message, statement, .. }, .. } = error else { panic!("{error:?}") };
        assert!(message.contains("nope"), "{message}");
        assert_eq!(statement.as_deref(), Some("SELECT * FROM nope"));
        assert_eq!(value(&db, json!({ "sql": "SELECT count(*) FROM t" })).await, Some(json!([[kept]])));
    }
}

#[tokio::test]
async fn the_log_tells_the_statement_without_the_values_of_its_parameters() {
    let folder = tempfile::tempdir().unwrap();
    let parameters = json!({ "sql": "SELECT ?", "parameters": ["private"] });
    let (_, services) = run_on(&sqlite(&folder), parameters).await;
    let log = services.log_text();
    assert!(log.contains("Running statement: SELECT ?") && !log.contains("private"), "{log}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_the_password() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let connection = Connection {
        conn_id: "db".to_owned(),
        conn_type: "redshift".to_owned(),
        host: Some("127.0.0.1".to_owned()),
        login: Some("user".to_owned()),
        password: Some("hunter2-secret".to_owned()),
        port: Some(port),
        ..Connection::default()
    };
    let error = run_on(&connection, json!({ "sql": "SELECT 1" })).await.0.unwrap_err().to_string();
    assert!(error.contains(&format!("127.0.0.1:{port} cannot be connected to")), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn empty_sql_and_a_missing_connection_are_refused() {
    let build = |parameters: Value| {
        let Value::Object(parameters) = parameters else { panic!("an object") };
        registry::find("sql_execute_query").unwrap().build(parameters).err()
    };
    assert!(build(json!({ "sql": " ", "conn_id": "db" })).unwrap().contains("List of SQL statements is empty"));
    assert!(build(json!({ "sql": "SELECT 1" })).unwrap().contains("conn_id is needed"));
}
