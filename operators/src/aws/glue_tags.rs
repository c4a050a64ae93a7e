//! Tags of crawlers and jobs, made what the task wants them to be.

use aws_sdk_glue::Client;
use serde_json::{Map, Value};

use super::partition::partition;
use super::session::AwsSession;
use crate::context::TaskContext;
use crate::error::TaskError;

/// Changes, adds and removes tags of `resource` (`crawler/products`) until they are those of `wanted`.
///
/// # Errors
/// A call failed, or a tag is not a text.
pub(super) async fn sync_tags(
    ctx: &TaskContext,
    session: &AwsSession,
    glue: &Client,
    resource: &str,
    wanted: &Map<String, Value>,
) -> Result<(), TaskError> {
    let caller = session.sts().get_caller_identity().send().await;
    let caller = caller.map_err(|e| session.error("sts", "GetCallerIdentity", &e))?;
    let region = session.region_or_default();
    let arn = format!("arn:{}:glue:{region}:{}:{resource}", partition(region), caller.account().unwrap_or_default());
    let answer = glue.get_tags().resource_arn(&arn).send().await;
    let current = answer.map_err(|e| session.error("glue", "GetTags", &e))?.tags.unwrap_or_default();

    let mut changed = std::collections::HashMap::new();
    for (key, value) in wanted {
        let Some(value) = value.as_str() else {
            return Err(TaskError::failed(format!("The tag '{key}' of {resource} is not a text.")));
        };
        if current.get(key).map(String::as_str) != Some(value) {
            changed.insert(key.clone(), value.to_owned());
        }
    }
    let gone: Vec<String> = current.into_keys().filter(|key| !wanted.contains_key(key)).collect();
    if !changed.is_empty() {
        ctx.info(format!("Updating tags of {resource}"));
        let call = glue.tag_resource().resource_arn(&arn).set_tags_to_add(Some(changed));
        call.send().await.map_err(|e| session.error("glue", "TagResource", &e))?;
    }
    if !gone.is_empty() {
        ctx.info(format!("Deleting tags of {resource}: {}", gone.join(", ")));
        let call = glue.untag_resource().resource_arn(&arn).set_tags_to_remove(Some(gone));
        call.send().await.map_err(|e| session.error("glue", "UntagResource", &e))?;
    }
    Ok(())
}
