//! What GetCrawler says of a crawler, and how its last crawl went.

use aws_sdk_glue::Client;
use serde_json::Value;
use windrose_core::cause::Cause;

use super::json_call::AnswerBody;
use super::partition::log_stream_url;
use super::session::AwsSession;
use crate::error::TaskError;

/// A crawler as described.
#[derive(Debug, Clone, Default)]
pub(super) struct CrawlerState {
    /// `READY`, `RUNNING`, `STOPPING`.
    pub state: String,
    /// The last crawl that has ended.
    pub last_crawl: Option<LastCrawl>,
    /// The whole description, in the API's words.
    pub described: Value,
}

/// The last crawl of a crawler.
#[derive(Debug, Clone, Default)]
pub(super) struct LastCrawl {
    /// `SUCCEEDED`, `FAILED`, `CANCELLED`.
    pub status: String,
    /// Why it failed.
    pub error_message: Option<String>,
    /// When it began, in seconds since the epoch.
    pub started: Option<f64>,
    log: Option<(String, String)>,
}

/// Describes a crawler; `None` if there is none of this name.
///
/// # Errors
/// The call failed.
pub(super) async fn describe(
    session: &AwsSession,
    glue: &Client,
    name: &str,
) -> Result<Option<CrawlerState>, TaskError> {
    let body = AnswerBody::default();
    if let Err(error) = glue.get_crawler().name(name).customize().interceptor(body.clone()).send().await {
        let error = session.error("glue", "GetCrawler", &error);
        return if error.is("EntityNotFoundException") { Ok(None) } else { Err(error.into()) };
    }
    let described = body.take()["Crawler"].take();
    Ok(Some(CrawlerState {
        state: text(&described["State"]).unwrap_or_default(),
        last_crawl: described.get("LastCrawl").filter(|crawl| crawl.is_object()).map(last_crawl),
        described,
    }))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|t| !t.is_empty()).map(str::to_owned)
}

fn last_crawl(crawl: &Value) -> LastCrawl {
    LastCrawl {
        status: text(&crawl["Status"]).unwrap_or_default(),
        error_message: text(&crawl["ErrorMessage"]),
        started: crawl["StartTime"].as_f64(),
        log: text(&crawl["LogGroup"]).zip(text(&crawl["LogStream"])),
    }
}

impl LastCrawl {
    /// The failure of a task that needed this crawl.
    pub(super) fn failure(&self, session: &AwsSession, crawler: &str) -> TaskError {
        let mut message = self.error_message.clone().unwrap_or_default();
        let mut links = Vec::new();
        if let Some((group, stream)) = &self.log {
            if !message.is_empty() {
                message.push(' ');
            }
            message.push_str(&format!("(log group {group}, stream {stream})"));
            links.push(log_stream_url(session.region_or_default(), group, stream));
        }
        TaskError::retryable(Cause::RemoteFailed {
            what: "The last crawl of Glue crawler".to_owned(),
            id: crawler.to_owned(),
            state: self.status.clone(),
            message: Some(message).filter(|m| !m.is_empty()),
            links,
        })
    }
}
