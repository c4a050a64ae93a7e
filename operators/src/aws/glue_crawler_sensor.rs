//! `glue_crawler_sensor`: waits until a crawler's crawl has ended, and fails if it did not end well.
//!
//! A look costs one GetCrawler, and one more once the crawler is ready.

use async_trait::async_trait;
use windrose_core::catalog::OperatorKind;

use super::glue_crawl::{CrawlerState, describe};
use super::parameters::{AwsParameters, aws_parameters};
use super::session::session_for;
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Parameters, Runnable};
use crate::sensor::{Poke, Sensor};

aws_parameters! {
    /// Parameters of `glue_crawler_sensor`.
    pub struct GlueCrawlerSensorParameters {
        /// The crawler.
        #[schemars(extend("x-template" = true))]
        crawler_name: String,
    }
}

impl Parameters for GlueCrawlerSensorParameters {
    const NAME: &'static str = "glue_crawler_sensor";
    const AIRFLOW: &'static str = "airflow.providers.amazon.aws.sensors.glue_crawler.GlueCrawlerSensor";
    const SUMMARY: &'static str = "Waits for an AWS Glue crawler to end its crawl.";
    const KIND: OperatorKind = OperatorKind::Sensor;

    fn build(self) -> Result<Runnable, String> {
        Ok(Runnable::Sensor(Box::new(GlueCrawlerSensor { aws: self.aws(), crawler: self.crawler_name })))
    }
}

struct GlueCrawlerSensor {
    aws: AwsParameters,
    crawler: String,
}

#[async_trait]
impl Sensor for GlueCrawlerSensor {
    async fn poke(&self, ctx: &TaskContext) -> Result<Poke, TaskError> {
        let session = session_for(ctx, &self.aws).await?;
        let glue = session.glue();
        ctx.info(format!("Poking for AWS Glue crawler: {}", self.crawler));
        let look = async || -> Result<CrawlerState, TaskError> {
            let found = describe(&session, &glue, &self.crawler).await?;
            found.ok_or_else(|| {
                TaskError::failed(format!(
                    "There is no Glue crawler '{}' in {} (EntityNotFoundException). Correct crawler_name or region_name, \
                     or create it with a glue_crawler task.",
                    self.crawler,
                    session.region_or_default()
                ))
            })
        };
        let state = look().await?.state;
        if state != "READY" {
            ctx.info(format!("State: {state}"));
            return Ok(Poke::NotYet);
        }
        let Some(crawl) = look().await?.last_crawl else {
            return Err(TaskError::failed(format!(
                "The Glue crawler '{}' has never run. Start it before this sensor, for instance with a glue_crawler task.",
                self.crawler
            )));
        };
        ctx.info(format!("Status: {}", crawl.status));
        if crawl.status == "SUCCEEDED" {
            return Ok(Poke::Done(None));
        }
        Err(crawl.failure(&session, &self.crawler))
    }

    fn awaited(&self) -> Option<String> {
        Some(format!("the crawl of '{}'", self.crawler))
    }
}
