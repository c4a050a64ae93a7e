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

/// A folder with `rows.py`, and what the operator makes of these parameters there.
async fn with_script(
    script: &str,
    parameters: Value,
) -> (Result<Option<Value>, TaskError>, Connection, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rows.py"), script).unwrap();
    let connection = sqlite(&folder);
    let Value::Object(mut parameters) = parameters else { panic!("an object") };
    parameters.insert("conn_id".to_owned(), json!("db"));
    let runnable = registry::find("sql_execute_query").unwrap().build(parameters).unwrap();
    let dag_folder = folder.path().to_owned();
    let task = TestTask::new("query").connection(connection.clone()).with(|info| info.is_in(&dag_folder));
    let result = runnable.execute(&task.build().0).await.map(|done| done.value);
    (result, connection, folder)
}

#[tokio::test]
async fn the_first_row_alone_is_the_result_with_fetch_one() {
    let folder = tempfile::tempdir().unwrap();
    let db = sqlite(&folder);
    let one = |sql: Value| json!({ "sql": sql, "handler": "fetch_one_handler" });
    assert_eq!(value(&db, one(json!("SELECT 1, 'a' UNION ALL SELECT 2, 'b'"))).await, Some(json!([1, "a"])));
    assert_eq!(value(&db, one(json!("SELECT 1 WHERE false"))).await, None);
    assert_eq!(value(&db, one(json!("CREATE TABLE t (a INTEGER)"))).await, None);
    let several = one(json!(["SELECT 1", "DELETE FROM t", "SELECT 2"]));
    assert_eq!(value(&db, several).await, Some(json!([[1], null, [2]])));
}

#[tokio::test]
async fn a_function_of_the_folder_is_given_a_cursor_for_each_statement() {
    let script = "def look(cursor):\n    \
        names = None if cursor.description is None else [d[0] for d in cursor.description]\n    \
        first = cursor.fetchone() if names else None\n    \
        return {'names': names, 'first': first, 'rest': [r[0] for r in cursor] if names else None, 'count': cursor.rowcount}\n";
    let sql = json!([
        "CREATE TABLE t (a INTEGER, b TEXT)",
        "INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z')",
        "SELECT a, b FROM t ORDER BY a",
        "SELECT b FROM t WHERE false",
    ]);
    let (result, ..) = with_script(script, json!({ "sql": sql, "handler": "rows.py:look" })).await;
    let results = result.unwrap().unwrap();
    assert_eq!(results[1]["count"], 3);
    assert_eq!(results[1]["names"], Value::Null);
    let selected = (&results[2]["names"], &results[2]["first"], &results[2]["rest"]);
    assert_eq!(selected, (&json!(["a", "b"]), &json!([1, "x"]), &json!([2, 3])));
    let empty = (&results[3]["names"], &results[3]["first"], &results[3]["rest"]);
    assert_eq!(empty, (&json!(["b"]), &Value::Null, &json!([])));
}

#[tokio::test]
async fn a_handler_that_raises_undoes_what_the_statements_did() {
    let script = "def look(cursor):\n    raise ValueError('too few rows')\n";
    let sql = json!(["CREATE TABLE t (a INTEGER)", "INSERT INTO t VALUES (1)"]);
    let (result, connection, _folder) = with_script(script, json!({ "sql": sql, "handler": "rows.py:look" })).await;
    let error = result.unwrap_err().to_string();
    assert!(error.contains("ValueError") && error.contains("rows.py:2") && error.contains("too few rows"), "{error}");
    let tables = json!({ "sql": "SELECT name FROM sqlite_master" });
    assert_eq!(value(&connection, tables).await, Some(json!([])));
}

#[tokio::test]
async fn an_output_processor_is_given_results_with_their_columns() {
    let script = "def named(results, descriptions):\n    \
        return [[dict(zip([c[0] for c in d], row)) for row in rows] if d else None for rows, d in zip(results, descriptions)]\n";
    let processed = async |parameters: Value| with_script(script, parameters).await.0.unwrap();
    let last =
        json!({ "sql": "SELECT 1; SELECT 2 AS two", "split_statements": true, "output_processor": "rows.py:named" });
    assert_eq!(processed(last).await, Some(json!([{ "two": 2 }])));
    let all = json!({ "sql": ["SELECT 1 AS one", "CREATE TABLE t (a)"], "output_processor": "rows.py:named" });
    assert_eq!(processed(all).await, Some(json!([[{ "one": 1 }], null])));
    let first = json!({
        "sql": "SELECT 5 AS five", "handler": "rows.py:top", "output_processor": "rows.py:wrong",
    });
    let script = "def top(cursor):\n    return cursor.fetchone()[0]\n\ndef wrong(results, descriptions):\n    return results[0]\n";
    let error = with_script(script, first).await.0.unwrap_err().to_string();
    assert!(error.contains("must return a list with a result for each statement, but returned 5"), "{error}");
}

#[tokio::test]
async fn log_sql_false_keeps_statements_out_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let parameters = json!({ "sql": "SELECT 'private'", "hook_params": { "log_sql": false } });
    let (result, services) = run_on(&sqlite(&folder), parameters).await;
    assert_eq!(result.unwrap(), Some(json!([["private"]])));
    assert!(!services.log_text().contains("private"), "{}", services.log_text());
}

#[tokio::test]
async fn sqlite_has_no_database_to_choose() {
    let folder = tempfile::tempdir().unwrap();
    let parameters = json!({ "sql": "SELECT 1", "database": "other" });
    let error = run_on(&sqlite(&folder), parameters).await.0.unwrap_err().to_string();
    assert!(error.contains("names its file as the host"), "{error}");
}

#[test]
fn unknown_handlers_and_hook_arguments_are_refused_by_name() {
    let refused = |more: Value| {
        let Value::Object(mut parameters) = json!({ "sql": "SELECT 1", "conn_id": "db" }) else { panic!("an object") };
        parameters.extend(more.as_object().unwrap().clone());
        registry::find("sql_execute_query").unwrap().build(parameters).err().unwrap()
    };
    assert!(refused(json!({ "handler": "fetch_many" })).contains("'fetch_many'"));
    assert!(refused(json!({ "output_processor": "json" })).contains("'json'"));
    assert!(refused(json!({ "hook_params": { "placeholder": "?" } })).contains("hook_params.placeholder"));
}
