//! `sql_execute_query` on a real PostgreSQL.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use windrose_core::cause::Cause;
use windrose_core::connection::Connection;
use windrose_operators::context::TaskContext;
use windrose_operators::error::TaskError;
use windrose_operators::operator::Runnable;
use windrose_operators::registry;
use windrose_operators::testing::{TestServices, TestTask};
use windrose_testkit::{PostgresServer, TestDatabase};

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
    assert!(message.contains("no_such_database") && message.contains("Check the database's name"), "{message}");
}

#[tokio::test]
async fn hook_params_choose_the_database_and_settings_of_the_session() {
    let (database, other) = (TestDatabase::postgres().await, TestDatabase::postgres().await);
    let name = url::Url::parse(other.url()).unwrap().path().trim_start_matches('/').to_owned();
    let hook = json!({ "database": name, "options": "-c search_path=mine,yours --statement-timeout=90s" });
    let sql = "SELECT current_database(), current_setting('search_path'), current_setting('statement_timeout')";
    let rows = run(&database, json!({ "sql": sql, "hook_params": hook })).await.unwrap();
    assert_eq!(rows, Some(json!([[name, "mine,yours", "90s"]])));
}

#[tokio::test]
async fn a_function_is_told_the_columns_even_of_no_rows_and_may_prevent_the_commit() {
    let database = TestDatabase::postgres().await;
    let folder = tempfile::tempdir().unwrap();
    let script = "def look(cursor):\n    \
                  if cursor.description and not cursor.fetchall():\n        \
                      raise LookupError(f'no row with {[d[:2] for d in cursor.description]}')\n";
    std::fs::write(folder.path().join("rows.py"), script).unwrap();
    let parameters = json!({
        "sql": ["CREATE TABLE t (id int, day date)", "SELECT id, day FROM t"], "handler": "rows.py:look", "conn_id": "db",
    });
    let Value::Object(parameters) = parameters else { panic!("an object") };
    let runnable = registry::find("sql_execute_query").unwrap().build(parameters).unwrap();
    let task = TestTask::new("query").connection(connection(&database, "postgres"));
    let (ctx, _) = task.with(|info| info.is_in(folder.path())).build();
    let error = runnable.execute(&ctx).await.unwrap_err().to_string();
    assert!(error.contains("no row with [('id', 23), ('day', 1082)]"), "{error}");
    let there = run(&database, json!({ "sql": "SELECT to_regclass('t')::text" })).await.unwrap();
    assert_eq!(there, Some(json!([[null]])));
}

/// One try of a task while this happens during its sleeps; its result, and how long it slept.
async fn while_away(
    connection: Connection,
    event: impl Fn() -> futures::future::BoxFuture<'static, ()> + Send + Sync + 'static,
) -> (Result<Option<Value>, TaskError>, Arc<TestServices>) {
    let parameters = serde_json::Map::from_iter([("sql".into(), json!("SELECT 1")), ("conn_id".into(), json!("db"))]);
    let runnable = registry::find("sql_execute_query").unwrap().build(parameters).unwrap();
    let (ctx, services) = TestTask::new("query").connection(connection).during_sleeps(event).build();
    (runnable.execute(&ctx).await.map(|done| done.value), services)
}

#[tokio::test]
async fn a_server_that_comes_up_late_is_waited_for() {
    let server = PostgresServer::private(false).await.unwrap();
    let database = TestDatabase::on(Arc::clone(&server)).await;
    let connection = connection(&database, "postgres");
    server.stop().unwrap();
    let late = Arc::clone(&server);
    let sleeps = Arc::new(AtomicU32::new(0));
    let event = move || {
        let nth = sleeps.fetch_add(1, Ordering::Relaxed) + 1;
        let late = Arc::clone(&late);
        Box::pin(async move {
            if nth == 2 {
                late.start_again().unwrap();
            }
        }) as futures::future::BoxFuture<'static, ()>
    };
    let (result, services) = while_away(connection, event).await;
    assert_eq!(result.unwrap(), Some(json!([[1]])));
    assert_eq!(services.sleeps(), [1, 2].map(Duration::from_secs));
    let log = services.log_text();
    assert!(log.contains("cannot be connected to") && log.contains("try 1 of 5; the next one is in 1 s"), "{log}");
}

#[tokio::test]
async fn a_server_that_stays_away_is_tried_five_times() {
    let server = PostgresServer::private(false).await.unwrap();
    let database = TestDatabase::on(Arc::clone(&server)).await;
    let connection = connection(&database, "postgres");
    server.stop().unwrap();
    let (result, services) = while_away(connection, || Box::pin(async {})).await;
    let error = result.unwrap_err().to_string();
    assert!(error.contains("cannot be connected to") && error.contains("Check the host and port"), "{error}");
    assert_eq!(services.sleeps(), [1, 2, 4, 8].map(Duration::from_secs));
    server.start_again().unwrap();
}

#[tokio::test]
async fn a_server_without_a_free_place_is_tried_again() {
    let server = PostgresServer::private(false).await.unwrap();
    let database = TestDatabase::on(Arc::clone(&server)).await;
    server.administrate("CREATE ROLE narrow LOGIN CONNECTION LIMIT 0").await.unwrap();
    let connection = Connection { login: Some("narrow".to_owned()), ..connection(&database, "postgres") };
    let event = move || {
        let server = Arc::clone(&server);
        Box::pin(async move { server.administrate("ALTER ROLE narrow CONNECTION LIMIT 5").await.unwrap() })
            as futures::future::BoxFuture<'static, ()>
    };
    let (result, services) = while_away(connection, event).await;
    assert_eq!(result.unwrap(), Some(json!([[1]])));
    assert!(services.log_text().contains("too many connections"), "{}", services.log_text());
}

#[tokio::test]
async fn a_wrong_password_is_refused_at_once_and_not_repeated_anywhere() {
    let server = PostgresServer::private(false).await.unwrap();
    let database = TestDatabase::on(Arc::clone(&server)).await;
    server.administrate("CREATE ROLE guarded LOGIN PASSWORD 'right'").await.unwrap();
    let guarded = |password: Option<&str>| Connection {
        login: Some("guarded".to_owned()),
        password: password.map(str::to_owned),
        ..connection(&database, "postgres")
    };
    let nothing = || Box::pin(async {}) as futures::future::BoxFuture<'static, ()>;
    assert_eq!(while_away(guarded(Some("right")), nothing).await.0.unwrap(), Some(json!([[1]])));
    for (password, advice) in
        [(Some("hunter2-secret"), "Check the login and the password of the connection 'db'"), (None, "has no password")]
    {
        let (result, services) = while_away(guarded(password), nothing).await;
        let error = result.unwrap_err();
        assert!(matches!(&error, TaskError::Failed { cause: Cause::Connection { .. }, .. }), "{error:?}");
        let text = format!("{error}\n{}", services.log_text());
        assert!(
            text.contains("password authentication failed for user \"guarded\"") && text.contains(advice),
            "{text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
        assert!(services.sleeps().is_empty(), "{text}");
    }
}
