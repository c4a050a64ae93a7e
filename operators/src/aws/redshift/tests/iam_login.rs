//! Redshift connections with `iam = true`, against the lab.

use serde_json::{Value, json};
use windrose_core::connection::Connection;

use super::lab::{LAB, WORKGROUP, run};

async fn current_user(extra: Value) -> Result<Value, String> {
    let known = LAB.redshift("by_iam");
    let connection = Connection { password: None, extra: Some(extra.to_string()), ..known };
    let query = json!({"sql": "SELECT current_user", "conn_id": "by_iam"});
    let (rows, services) = run(LAB.task().connection(connection), "sql_execute_query", query).await;
    if rows.is_ok() {
        assert!(services.secrets().len() >= 2, "the temporary password is masked");
    }
    rows.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_workgroup_gives_a_login() {
    let extra = json!({"ssl": false, "iam": true, "is_serverless": true, "serverless_work_group": WORKGROUP});
    assert_eq!(current_user(extra).await.unwrap(), json!([["IAM:RootIdentity"]]));
    let incomplete = current_user(json!({"iam": true, "is_serverless": true})).await.unwrap_err();
    assert!(incomplete.contains("Please set serverless_work_group"), "{incomplete}");
}

#[tokio::test]
async fn a_cluster_gives_a_login_for_the_connections_user() {
    let extra = json!({"ssl": false, "iam": true, "cluster_identifier": "sample-cluster"});
    assert_eq!(current_user(extra).await.unwrap(), json!([["IAM:demo"]]));
    // The cluster is the first label of the host, which is an address here.
    let refused = current_user(json!({"ssl": false, "iam": true})).await.unwrap_err();
    assert!(refused.contains("GetClusterCredentials") && refused.contains("ClusterNotFound"), "{refused}");
}
