//! `webhook`: a POST of JSON to any address.

use async_trait::async_trait;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use windrose_core::catalog::OperatorKind;

use super::http::post_json;
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Operator, Parameters, Runnable};

/// Parameters of `webhook`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Webhook {
    /// Where to post.
    #[schemars(extend("x-template" = true))]
    url: String,
    /// What to post, as JSON; everything the template name `notification` holds, if it is left out.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    json: Value,
    /// Headers of the request.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    headers: IndexMap<String, String>,
}

impl Parameters for Webhook {
    const NAME: &'static str = "webhook";
    const AIRFLOW: &'static str = "airflow.providers.http.notifications.HttpNotifier";
    const SUMMARY: &'static str = "Posts JSON to an address.";
    const KIND: OperatorKind = OperatorKind::Work;

    fn build(self) -> Result<Runnable, String> {
        Ok(Runnable::Work(Box::new(self)))
    }
}

#[async_trait]
impl Operator for Webhook {
    async fn execute(&self, _ctx: &TaskContext) -> Result<Done, TaskError> {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        post_json(&self.url, &headers, &self.json).await?;
        Ok(Done::default())
    }
}
