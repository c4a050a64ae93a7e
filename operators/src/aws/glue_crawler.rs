//! `glue_crawler`: creates or updates a crawler, starts it, and may wait for its crawl.
//!
//! Calls: GetCrawler, then CreateCrawler or (GetCrawler, UpdateCrawler if something differs), StartCrawler, GetCrawler
//! per poll, and GetCrawlerMetrics at the end. Before StartCrawler the checkpoint already names the crawl that went
//! before, so that an attempt that takes over can tell whether the crawl was started.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_glue::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use windrose_core::catalog::OperatorKind;

use super::glue_crawl::{CrawlerState, describe};
use super::glue_tags::sync_tags;
use super::json_call::{check_keys, differences, with_body};
use super::parameters::{AwsParameters, aws_parameters};
use super::session::{AwsSession, session_for};
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Parameters, Runnable};
use crate::remote_job::{Progress, RemoteJob};
use crate::seconds::Seconds;

/// Airflow's waiter looks so often at most.
const MOST_POLLS: u32 = 1000;

const KNOWN_KEYS: [&str; 16] = [
    "Name",
    "Role",
    "DatabaseName",
    "Description",
    "Targets",
    "Schedule",
    "Classifiers",
    "TablePrefix",
    "SchemaChangePolicy",
    "RecrawlPolicy",
    "LineageConfiguration",
    "LakeFormationConfiguration",
    "Configuration",
    "CrawlerSecurityConfiguration",
    "Tags",
    "CatalogId",
];

fn default_poll_interval() -> Seconds {
    Seconds::from_whole(5)
}

fn yes() -> bool {
    true
}

aws_parameters! {
    /// Parameters of `glue_crawler`.
    pub struct GlueCrawlerParameters {
        /// The crawler in the words of the CreateCrawler API; `Name` is required. It is created if it does not exist,
        /// which also needs `Role` and `Targets`, and updated if a key given here differs.
        #[schemars(extend("x-template" = true))]
        config: Map<String, Value>,
        /// Seconds between two looks at the crawler.
        #[serde(default = "default_poll_interval")]
        poll_interval: Seconds,
        /// Wait until the crawl has ended.
        #[serde(default = "yes")]
        wait_for_completion: bool,
        /// Give the slot back while waiting; implies waiting.
        #[serde(default)]
        deferrable: bool,
        /// Fail if the crawler is running already; if false, wait for the crawl that is under way. A crawl that an
        /// earlier try of the same task started is never a reason to fail.
        #[serde(default = "yes")]
        fail_on_already_running: bool,
        /// Stop the crawl when the task is cancelled.
        #[serde(default)]
        stop_crawler_on_kill: bool,
    }
}

impl Parameters for GlueCrawlerParameters {
    const NAME: &'static str = "glue_crawler";
    const AIRFLOW: &'static str = "airflow.providers.amazon.aws.operators.glue_crawler.GlueCrawlerOperator";
    const SUMMARY: &'static str = "Creates or updates an AWS Glue crawler, starts it, and may wait for its crawl.";
    const KIND: OperatorKind = OperatorKind::Remote;

    fn build(self) -> Result<Runnable, String> {
        check_keys(&self.config, &KNOWN_KEYS, &["Name"])?;
        let Some(name) = self.config["Name"].as_str().filter(|name| !name.is_empty()).map(str::to_owned) else {
            return Err("config.Name is not the name of a crawler".to_owned());
        };
        if self.config.get("Tags").is_some_and(|tags| !tags.is_object()) {
            return Err("config.Tags is not an object".to_owned());
        }
        Ok(Runnable::Remote(Box::new(GlueCrawler { aws: self.aws(), name, p: self, polls: AtomicU32::new(0) })))
    }
}

struct GlueCrawler {
    aws: AwsParameters,
    name: String,
    p: GlueCrawlerParameters,
    polls: AtomicU32,
}

/// What an attempt that takes over must know.
#[derive(Serialize, Deserialize)]
struct Handle {
    crawler: String,
    /// When the crawl before ours began, in seconds since the epoch.
    previous_crawl: Option<f64>,
    /// False: the crawl was about to be started.
    started: bool,
}

#[async_trait]
impl RemoteJob for GlueCrawler {
    async fn submit(&self, ctx: &TaskContext) -> Result<Value, TaskError> {
        let session = session_for(ctx, &self.aws).await?;
        let glue = session.glue();
        ctx.info(format!("Checking if crawler already exists: {}", self.name));
        let mut previous_crawl = None;
        if describe(&session, &glue, &self.name).await?.is_none() {
            self.create(ctx, &session, &glue).await?;
        } else if let Some(current) = describe(&session, &glue, &self.name).await? {
            previous_crawl = current.last_crawl.as_ref().and_then(|crawl| crawl.started);
            self.update(ctx, &session, &glue, &current).await?;
        }
        let mut handle = json!(Handle { crawler: self.name.clone(), previous_crawl, started: false });
        ctx.services.save_checkpoint(&handle).await?;
        ctx.info(format!("Starting crawler {}", self.name));
        if let Err(error) = glue.start_crawler().name(&self.name).send().await {
            self.tolerate_running(ctx, session.error("glue", "StartCrawler", &error))?;
        }
        handle["started"] = Value::Bool(true);
        Ok(handle)
    }

    async fn poll(&self, ctx: &TaskContext, handle: &Value) -> Result<Progress, TaskError> {
        let Ok(handle) = Handle::deserialize(handle) else { return Ok(Progress::Unknown) };
        let session = session_for(ctx, &self.aws).await?;
        let Some(crawler) = describe(&session, &session.glue(), &handle.crawler).await? else {
            return Ok(Progress::Unknown);
        };
        if crawler.state != "READY" {
            return Ok(self.still(crawler.state));
        }
        let crawl =
            crawler.last_crawl.filter(|crawl| crawl.started.is_none() || crawl.started != handle.previous_crawl);
        match crawl {
            Some(crawl) if matches!(crawl.status.as_str(), "FAILED" | "CANCELLED") => {
                Ok(Progress::Failed(crawl.failure(&session, &handle.crawler)))
            }
            Some(_) => Ok(Progress::Succeeded),
            // For a moment after the start the crawler is still ready, with the crawl before as its last.
            None if handle.started => Ok(self.still("READY, with its crawl not begun yet".to_owned())),
            None => Ok(Progress::Unknown),
        }
    }

    async fn finish(&self, ctx: &TaskContext, _handle: &Value) -> Result<Done, TaskError> {
        if self.p.wait_for_completion && !self.p.deferrable {
            self.log_metrics(ctx).await?;
        }
        Ok(Done::with(Value::String(self.name.clone())))
    }

    async fn cancel(&self, ctx: &TaskContext, handle: &Value) -> Result<(), TaskError> {
        if !self.p.stop_crawler_on_kill {
            return Ok(());
        }
        let Ok(handle) = Handle::deserialize(handle) else { return Ok(()) };
        let session = session_for(ctx, &self.aws).await?;
        ctx.info(format!("Stopping crawler {}", handle.crawler));
        match session.glue().stop_crawler().name(&handle.crawler).send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let error = session.error("glue", "StopCrawler", &error);
                let ended = error.is("CrawlerNotRunningException") || error.is("CrawlerStoppingException");
                if ended { Ok(()) } else { Err(error.into()) }
            }
        }
    }

    fn poll_interval(&self) -> Duration {
        self.p.poll_interval.0
    }

    fn waits(&self) -> bool {
        self.p.wait_for_completion || self.p.deferrable
    }

    fn deferrable(&self) -> bool {
        self.p.deferrable
    }
}

impl GlueCrawler {
    async fn create(&self, ctx: &TaskContext, session: &AwsSession, glue: &Client) -> Result<(), TaskError> {
        check_keys(&self.p.config, &KNOWN_KEYS, &["Name", "Role", "Targets"]).map_err(|error| {
            TaskError::failed(format!(
                "There is no Glue crawler '{}' in {}, and it cannot be created from this config. {error} Correct Name or \
                 region_name, or give Role and Targets.",
                self.name,
                session.region_or_default()
            ))
        })?;
        ctx.info(format!("Creating crawler: {}", self.name));
        let call = glue.create_crawler().name(&self.name).customize().mutate_request(with_body(&self.p.config));
        call.send().await.map_err(|e| session.error("glue", "CreateCrawler", &e))?;
        Ok(())
    }

    async fn update(
        &self,
        ctx: &TaskContext,
        session: &AwsSession,
        glue: &Client,
        current: &CrawlerState,
    ) -> Result<(), TaskError> {
        let mut config = self.p.config.clone();
        if let Some(Value::Object(tags)) = config.shift_remove("Tags") {
            sync_tags(ctx, session, glue, &format!("crawler/{}", self.name), &tags).await?;
        }
        let changed = differences(&config, &current.described);
        if changed.is_empty() {
            return Ok(());
        }
        ctx.info(format!("Updating crawler: {}", self.name));
        let call = glue.update_crawler().name(&self.name).customize().mutate_request(with_body(&config));
        match call.send().await {
            Ok(_) => ctx.info(format!("Updated configurations: {}", Value::Object(changed))),
            Err(error) => self.tolerate_running(ctx, session.error("glue", "UpdateCrawler", &error))?,
        }
        Ok(())
    }

    fn tolerate_running(&self, ctx: &TaskContext, error: super::error::AwsError) -> Result<(), TaskError> {
        if !error.is("CrawlerRunningException") {
            return Err(error.into());
        }
        if ctx.info.try_number > 1 {
            ctx.warn(format!(
                "The crawler {} is running already: this is taken for an earlier try's crawl.",
                self.name
            ));
            return Ok(());
        }
        if !self.p.fail_on_already_running {
            ctx.warn(format!("The crawler {} is running already; waiting for the crawl that is under way.", self.name));
            return Ok(());
        }
        Err(error.with_hint("Set fail_on_already_running = false to wait for the crawl that is under way.").into())
    }

    fn still(&self, state: String) -> Progress {
        let polls = self.polls.fetch_add(1, Ordering::Relaxed) + 1;
        if polls < MOST_POLLS {
            return Progress::Running(state);
        }
        Progress::Failed(TaskError::failed(format!(
            "Waiter error: max attempts reached. The Glue crawler '{}' is still {state} after {MOST_POLLS} looks every \
             {} s; its crawl goes on.",
            self.name,
            self.p.poll_interval.0.as_secs_f64()
        )))
    }

    /// The crawl has ended well already: trouble with its figures is only logged.
    async fn log_metrics(&self, ctx: &TaskContext) -> Result<(), TaskError> {
        let session = session_for(ctx, &self.aws).await?;
        let glue = session.glue();
        if let Ok(Some(crawler)) = describe(&session, &glue, &self.name).await {
            ctx.info(format!("Status: {}", crawler.last_crawl.unwrap_or_default().status));
        }
        let metrics = match glue.get_crawler_metrics().crawler_name_list(&self.name).send().await {
            Ok(answer) => answer.crawler_metrics_list.unwrap_or_default(),
            Err(error) => {
                ctx.warn(session.error("glue", "GetCrawlerMetrics", &error).to_string());
                return Ok(());
            }
        };
        for m in metrics {
            ctx.info(format!("Last Runtime Duration (seconds): {:.2}", m.last_runtime_seconds()));
            ctx.info(format!("Median Runtime Duration (seconds): {:.2}", m.median_runtime_seconds()));
            ctx.info(format!("Tables Created: {}", m.tables_created()));
            ctx.info(format!("Tables Updated: {}", m.tables_updated()));
            ctx.info(format!("Tables Deleted: {}", m.tables_deleted()));
        }
        Ok(())
    }
}
