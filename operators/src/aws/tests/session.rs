//! Sessions: whose credentials a call carries, and where it goes.

use std::sync::Arc;

use serde_json::json;
use windrose_core::connection::Connection;

use super::endpoint::Endpoint;
use crate::aws::parameters::AwsParameters;
use crate::aws::session::{AwsSession, session_for};
use crate::error::TaskError;
use crate::testing::{TestServices, TestTask};

async fn open(connection: Connection) -> Result<(Arc<AwsSession>, Arc<TestServices>), TaskError> {
    let parameters = AwsParameters { aws_conn_id: Some(connection.conn_id.clone()), ..AwsParameters::default() };
    let (ctx, services) = TestTask::new("task").connection(connection).build();
    Ok((session_for(&ctx, &parameters).await?, services))
}

async fn signed_by(endpoint: &Endpoint, connection: Connection) -> String {
    endpoint.answer("GetJobs", json!({}));
    let (session, _) = open(connection).await.unwrap();
    session.glue().get_jobs().send().await.unwrap();
    let last = endpoint.calls().last().unwrap().clone();
    assert_eq!(last.region, "us-east-1");
    last.access_key
}

#[tokio::test]
async fn login_and_password_go_before_the_extra_and_the_extra_before_session_kwargs() {
    let endpoint = Endpoint::scripted().await;
    let extra = json!({
        "aws_access_key_id": "EXTRA", "aws_secret_access_key": "s2",
        "session_kwargs": {"aws_access_key_id": "KWARGS", "aws_secret_access_key": "s3"},
    });
    let all = endpoint.connection("one", extra);
    assert_eq!(signed_by(&endpoint, all.clone()).await, "AKIATESTTESTTEST");
    let no_login = Connection { login: None, conn_id: "two".to_owned(), ..all };
    assert_eq!(signed_by(&endpoint, no_login).await, "EXTRA");
    let extra = json!({"session_kwargs": {"aws_access_key_id": "KWARGS", "aws_secret_access_key": "s3"}});
    let last = Connection { login: None, ..endpoint.connection("three", extra) };
    assert_eq!(signed_by(&endpoint, last).await, "KWARGS");
}

#[tokio::test]
async fn secrets_are_registered_and_the_source_of_the_credentials_is_logged() {
    let endpoint = Endpoint::scripted().await;
    let (_, services) = open(endpoint.connection("one", json!({"aws_session_token": "the-token"}))).await.unwrap();
    assert_eq!(services.secrets(), ["the-secret-access-key", "the-token"]);
    let log = services.log_text();
    assert!(
        log.contains("AWS Connection (conn_id='one', conn_type='aws') credentials retrieved from login and password."),
        "{log}"
    );
    assert!(!log.contains("the-secret-access-key") && !log.contains("the-token"), "{log}");
}

const ASSUMED: &str = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId>\
     <SecretAccessKey>k</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
     </Credentials></AssumeRoleResult></AssumeRoleResponse>";

#[tokio::test]
async fn a_role_is_taken_on_once_per_connection_and_region_with_airflows_session_name() {
    let endpoint = Endpoint::scripted().await;
    endpoint.script("AssumeRole", 200, ASSUMED.to_owned());
    let extra = json!({
        "role_arn": "arn:aws:iam::111122223333:role/RoleA",
        "assume_role_kwargs": {"ExternalId": "outside", "DurationSeconds": 900},
    });
    let connection = endpoint.connection("Aws X/acct", extra);
    assert_eq!(signed_by(&endpoint, connection.clone()).await, "ASIAROLE");
    assert_eq!(signed_by(&endpoint, connection).await, "ASIAROLE");
    let calls = endpoint.calls();
    let operations: Vec<_> = calls.iter().map(|call| call.operation.as_str()).collect();
    assert_eq!(operations, ["AssumeRole", "GetJobs", "GetJobs"]);
    let request = calls[0].body.as_str().unwrap();
    assert!(request.contains("RoleSessionName=airflow_aws-x-acct"), "{request}");
    assert!(request.contains("ExternalId=outside") && request.contains("DurationSeconds=900"), "{request}");
    assert_eq!(calls[0].access_key, "AKIATESTTESTTEST");
}

#[tokio::test]
async fn a_role_that_is_refused_is_reported_as_the_call_that_was_refused() {
    let endpoint = Endpoint::scripted().await;
    let refusal = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not authorized</Message>\
                   </Error><RequestId>r-9</RequestId></ErrorResponse>";
    endpoint.script("AssumeRole", 403, refusal.to_owned());
    let extra = json!({"role_arn": "arn:aws:iam::111122223333:role/RoleA"});
    let (session, _) = open(endpoint.connection("xacct", extra)).await.unwrap();
    let error = session.glue().get_jobs().send().await.unwrap_err();
    let text = session.error("glue", "GetJobs", &error).to_string();
    assert!(text.starts_with("AWS sts AssumeRole failed with AccessDenied: not authorized"), "{text}");
    assert!(text.contains("as access key AKIATESTTESTTEST (connection 'xacct')"), "{text}");
}

#[tokio::test]
async fn the_endpoint_of_the_connection_is_not_used_to_take_on_a_role() {
    let endpoint = Endpoint::scripted().await;
    let extra =
        json!({"role_arn": "arn:aws:iam::1:role/R", "service_config": {"sts": {"endpoint_url": "http://127.0.0.1:1"}}});
    let (session, _) = open(endpoint.connection("xacct", extra)).await.unwrap();
    let error = session.glue().get_jobs().send().await.unwrap_err();
    assert!(session.error("glue", "GetJobs", &error).to_string().contains("AWS sts AssumeRole failed"));
    assert!(endpoint.calls().is_empty());
}

#[tokio::test]
async fn a_service_has_its_own_endpoint_before_the_connections() {
    let (everything, own) = (Endpoint::scripted().await, Endpoint::scripted().await);
    own.answer("GetJobs", json!({}));
    let extra = json!({"service_config": {"glue": {"endpoint_url": own.url}}});
    let (session, _) = open(everything.connection("one", extra)).await.unwrap();
    session.glue().get_jobs().send().await.unwrap();
    assert_eq!(own.take_operations(), ["GetJobs"]);
    assert!(everything.calls().is_empty());
}

#[tokio::test]
async fn a_connection_that_was_named_must_exist_but_aws_default_need_not() {
    let (ctx, services) = TestTask::new("task").build();
    let named = AwsParameters { aws_conn_id: Some("aws_typo".to_owned()), ..AwsParameters::default() };
    let error = session_for(&ctx, &named).await.err().unwrap().to_string();
    assert!(error.contains("The conn_id `aws_typo` isn't defined") && error.contains("Asked: "), "{error}");
    let default = AwsParameters { aws_conn_id: Some("aws_default".to_owned()), ..AwsParameters::default() };
    session_for(&ctx, &default).await.unwrap();
    let log = services.log_text();
    assert!(log.contains("Unable to find AWS Connection ID 'aws_default', switching to empty."), "{log}");
    assert!(log.contains("No connection ID provided. Fallback on boto3 credential strategy"), "{log}");
}

#[tokio::test]
async fn settings_that_are_unknown_or_not_supported_are_refused_with_their_name() {
    let endpoint = Endpoint::scripted().await;
    for (extra, expected) in [
        (json!({"config_kwargs": {"signature_version": "unsigned"}}), "'signature_version'"),
        (
            json!({"role_arn": "r", "assume_role_method": "assume_role_with_saml"}),
            "assume_role_with_saml is not supported yet",
        ),
        (json!({"role_arn": "r", "assume_role_method": "magic"}), "no assume_role_method 'magic'"),
        (json!({"role_arn": "r", "assume_role_kwargs": {"external_id": "x"}}), "'external_id'"),
        (json!({"verify": "/no/such/file.pem"}), "/no/such/file.pem"),
        (json!({"config_kwargs": {"retries": {"mode": "often"}}}), "retries.mode is 'often'"),
    ] {
        let error = open(endpoint.connection("one", extra)).await.err().unwrap().to_string();
        assert!(error.contains(expected) && error.contains("'one'"), "{error}");
    }
}

#[tokio::test]
async fn throttling_is_tried_three_times_unless_the_connection_says_otherwise() {
    let endpoint = Endpoint::scripted().await;
    for _ in 0..4 {
        endpoint.refuse("GetJobs", "ThrottlingException", "slow down");
    }
    let (session, _) = open(endpoint.connection("one", json!({}))).await.unwrap();
    let error = session.glue().get_jobs().send().await.unwrap_err();
    let error = session.error("glue", "GetJobs", &error);
    assert!(error.throttled());
    assert_eq!(error.request_id.as_deref(), Some("request-1"));
    assert_eq!(endpoint.take_operations().len(), 3);
    let once = json!({"config_kwargs": {"retries": {"max_attempts": 0}}});
    let (session, _) = open(endpoint.connection("two", once)).await.unwrap();
    session.glue().get_jobs().send().await.unwrap_err();
    assert_eq!(endpoint.take_operations().len(), 1);
}
