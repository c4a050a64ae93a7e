//! TLS of SQL connections, on a real PostgreSQL with a certificate of its own.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use windrose_core::connection::Connection;
use windrose_operators::error::TaskError;
use windrose_operators::registry;
use windrose_operators::testing::TestTask;
use windrose_testkit::PostgresServer;

/// An authority that signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        Self::named("Our authority")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for this name, and its key.
    fn certificate(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// A server that speaks TLS with a certificate for this name.
async fn server(authority: &Authority, name: &str) -> Arc<PostgresServer> {
    let server = PostgresServer::private(false).await.unwrap();
    let (certificate, key) = authority.certificate(name);
    server.switch_tls_on(&certificate, &key).unwrap();
    server
}

/// Whether a session of this connection is encrypted, or why there is none.
async fn encrypted(server: &PostgresServer, conn_type: &str, login: &str, extra: Value) -> Result<Value, String> {
    let url = url::Url::parse(&server.url("postgres")).unwrap();
    let connection = Connection {
        conn_id: "db".to_owned(),
        conn_type: conn_type.to_owned(),
        host: url.host_str().map(str::to_owned),
        port: url.port(),
        login: Some(login.to_owned()),
        schema: Some("postgres".to_owned()),
        extra: Some(extra.to_string()),
        ..Connection::default()
    };
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    let Value::Object(parameters) = json!({ "sql": sql, "conn_id": "db" }) else { panic!("an object") };
    let runnable = registry::find("sql_execute_query").unwrap().build(parameters).unwrap();
    let (ctx, services) = TestTask::new("query").connection(connection).build();
    let result = runnable.execute(&ctx).await;
    assert!(services.sleeps().is_empty(), "TLS does not come by waiting");
    match result {
        Ok(done) => Ok(done.value.unwrap_or_default()[0][0].clone()),
        Err(error @ TaskError::Failed { .. }) => Err(error.to_string()),
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_sslmode_asks_as_much_of_the_server_as_it_says() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    let server = server(&authority, "127.0.0.1").await;
    let with = async |extra: Value| encrypted(&server, "postgres", "windrose", extra).await;

    assert_eq!(with(json!({ "sslmode": "disable" })).await, Ok(json!(false)));
    for mode in ["allow", "prefer", "require"] {
        assert_eq!(with(json!({ "sslmode": mode })).await, Ok(json!(true)), "{mode}");
    }
    assert_eq!(with(json!({})).await, Ok(json!(true)), "prefer is PostgreSQL's default");
    for mode in ["require", "verify-ca", "verify-full"] {
        assert_eq!(with(json!({ "sslmode": mode, "sslrootcert": file })).await, Ok(json!(true)), "{mode}");
    }
    assert_eq!(with(json!({ "sslmode": "verify-full", "sslrootcert": authority.pem })).await, Ok(json!(true)));
}

#[tokio::test]
async fn redshift_checks_the_certificate_unless_told_otherwise() {
    let authority = Authority::new();
    let server = server(&authority, "127.0.0.1").await;
    let with = async |extra: Value| encrypted(&server, "redshift", "windrose", extra).await;
    let refused = with(json!({})).await.unwrap_err();
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    assert_eq!(with(json!({ "sslrootcert": authority.pem })).await, Ok(json!(true)));
    assert_eq!(with(json!({ "ssl": false })).await, Ok(json!(false)));
}

#[tokio::test]
async fn a_wrong_authority_or_name_is_refused_with_advice() {
    let authority = Authority::new();
    let server = server(&authority, "db.example").await;
    let with = async |mode: &str, trusted: &Authority| {
        encrypted(&server, "postgres", "windrose", json!({ "sslmode": mode, "sslrootcert": trusted.pem })).await
    };
    for mode in ["require", "verify-ca", "verify-full"] {
        let refused = with(mode, &Authority::named("Another one")).await.unwrap_err();
        assert!(refused.contains("UnknownIssuer") && refused.contains("sslrootcert"), "{mode}: {refused}");
        let refused = with(mode, &Authority::new()).await.unwrap_err();
        assert!(refused.contains("BadSignature") && refused.contains("sslrootcert"), "{mode}: {refused}");
    }
    assert_eq!(with("verify-ca", &authority).await, Ok(json!(true)), "verify-ca does not look at names");
    let refused = with("verify-full", &authority).await.unwrap_err();
    assert!(refused.contains("for another name") && refused.contains("verify-ca"), "{refused}");
}

#[tokio::test]
async fn who_wants_tls_and_who_has_none_are_told_apart() {
    let plain = PostgresServer::private(false).await.unwrap();
    let refused = encrypted(&plain, "postgres", "windrose", json!({ "sslmode": "require" })).await.unwrap_err();
    assert!(refused.contains("does not support TLS") && refused.contains("Switch TLS on in the server"), "{refused}");
    assert_eq!(encrypted(&plain, "postgres", "windrose", json!({ "sslmode": "prefer" })).await, Ok(json!(false)));

    let server = server(&Authority::new(), "127.0.0.1").await;
    server.administrate("CREATE ROLE sealed LOGIN").await.unwrap();
    let refused = encrypted(&server, "postgres", "sealed", json!({ "sslmode": "disable" })).await.unwrap_err();
    assert!(refused.contains("The server wants TLS: set sslmode = \"require\""), "{refused}");
    assert_eq!(encrypted(&server, "postgres", "sealed", json!({ "sslmode": "allow" })).await, Ok(json!(true)));
}
