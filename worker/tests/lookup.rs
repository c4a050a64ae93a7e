//! Where connections and variables come from.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

#[allow(dead_code, reason = "shared with other tests")]
mod desk;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use desk::Office;
use serde_json::json;
use windrose_core::connection::Connection;
use windrose_operators::secrets::SecretsBackend;
use windrose_worker::lookup::SecretLookup;
use windrose_worker::port::WorkerPort;

/// A backend that knows `known`, cannot be asked for `broken`, and counts how often it is asked.
#[derive(Default)]
struct Vault {
    asked: AtomicU32,
}

#[async_trait]
impl SecretsBackend for Vault {
    fn name(&self) -> &str {
        "vault"
    }

    async fn connection(&self, conn_id: &str) -> Result<Option<Connection>, String> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        match conn_id {
            "known" => Ok(Some(named("from the vault"))),
            "broken" => Err("AccessDenied".to_owned()),
            _ => Ok(None),
        }
    }

    async fn variable(&self, key: &str) -> Result<Option<String>, String> {
        Ok((key == "known").then(|| "from the vault".to_owned()))
    }
}

fn named(host: &str) -> Connection {
    Connection { host: Some(host.to_owned()), ..Connection::default() }
}

fn lookup(office: &Office, vault: &Arc<Vault>) -> SecretLookup {
    let environment = |name: &str| {
        let connection = |host: &str| json!({ "conn_type": "http", "host": host }).to_string();
        match name {
            "AIRFLOW_CONN_KNOWN" | "AIRFLOW_CONN_BROKEN" => Some(connection("from the environment")),
            "WINDROSE_CONN_BOTH" => Some(connection("our own prefix")),
            "AIRFLOW_CONN_BOTH" => Some(connection("Airflow's prefix")),
            "AIRFLOW_CONN_STORED" => None,
            "AIRFLOW_VAR_PLAIN" => Some("a value".to_owned()),
            _ => None,
        }
    };
    office.desk.connections.lock().unwrap().insert("stored".to_owned(), named("from the database"));
    office.desk.connections.lock().unwrap().insert("both".to_owned(), named("from the database"));
    let port = Arc::clone(&office.desk) as Arc<dyn WorkerPort>;
    let backends = vec![Arc::clone(vault) as Arc<dyn SecretsBackend>];
    SecretLookup::new(backends, Arc::new(environment), port, Duration::from_secs(60))
}

#[tokio::test]
async fn backends_come_before_the_environment_and_that_before_the_database() {
    let office = Office::open();
    let lookup = lookup(&office, &Arc::default());
    for (conn_id, source) in [
        ("known", "from the vault"),
        ("broken", "from the environment"),
        ("both", "our own prefix"),
        ("stored", "from the database"),
    ] {
        assert_eq!(lookup.connection(conn_id).await.unwrap().host.as_deref(), Some(source), "{conn_id}");
    }
    assert_eq!(lookup.variable("known").await.unwrap(), "from the vault");
    assert_eq!(lookup.variable("plain").await.unwrap(), "a value");
}

#[tokio::test]
async fn a_missing_connection_names_every_source_and_its_answer() {
    let office = Office::open();
    let missing = lookup(&office, &Arc::default()).connection("nowhere").await.unwrap_err();
    let sources: Vec<_> = missing.asked.iter().map(|(source, answer)| format!("{source}: {answer}")).collect();
    let expected = [
        "vault: not there",
        "environment variable WINDROSE_CONN_NOWHERE: not there",
        "environment variable AIRFLOW_CONN_NOWHERE: not there",
        "metadata database: not there",
    ];
    assert_eq!(sources, expected);
    assert!(missing.connection_cause("nowhere").sentence().contains("The conn_id `nowhere` isn't defined"));
}

#[tokio::test]
async fn many_tasks_at_once_ask_a_backend_once() {
    let office = Office::open();
    let vault = Arc::new(Vault::default());
    let lookup = lookup(&office, &vault);
    let asking: Vec<_> = (0..50).map(|_| lookup.connection("known")).collect();
    assert!(futures::future::join_all(asking).await.iter().all(Result::is_ok));
    assert_eq!(vault.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_was_not_found_is_asked_for_again() {
    let office = Office::open();
    let vault = Arc::new(Vault::default());
    let lookup = lookup(&office, &vault);
    assert!(lookup.connection("later").await.is_err());
    office.desk.connections.lock().unwrap().insert("later".to_owned(), named("added"));
    assert_eq!(lookup.connection("later").await.unwrap().host.as_deref(), Some("added"));
}
