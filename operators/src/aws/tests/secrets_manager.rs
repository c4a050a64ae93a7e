//! The Secrets Manager backend, against Airflow's own answers and call by call.

use serde_json::{Map, Value, json};
use windrose_core::connection::Connection;

use super::endpoint::Endpoint;
use super::vector_file::rows;
use crate::secrets::{SecretsBackend, backend_from_config};

fn backend(endpoint: &Endpoint, options: &Value) -> Box<dyn SecretsBackend> {
    let mut all: Map<String, Value> = options.as_object().unwrap().clone();
    all.insert("endpoint_url".to_owned(), json!(endpoint.url));
    all.insert("region_name".to_owned(), json!("us-east-1"));
    all.insert("aws_access_key_id".to_owned(), json!("AKIASECRETS"));
    all.insert("aws_secret_access_key".to_owned(), json!("s"));
    backend_from_config("airflow.providers.amazon.aws.secrets.secrets_manager.SecretsManagerBackend", all).unwrap()
}

fn hold(endpoint: &Endpoint, row: &Value) {
    match row["secret"].as_str() {
        Some(text) => endpoint.answer("GetSecretValue", json!({"Name": row["secret_name"], "SecretString": text})),
        None => endpoint.refuse("GetSecretValue", "ResourceNotFoundException", "no such secret"),
    };
}

fn shown(connection: &Connection) -> Value {
    json!({
        "conn_type": connection.conn_type, "host": connection.host, "login": connection.login,
        "password": connection.password, "schema": connection.schema, "port": connection.port,
        "extra": connection.extra, "description": connection.description,
    })
}

/// What a row expects, and what was found, in the same form; an error is its text.
async fn look_up(endpoint: &Endpoint, row: &Value) -> Result<(Value, Value), String> {
    let backend = backend(endpoint, &row["backend_kwargs"]);
    if row["kind"] == "secret_variable" {
        let key = row["key"].as_str().unwrap();
        return Ok((row["expect_value"].clone(), json!(backend.variable(key).await?)));
    }
    let found = backend.connection(row["conn_id"].as_str().unwrap()).await?;
    let found = found.as_ref().map_or(Value::Null, shown);
    let keys = found.as_object().cloned().unwrap_or_default();
    let expected = match &row["expect"] {
        Value::Object(all) => {
            all.iter().filter(|(key, _)| keys.contains_key(*key)).map(|(k, v)| (k.clone(), v.clone())).collect()
        }
        other => other.clone(),
    };
    Ok((expected, found))
}

#[tokio::test]
async fn secrets_become_the_connections_and_variables_that_airflow_makes_of_them() {
    let rows: Vec<_> = rows("connections.jsonl")
        .into_iter()
        .filter(|row| matches!(row["kind"].as_str(), Some("secret" | "secret_variable")))
        .collect();
    let mut wrong = Vec::new();
    for row in &rows {
        let endpoint = Endpoint::scripted().await;
        hold(&endpoint, row);
        let found = look_up(&endpoint, row).await;
        let asked: Vec<_> = endpoint.calls().iter().map(|call| call.body["SecretId"].clone()).collect();
        let right = match &found {
            // A text that is no URI is an error here: Airflow makes a connection without a type of it.
            Err(_) => row.get("error").is_some() || row["expect"]["conn_type"] == "",
            // A key that is not the secret's: the endpoint knows but one.
            Ok(_) if asked.iter().any(|name| *name != row["secret_name"]) => row["expect_value"].is_null(),
            Ok((expected, found)) => expected == found,
        };
        if !right {
            wrong.push(format!("{}: {found:?}", row["id"]));
        }
    }
    println!("connections (secrets): {}/{}", rows.len() - wrong.len(), rows.len());
    assert!(!rows.is_empty() && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_pattern_that_does_not_match_and_a_prefix_that_is_null_make_no_call() {
    let endpoint = Endpoint::scripted().await;
    let options = json!({"connections_lookup_pattern": "^redshift", "variables_prefix": null});
    let backend = backend(&endpoint, &options);
    assert!(backend.connection("aws_default").await.unwrap().is_none());
    assert!(backend.variable("username").await.unwrap().is_none());
    assert!(endpoint.calls().is_empty());
    endpoint.answer("GetSecretValue", json!({"SecretString": "redshift://h"}));
    assert_eq!(backend.connection("Redshift_demo").await.unwrap().unwrap().conn_type, "redshift");
}

#[tokio::test]
async fn a_refusal_is_told_and_an_absent_or_binary_secret_is_not_there() {
    let endpoint = Endpoint::scripted().await;
    let backend = backend(&endpoint, &json!({}));
    for code in ["ResourceNotFoundException", "InvalidRequestException", "DecryptionFailure"] {
        endpoint.refuse("GetSecretValue", code, "no");
        assert!(backend.variable("a").await.unwrap().is_none(), "{code}");
    }
    endpoint.answer("GetSecretValue", json!({"SecretBinary": "AAAA"}));
    assert!(backend.variable("a").await.unwrap().is_none());
    endpoint.refuse(
        "GetSecretValue",
        "AccessDeniedException",
        "not authorized to perform: secretsmanager:GetSecretValue",
    );
    let error = backend.variable("a").await.unwrap_err();
    assert!(error.contains("AccessDeniedException") && error.contains("access key AKIASECRETS"), "{error}");
}

#[tokio::test]
async fn a_text_that_is_no_connection_is_an_error_with_the_secrets_name_but_not_its_text() {
    let endpoint = Endpoint::scripted().await;
    let backend = backend(&endpoint, &json!({}));
    for text in ["hunter2 is no uri", "{\"password\": \"hunter2\""] {
        endpoint.answer("GetSecretValue", json!({"SecretString": text}));
        let error = backend.connection("db").await.unwrap_err();
        assert!(error.contains("airflow/connections/db") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn unknown_backends_and_wrong_options_are_refused() {
    let refused = |kind: &str, options: Value| {
        backend_from_config(kind, options.as_object().unwrap().clone()).err().expect("it is refused")
    };
    assert!(refused("vault", json!({})).contains("'vault'"));
    assert!(refused("aws_secrets_manager", json!({"sep": 3})).contains("'sep'"));
    assert!(refused("aws_secrets_manager", json!({"connections_lookup_pattern": "("})).contains("'('"));
    assert!(refused("aws_secrets_manager", json!({"role_arn": "r", "assume_role_method": "x"})).contains("'x'"));
    let parameter_store = "airflow.providers.amazon.aws.secrets.systems_manager.SystemsManagerParameterStoreBackend";
    assert!(refused(parameter_store, json!({})).contains("not supported yet"));
    let former = json!({"full_url_mode": true, "are_secret_values_urlencoded": false});
    assert!(backend_from_config("aws_secrets_manager", former.as_object().unwrap().clone()).is_ok());
}
