//! Connections, variables and pools: what people set.

use windrose_core::connection::Connection;
use windrose_store::{EncryptionKey, Imported, PoolRow, Store, StoreError, Variable};

use crate::fixture::{Fixture, KEY, at};

crate::on_both_databases!(
    a_connection_is_read_back_whole,
    secrets_are_not_in_the_database_in_clear,
    an_import_keeps_or_replaces_what_is_there,
    a_deleted_connection_is_gone,
    a_variable_is_read_back_and_replaced,
    a_key_that_is_not_configured_is_named_without_the_secret,
    rotation_seals_with_the_new_key,
    a_secret_moved_to_another_row_does_not_open,
    the_default_pool_is_there_and_stays,
    a_pool_is_made_changed_and_removed,
);

const OTHER_KEY: &str = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";

fn connection(id: &str, password: &str) -> Connection {
    Connection {
        conn_id: id.into(),
        conn_type: "redshift".into(),
        description: Some("the warehouse".into()),
        host: Some("wh.example.com".into()),
        login: Some("etl".into()),
        password: Some(password.into()),
        schema: Some("dev".into()),
        port: Some(5439),
        extra: Some(r#"{"token": "t0ken-in-extra"}"#.into()),
    }
}

fn variable(key: &str, value: &str) -> Variable {
    Variable { key: key.into(), value: value.into(), description: Some("for tests".into()) }
}

async fn put(store: &Store, connections: &[Connection], replace: bool) -> Imported {
    store.put_connections(connections, replace, at(1)).await.unwrap()
}

async fn a_connection_is_read_back_whole(f: Fixture) {
    let bare = Connection { conn_id: "bare".into(), conn_type: "aws".into(), ..Connection::default() };
    let full = connection("wh", "p@ss word/ü");
    put(&f.store, &[full.clone(), bare.clone()], false).await;
    assert!(f.store.connection("wh").await.unwrap() == Some(full.clone()));
    assert!(f.store.connections().await.unwrap() == [bare, full]);
    assert!(f.store.connection("nobody").await.unwrap().is_none());
}

/// Everything the table holds, in one text.
async fn stored_text(f: &Fixture, sql: &'static str) -> String {
    use sqlx::{Connection as _, Row};
    let mut database = sqlx::AnyConnection::connect(f.database.url()).await.unwrap();
    let rows = sqlx::query(sql).fetch_all(&mut database).await.unwrap();
    let texts = rows.iter().flat_map(|row| (0..row.len()).map(|i| row.get::<Option<String>, _>(i).unwrap_or_default()));
    let all = texts.collect::<Vec<_>>().join("\n");
    database.close().await.unwrap();
    all
}

async fn secrets_are_not_in_the_database_in_clear(f: Fixture) {
    put(&f.store, &[connection("wh", "s3cret-password")], false).await;
    f.store.put_variables(&[variable("v", "s3cret-value")], false, at(1)).await.unwrap();
    let connections = stored_text(&f, "SELECT conn_id, host, password, extra FROM connection").await;
    let variables = stored_text(&f, "SELECT name, value FROM variable").await;
    assert!(connections.contains("wh.example.com") && connections.contains("v1:"), "{connections}");
    assert!(!connections.contains("s3cret") && !connections.contains("t0ken"), "{connections}");
    assert!(variables.contains("v1:") && !variables.contains("s3cret"), "{variables}");
}

async fn an_import_keeps_or_replaces_what_is_there(f: Fixture) {
    put(&f.store, &[connection("wh", "one")], false).await;
    let both = [connection("wh", "two"), connection("new", "x")];
    assert_eq!(put(&f.store, &both, false).await, Imported { created: 1, replaced: 0, kept: 1 });
    assert_eq!(f.store.connection("wh").await.unwrap().unwrap().password.as_deref(), Some("one"));
    assert_eq!(put(&f.store, &both, true).await, Imported { created: 0, replaced: 2, kept: 0 });
    assert_eq!(f.store.connection("wh").await.unwrap().unwrap().password.as_deref(), Some("two"));
}

async fn a_deleted_connection_is_gone(f: Fixture) {
    put(&f.store, &[connection("wh", "one")], false).await;
    assert!(f.store.delete_connection("wh").await.unwrap());
    assert!(!f.store.delete_connection("wh").await.unwrap());
    assert!(f.store.connections().await.unwrap().is_empty());
}

async fn a_variable_is_read_back_and_replaced(f: Fixture) {
    let first = [variable("a", "1"), variable("b", "")];
    let created = f.store.put_variables(&first, false, at(1)).await.unwrap();
    assert_eq!(created, Imported { created: 2, replaced: 0, kept: 0 });
    let without_description = Variable { description: None, ..variable("a", "2") };
    let kept = f.store.put_variables(std::slice::from_ref(&without_description), false, at(2)).await.unwrap();
    assert_eq!((kept.kept, f.store.variable("a").await.unwrap().as_deref()), (1, Some("1")));
    f.store.put_variables(&[without_description], true, at(2)).await.unwrap();
    assert!(f.store.variables().await.unwrap() == [variable("a", "2"), variable("b", "")]);
    assert!(f.store.delete_variable("b").await.unwrap() && !f.store.delete_variable("b").await.unwrap());
    assert_eq!(f.store.variable("b").await.unwrap(), None);
}

async fn with_keys(f: &Fixture, keys: &str) -> Store {
    Store::open(f.database.url(), EncryptionKey::from_base64(keys).unwrap()).await.unwrap()
}

async fn a_key_that_is_not_configured_is_named_without_the_secret(f: Fixture) {
    put(&f.store, &[connection("wh", "s3cret")], false).await;
    let other = with_keys(&f, OTHER_KEY).await;
    let error = other.connection("wh").await.unwrap_err();
    assert!(matches!(error, StoreError::BadKey { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("connection 'wh'") && !text.contains("s3cret") && !text.contains(KEY), "{text}");
}

async fn rotation_seals_with_the_new_key(f: Fixture) {
    put(&f.store, &[connection("wh", "s3cret")], false).await;
    f.store.put_variables(&[variable("v", "value")], false, at(1)).await.unwrap();
    let both = with_keys(&f, &format!("{OTHER_KEY}, {KEY}")).await;
    assert_eq!(both.rotate_secrets(at(2)).await.unwrap(), 2);
    assert_eq!(both.rotate_secrets(at(3)).await.unwrap(), 0);
    let new_only = with_keys(&f, OTHER_KEY).await;
    assert!(new_only.connection("wh").await.unwrap() == Some(connection("wh", "s3cret")));
    assert_eq!(new_only.variable("v").await.unwrap().as_deref(), Some("value"));
}

async fn a_secret_moved_to_another_row_does_not_open(f: Fixture) {
    use sqlx::Connection as _;
    f.store.put_variables(&[variable("a", "of a"), variable("b", "of b")], false, at(1)).await.unwrap();
    let mut database = sqlx::AnyConnection::connect(f.database.url()).await.unwrap();
    let moved = "UPDATE variable SET value = (SELECT value FROM variable WHERE name = 'a') WHERE name = 'b'";
    sqlx::query(moved).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    assert!(matches!(f.store.variable("b").await.unwrap_err(), StoreError::Corrupt { .. }));
    assert_eq!(f.store.variable("a").await.unwrap().as_deref(), Some("of a"));
}

async fn the_default_pool_is_there_and_stays(f: Fixture) {
    let pools = f.store.pools().await.unwrap();
    assert_eq!(pools.len(), 1);
    assert_eq!((pools[0].name.as_str(), pools[0].slots, pools[0].include_deferred), ("default_pool", 128, false));
    assert!(!f.store.delete_pool("default_pool").await.unwrap());
    assert_eq!(f.store.pools().await.unwrap().len(), 1);
}

async fn a_pool_is_made_changed_and_removed(f: Fixture) {
    let pool = |slots| PoolRow { name: "redshift".into(), slots, description: None, include_deferred: true };
    assert!(f.store.put_pool(&pool(4)).await.unwrap());
    assert!(!f.store.put_pool(&pool(-1)).await.unwrap());
    assert_eq!(f.store.pools().await.unwrap()[1], pool(-1));
    assert!(f.store.delete_pool("redshift").await.unwrap());
    assert!(!f.store.delete_pool("redshift").await.unwrap());
}
