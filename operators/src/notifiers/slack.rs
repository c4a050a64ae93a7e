//! `slack`: a message by an incoming webhook, or by the API with a token.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use windrose_core::catalog::OperatorKind;
use windrose_core::connection::Connection;

use super::http::post_json;
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Operator, Parameters, Runnable};

const API: &str = "https://slack.com/api";
const WEBHOOKS: &str = "https://hooks.slack.com/services";

/// Parameters of `slack`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Slack {
    /// The connection whose password is an incoming webhook: its whole address, or the part after
    /// `https://hooks.slack.com/services/`.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    slack_webhook_conn_id: Option<String>,
    /// The connection whose password is an API token; `base_url` of its extra goes before `https://slack.com/api`.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    slack_conn_id: Option<String>,
    /// The message.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    text: String,
    /// Where to; needed with `slack_conn_id`.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    channel: Option<String>,
    /// Under which name.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    username: Option<String>,
    /// Slack's blocks, in place of the plain text.
    #[serde(default)]
    #[schemars(extend("x-template" = true))]
    blocks: Option<Vec<Value>>,
}

impl Parameters for Slack {
    const NAME: &'static str = "slack";
    const AIRFLOW: &'static str = "airflow.providers.slack.notifications.slack.SlackNotifier";
    const SUMMARY: &'static str = "Writes a message to Slack.";
    const KIND: OperatorKind = OperatorKind::Work;

    fn build(self) -> Result<Runnable, String> {
        match (&self.slack_webhook_conn_id, &self.slack_conn_id) {
            (Some(_), None) => {}
            (None, Some(_)) if self.channel.is_some() => {}
            (None, Some(_)) => return Err("'channel' is missing: the API needs to know where to.".to_owned()),
            _ => return Err("either 'slack_webhook_conn_id' or 'slack_conn_id' is needed.".to_owned()),
        }
        Ok(Runnable::Work(Box::new(self)))
    }
}

impl Slack {
    fn message(&self) -> Value {
        let fields = [
            ("text", Some(json!(self.text))),
            ("channel", self.channel.as_ref().map(|channel| json!(channel))),
            ("username", self.username.as_ref().map(|name| json!(name))),
            ("blocks", self.blocks.as_ref().map(|blocks| json!(blocks))),
        ];
        let given = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(given.collect::<Map<_, _>>())
    }
}

/// The password, which is what such a connection is for.
fn token(connection: &Connection) -> Result<&str, TaskError> {
    connection.password.as_deref().filter(|token| !token.is_empty()).ok_or_else(|| {
        TaskError::failed(format!(
            "The connection '{}' has no password; put the webhook or the token there.",
            connection.conn_id
        ))
    })
}

/// Airflow's rules: the whole address, or a host of one's own, or Slack's.
fn webhook_url(connection: &Connection) -> Result<String, TaskError> {
    let token = token(connection)?;
    if token.starts_with("http://") || token.starts_with("https://") {
        return Ok(token.to_owned());
    }
    let base = match connection.host.as_deref().filter(|host| !host.is_empty()) {
        None => WEBHOOKS.to_owned(),
        Some(host) if host.contains("://") => host.to_owned(),
        Some(host) => {
            let port = connection.port.map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}://{host}{port}", connection.schema.as_deref().filter(|s| !s.is_empty()).unwrap_or("https"))
        }
    };
    Ok(format!("{}/{}", base.trim_end_matches('/'), token.trim_start_matches('/')))
}

#[async_trait]
impl Operator for Slack {
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        if let Some(conn_id) = &self.slack_webhook_conn_id {
            let connection = ctx.services.connection(conn_id).await?;
            post_json(&webhook_url(&connection)?, &[], &self.message()).await?;
            return Ok(Done::default());
        }
        let conn_id = self.slack_conn_id.as_deref().unwrap_or("slack_api_default");
        let connection = ctx.services.connection(conn_id).await?;
        let extra = connection.extra_object();
        let base = extra.get("base_url").and_then(Value::as_str).unwrap_or(API);
        let authorization = ("authorization".to_owned(), format!("Bearer {}", token(&connection)?));
        let url = format!("{}/chat.postMessage", base.trim_end_matches('/'));
        let answer = post_json(&url, &[authorization], &self.message()).await?;
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        if answer["ok"] == true {
            return Ok(Done::default());
        }
        let why = answer["error"].as_str().unwrap_or("no reason was given").to_owned();
        Err(TaskError::failed(format!("Slack refused the message: {why}")))
    }
}
