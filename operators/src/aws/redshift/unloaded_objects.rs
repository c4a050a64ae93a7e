//! Which objects an `UNLOAD` has written.

use serde_json::Value;

use crate::aws::error::AwsError;
use crate::aws::session::AwsSession;

/// The name that Redshift appends to the prefix for the list of objects.
const MANIFEST: &str = "manifest";

/// URLs of the objects: from the manifest if one was asked for, else all that begin with the prefix.
pub(super) async fn unloaded_objects(
    session: &AwsSession,
    bucket: &str,
    prefix: &str,
    manifest: bool,
) -> Result<Vec<String>, AwsError> {
    if manifest {
        listed_in_manifest(session, bucket, prefix).await
    } else {
        with_prefix(session, bucket, prefix).await
    }
}

async fn listed_in_manifest(session: &AwsSession, bucket: &str, prefix: &str) -> Result<Vec<String>, AwsError> {
    let call = session.s3().get_object().bucket(bucket).key(format!("{prefix}{MANIFEST}"));
    let answer = call.send().await.map_err(|e| session.error("s3", "GetObject", &e))?;
    let body = answer.body.collect().await.map(|body| body.into_bytes()).unwrap_or_default();
    let list: Value = serde_json::from_slice(&body).unwrap_or_default();
    let entries = list["entries"].as_array().into_iter().flatten();
    Ok(entries.filter_map(|entry| entry["url"].as_str()).map(str::to_owned).collect())
}

async fn with_prefix(session: &AwsSession, bucket: &str, prefix: &str) -> Result<Vec<String>, AwsError> {
    let call = session.s3().list_objects_v2().bucket(bucket).prefix(prefix);
    let mut pages = call.into_paginator().send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|e| session.error("s3", "ListObjectsV2", &e))?;
        let keys = page.contents().iter().filter_map(|object| object.key());
        found.extend(keys.map(|key| format!("s3://{bucket}/{key}")));
    }
    Ok(found)
}
