//! `sql_execute_query` on a real PostgreSQL.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use windrose_core::cause::Cause;
use windrose_core::connection::Connection;
use windrose_operators::context::TaskContext;
use windrose_operators::error::TaskError;
use windrose_operators::operator::Runnable;
use windrose_operators::registry;
use windrose_operators::testing::{TestServices, TestTask};
use windrose_testkit::TestDatabase;

/// The database as a connection of this type.
fn connection(database: &TestDatabase, conn_type: &str) -> Connection {
    let url = url::Url::parse(database.url()).unwrap();
    let query = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    Connection {
        conn_id: "db".to_owned(),
        conn_type: conn_type.to_owned(),
        host: query("host").or_else(|| url.host_str().map(str::to_owned)),
        login: Some(url.username().to_owned()),
        password: url.password().map(str::to_owned),
        schema: Some(url.path().trim_start_matches('/').to_owned()),
        port: url.port(),
        extra: Some(json!({ "sslmode": "disable" }).to_string()),
        ..Connection::default()
    }
}

fn task(connection: Connection, parameters: Value) -> (Runnable, TaskContext, Arc<TestServices>) {
    let Value::Object(mut parameters) = parameters else { panic!("an object") };
    parameters.insert("conn_id".to_owned(), json!("db"));
    let runnable = registry::find("sql_execute_query").unwrap().build(parameters).unwrap();
    let (ctx, services) = TestTask::new("query").real_time().connection(connection).build();
    (runnable, ctx, services)
}

async fn run(database: &TestDatabase, parameters: Value) -> Result<Option<Value>, TaskError> {
    let (runnable, ctx, _) = task(connection(database, "postgres"), parameters);
    runnable.execute(&ctx).await.map(|done| done.value)
}

#[tokio::test]
async fn types_become_what_json_has_for_them() {
    let database = TestDatabase::postgres().await;
    let sql = "SELECT 1, 2.50::numeric, true, NULL, 'x', '2026-01-02'::date, '{\"a\": [1]}'::jsonb, 1.5::float8";
    let rows = run(&database, json!({ "sql": sql })).await.unwrap();
    assert_eq!(rows, Some(json!([[1, 2.5, true, null, "x", "2026-01-02", { "a": [1] }, 1.5]])));
    assert_eq!(run(&database, json!({ "sql": "SELECT 1 WHERE false" })).await.unwrap(), Some(json!([])));
    assert_eq!(run(&database, json!({ "sql": "CREATE TABLE nothing (a int)" })).await.unwrap(), None);
}

#[tokio::test]
async fn a_refused_statement_names_its_sqlstate_and_place() {
    let database = TestDatabase::postgres().await;
    let error = run(&database, json!({ "sql": "SELECT * FROM nope" })).await.unwrap_err();
    let TaskError::Failed { cause: Cause::Sql { message, sqlstate, position, .. }, .. } = error else {
        panic!("{error:?}")
    };
    assert!(message.contains("relation \"nope\" does not exist"), "{message}");
    assert_eq!((sqlstate.as_deref(), position), (Some("42P01"), Some(15)));
}

#[tokio::test]
async fn all_or_nothing_is_kept_unless_autocommit() {
    let database = TestDatabase::postgres().await;
    run(&database, json!({ "sql": "CREATE TABLE t (a int)" })).await.unwrap();
    for (autocommit, kept) in [(false, 0), (true, 1)] {
        let sql = "INSERT INTO t VALUES (1); SELECT * FROM nope";
        let parameters = json!({ "sql": sql, "split_statements": true, "autocommit": autocommit });
        run(&database, parameters).await.unwrap_err();
        let count = run(&database, json!({ "sql": "SELECT count(*) FROM t" })).await.unwrap();
        assert_eq!(count, Some(json!([[kept]])));
    }
}

#[tokio::test]
async fn parameters_keep_their_quotes_and_backslashes() {
    let database = TestDatabase::postgres().await;
    let hostile = "it's \\ \"quoted\"; DROP TABLE t; --";
    let parameters = json!({ "sql": "SELECT %s, %s + 1, %s = ANY(%s)", "parameters": [hostile, 1, 2, [1, 2]] });
    assert_eq!(run(&database, parameters).await.unwrap(), Some(json!([[hostile, 2, true]])));
    let named = json!({ "sql": "SELECT %(a)s::text || %(a)s", "parameters": { "a": "x" } });
    assert_eq!(run(&database, named).await.unwrap(), Some(json!([["xx"]])));
}

#[tokio::test]
async fn a_redshift_connection_speaks_the_same_protocol() {
    let database = TestDatabase::postgres().await;
    let (runnable, ctx, _) = task(connection(&database, "redshift"), json!({ "sql": "SELECT 1;" }));
    assert_eq!(runnable.execute(&ctx).await.unwrap().value, Some(json!([[1]])));
}

#[tokio::test]
async fn a_procedures_body_is_not_taken_apart() {
    let database = TestDatabase::postgres().await;
    let sql = "CREATE TABLE t (a int); CREATE PROCEDURE fill() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO t VALUES (1); \
               INSERT INTO t VALUES (2); END $$; CALL fill(); SELECT sum(a) FROM t";
    let parameters = json!({ "sql": sql, "split_statements": true });
    assert_eq!(run(&database, parameters).await.unwrap(), Some(json!([[3]])));
}

#[tokio::test]
async fn cancelling_ends_the_statement_on_the_server() {
    let database = TestDatabase::postgres().await;
    let (runnable, ctx, services) =
        task(connection(&database, "postgres"), json!({ "sql": "SELECT pg_sleep(600) /* mine */" }));
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg\\_sleep(600)%' \
                   AND datname = current_database() AND pid <> pg_backend_pid()";
    let cancelled = ctx.cancelled.clone();
    let waiting = tokio::spawn(async move { runnable.execute(&ctx).await });
    let count = || async { run(&database, json!({ "sql": running })).await.unwrap() };
    while count().await != Some(json!([[1]])) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    cancelled.cancel();
    assert!(matches!(waiting.await.unwrap().unwrap_err(), TaskError::Cancelled));
    while count().await != Some(json!([[0]])) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(services.log_text().contains("cancelled on the server"));
}

#[tokio::test]
async fn a_wrong_database_fails_the_connection_with_advice() {
    let database = TestDatabase::postgres().await;
    let error = run(&database, json!({ "sql": "SELECT 1", "database": "no_such_database" })).await.unwrap_err();
    let TaskError::Failed { cause: Cause::Connection { id, message, .. }, .. } = error else { panic!("{error:?}") };
    assert_eq!(id, "db");
    assert!(message.contains("no_such_database") && message.contains("Check the login"), "{message}");
}
