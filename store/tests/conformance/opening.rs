//! Opening a database: what a person is told when it cannot be, and what happens when several open it at once.

use std::os::unix::fs::PermissionsExt;

use sqlx::Connection as _;
use windrose_core::ids::AttemptId;
use windrose_core::task_state::TaskState;
use windrose_store::{Batch, Dialect, EncryptionKey, Store, StoreError};
use windrose_testkit::{PostgresServer, TestDatabase};

use crate::fixture::{Fixture, keys, moved, task};

crate::on_both_databases!(
    opening_again_finds_what_was_written,
    a_database_of_a_newer_windrose_is_refused,
    a_check_tells_the_version_and_changes_nothing,
    of_two_stores_that_dispatch_the_same_task_one_wins,
);

async fn opening_again_finds_what_was_written(f: Fixture) {
    let run = f.run_with("etl", 1, &["a"]).await;
    f.store.close().await;
    assert_eq!(f.second_store().await.tasks(run).await.unwrap().len(), 1);
}

async fn a_database_of_a_newer_windrose_is_refused(f: Fixture) {
    let mut database = sqlx::AnyConnection::connect(f.database.url()).await.unwrap();
    let newer = "INSERT INTO schema_version (version, name) VALUES (9999, 'future')";
    sqlx::query(newer).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    let opened = Store::open(f.database.url(), keys()).await.unwrap_err();
    assert!(matches!(opened, StoreError::NewerSchema { found: 9999, .. }), "{opened}");
    let checked = Store::check(f.database.url()).await.unwrap_err();
    assert!(checked.to_string().contains("newer Windrose"), "{checked}");
}

async fn a_check_tells_the_version_and_changes_nothing(f: Fixture) {
    let report = Store::check(f.database.url()).await.unwrap();
    assert_eq!((report.dialect, report.location.as_str()), (f.store.dialect(), f.store.location().as_str()));
    assert_eq!((report.schema_version, report.pending.len()), (report.known_version, 0));
    assert!(report.server_version.starts_with(|c: char| c.is_ascii_digit()), "{report:?}");
}

async fn of_two_stores_that_dispatch_the_same_task_one_wins(f: Fixture) {
    let other = f.second_store().await;
    let names: Vec<String> = (0..20).map(|n| format!("t{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let run = f.run_with("etl", 1, &names).await;
    for name in names {
        let by = |attempt| Batch {
            tasks: vec![moved(&task(run, name), TaskState::None, TaskState::Queued(AttemptId(attempt)))],
            ..Batch::default()
        };
        let (first, second) = (by(1), by(2));
        let (first, second) = tokio::join!(f.store.commit(&first), other.commit(&second));
        let winner = match (&first, &second) {
            (Ok(()), Err(StoreError::Stale { .. })) => 1,
            (Err(StoreError::Stale { .. }), Ok(())) => 2,
            _ => panic!("{first:?} and {second:?}"),
        };
        let state = f.store.task(&task(run, name)).await.unwrap().unwrap().state;
        assert_eq!(state, TaskState::Queued(AttemptId(winner)));
    }
}

#[tokio::test]
async fn processes_that_start_at_once_migrate_an_empty_postgres_database_once() {
    let database = TestDatabase::postgres().await;
    let pending = Store::check(database.url()).await.unwrap();
    assert_eq!((pending.schema_version, pending.pending[0].as_str()), (0, "0001 initial"));
    let open = || Store::open(database.url(), keys());
    let (a, b, c) = tokio::join!(open(), open(), open());
    for store in [a, b, c] {
        assert_eq!(store.unwrap().pools().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn processes_that_start_at_once_migrate_an_empty_sqlite_file_once() {
    let database = TestDatabase::sqlite().await;
    let open = || Store::open(database.url(), keys());
    let (a, b, c) = tokio::join!(open(), open(), open());
    for store in [a, b, c] {
        assert_eq!(store.unwrap().pools().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_store_goes_on_after_its_connections_broke() {
    let f = Fixture::postgres().await;
    let run = f.run_with("etl", 1, &["a"]).await;
    f.database.break_connections().await;
    let found = loop {
        match f.store.tasks(run).await {
            Err(error) if error.is_retryable() => {}
            other => break other.unwrap(),
        }
    };
    assert_eq!(found.len(), 1);
}

#[tokio::test]
async fn a_wrong_password_is_a_refused_login_that_does_not_show_it() {
    let server = PostgresServer::shared().await.unwrap();
    // The role may be there from another test.
    let _ = server.administrate("CREATE ROLE guarded LOGIN PASSWORD 'right'").await;
    let url = server.url("postgres").replace("windrose@", "guarded:s3cret-guess@");
    let error = Store::open(&url, keys()).await.unwrap_err();
    assert!(matches!(error, StoreError::Login { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_a_refused_login() {
    let server = PostgresServer::shared().await.unwrap();
    let error = Store::open(&server.url("no_such_database"), keys()).await.unwrap_err();
    assert!(matches!(error, StoreError::Login { .. }), "{error:?}");
    assert!(error.to_string().contains("no_such_database"), "{error}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("postgres://etl:s3cret@{nobody}/windrose");
    let error = Store::open(&url, keys()).await.unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains(&nobody.to_string()) && !error.to_string().contains("s3cret"), "{error}");
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let error = Store::open("sqlite:/no/such/folder/windrose.db", keys()).await.unwrap_err();
    assert!(error.to_string().contains("/no/such/folder"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let database = TestDatabase::sqlite().await;
    let file = database.folder().unwrap().join("windrose.db");
    std::fs::write(&file, "this is a text file, and long enough to be mistaken for more than an empty one ".repeat(20))
        .unwrap();
    let error = Store::open(database.url(), keys()).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn urls_that_cannot_be_meant_are_refused_without_their_password() {
    for url in ["mysql://u:s3cret@h/d", "postgres://u:s3cret@h:port/d", "sqlite::memory:", "sqlite:", "windrose.db", ""]
    {
        let error = Store::open(url, keys()).await.unwrap_err();
        assert!(matches!(error, StoreError::BadUrl { .. }), "{url}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
}

#[tokio::test]
async fn a_check_does_not_make_a_file() {
    let database = TestDatabase::sqlite().await;
    Store::check(database.url()).await.unwrap_err();
    assert!(!database.folder().unwrap().join("windrose.db").exists());
}

#[tokio::test]
async fn a_path_with_odd_characters_is_taken_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mit Umlaut ü & 100% #1.db");
    let store = Store::open(&format!("sqlite:{}", path.display()), keys()).await.unwrap();
    assert_eq!(store.dialect(), Dialect::Sqlite);
    assert!(path.is_file());
}

#[test]
fn a_key_file_is_made_once_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let first = EncryptionKey::load_or_create(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let second = EncryptionKey::load_or_create(&path).unwrap();
    assert_eq!(format!("{first:?}"), format!("{second:?}"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_key_file_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    EncryptionKey::load_or_create(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let error = EncryptionKey::load_or_create(&path).unwrap_err().to_string();
    assert!(error.contains("chmod 600"), "{error}");
}

#[test]
fn keys_of_another_length_are_refused_and_never_shown() {
    for text in ["", " , ", "c2hvcnQ=", "not base64 at all!"] {
        let error = EncryptionKey::from_base64(text).unwrap_err();
        assert!(matches!(error, StoreError::BadKey { .. }), "{error:?}");
        assert!(!error.to_string().contains("c2hvcnQ"), "{error}");
    }
}
