//! `s3_key_sensor`: waits for objects in S3.
//!
//! A look costs one HeadObject per key, or with a pattern ListObjectsV2 of all pages up to the first match.

use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use windrose_core::catalog::OperatorKind;

use super::error::AwsError;
use super::parameters::{AwsParameters, aws_parameters};
use super::python_regex::{self, PythonRegex};
use super::s3_address::{self, S3Address};
use super::s3_wildcard::{self, Wildcard};
use super::session::{AwsSession, session_for};
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Parameters, Runnable};
use crate::sensor::{Poke, Sensor};

/// One text or several.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

fn default_metadata_keys() -> Vec<String> {
    vec!["Size".to_owned(), "Key".to_owned()]
}

aws_parameters! {
    /// Parameters of `s3_key_sensor`.
    pub struct S3KeySensorParameters {
        /// The key to wait for, or several that must all be there: relative with `bucket_name`, or a full `s3://` URL
        /// without.
        #[schemars(extend("x-template" = true))]
        bucket_key: OneOrMany,
        /// The bucket.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        bucket_name: Option<String>,
        /// The key is a Unix pattern on the whole key: `*` also matches `/`, `?`, `[abc]`, `[!abc]`.
        #[serde(default)]
        wildcard_match: bool,
        /// The key is a regular expression, matched at the start of every key.
        #[serde(default)]
        use_regex: bool,
        /// A Python function that judges the objects found: not supported yet; put a `python` or `short_circuit` task
        /// after the sensor.
        #[serde(default)]
        #[schemars(extend("x-not-supported" = true))]
        check_fn: Option<Value>,
        /// Which attributes of the objects `check_fn` is given.
        #[serde(default = "default_metadata_keys")]
        metadata_keys: Vec<String>,
        /// Gives the slot back while waiting, as `mode = "deferred"` does.
        #[serde(default)]
        deferrable: bool,
    }
}

impl Parameters for S3KeySensorParameters {
    const NAME: &'static str = "s3_key_sensor";
    const AIRFLOW: &'static str = "airflow.providers.amazon.aws.sensors.s3.S3KeySensor";
    const SUMMARY: &'static str =
        "Waits for one or more objects in an S3 bucket, by key, wildcard or regular expression.";
    const KIND: OperatorKind = OperatorKind::Sensor;

    fn build(self) -> Result<Runnable, String> {
        if self.check_fn.is_some() {
            return Err(
                "check_fn is not supported yet; put a python or short_circuit task after the sensor that judges \
                        the objects"
                    .to_owned(),
            );
        }
        if self.metadata_keys.iter().any(String::is_empty) {
            return Err("metadata_keys has an empty name".to_owned());
        }
        let keys = match &self.bucket_key {
            OneOrMany::One(key) => vec![key.clone()],
            OneOrMany::Many(keys) => keys.clone(),
        };
        Ok(Runnable::Sensor(Box::new(S3KeySensor {
            aws: self.aws(),
            bucket_name: self.bucket_name,
            keys,
            matching: match (self.wildcard_match, self.use_regex) {
                (true, _) => Matching::Wildcard,
                (false, true) => Matching::Regex,
                (false, false) => Matching::Exact,
            },
            deferrable: self.deferrable,
        })))
    }
}

#[derive(Clone, Copy)]
enum Matching {
    Exact,
    Wildcard,
    Regex,
}

struct S3KeySensor {
    aws: AwsParameters,
    bucket_name: Option<String>,
    keys: Vec<String>,
    matching: Matching,
    deferrable: bool,
}

#[async_trait]
impl Sensor for S3KeySensor {
    async fn poke(&self, ctx: &TaskContext) -> Result<Poke, TaskError> {
        let session = session_for(ctx, &self.aws).await?;
        for key in &self.keys {
            let address = s3_address::resolve(self.bucket_name.as_deref(), key).map_err(TaskError::failed)?;
            ctx.info(format!("Poking for key : s3://{}/{}", address.bucket, address.key));
            if !self.is_there(&session, &address).await? {
                return Ok(Poke::NotYet);
            }
        }
        Ok(Poke::Done(None))
    }

    fn deferrable(&self) -> bool {
        self.deferrable
    }
}

impl S3KeySensor {
    async fn is_there(&self, session: &Arc<AwsSession>, address: &S3Address) -> Result<bool, TaskError> {
        let look = Look { session, address };
        match self.matching {
            Matching::Exact => look.at_object().await,
            Matching::Wildcard => {
                let wildcard = Wildcard::new(&address.key);
                look.among_keys(s3_wildcard::literal_prefix(&address.key), |key| Ok(wildcard.matches(key))).await
            }
            Matching::Regex => {
                let regex = PythonRegex::new(&address.key, false).map_err(TaskError::failed)?;
                look.among_keys(&python_regex::literal_prefix(&address.key), |key| regex.matches_start(key)).await
            }
        }
    }
}

/// One look at one address. S3 says where a bucket lives if it is asked in another region; the look follows once.
struct Look<'a> {
    session: &'a AwsSession,
    address: &'a S3Address,
}

impl Look<'_> {
    async fn at_object(&self) -> Result<bool, TaskError> {
        let mut answer = self.head(None).await;
        if let Some(region) = moved(&answer) {
            answer = self.head(Some(region)).await;
        }
        match answer {
            Ok(()) => Ok(true),
            Err(error) if error.status == Some(404) => Ok(false),
            Err(error) if error.status == Some(403) => Err(error
                .with_hint(
                    "403 may mean that the key is absent: without s3:ListBucket on the bucket S3 does not say which.",
                )
                .into()),
            Err(error) => Err(error.into()),
        }
    }

    async fn head(&self, region: Option<String>) -> Result<(), AwsError> {
        let S3Address { bucket, key } = self.address;
        let call = self.session.s3_in(region).head_object().bucket(bucket).key(key);
        call.send().await.map(drop).map_err(|e| self.session.error("s3", "HeadObject", &e))
    }

    async fn among_keys(&self, prefix: &str, fits: impl Fn(&str) -> Result<bool, String>) -> Result<bool, TaskError> {
        let mut region = None;
        let mut token = None;
        loop {
            let mut page = self.list(prefix, token.clone(), region.clone()).await;
            if region.is_none()
                && let Some(other) = moved(&page)
            {
                region = Some(other);
                page = self.list(prefix, token, region.clone()).await;
            }
            let page = page?;
            for key in page.contents().iter().filter_map(|object| object.key()) {
                if fits(key).map_err(TaskError::failed)? {
                    return Ok(true);
                }
            }
            match page.next_continuation_token {
                Some(next) if page.is_truncated == Some(true) => token = Some(next),
                _ => return Ok(false),
            }
        }
    }

    async fn list(
        &self,
        prefix: &str,
        token: Option<String>,
        region: Option<String>,
    ) -> Result<aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output, AwsError> {
        let call = self.session.s3_in(region).list_objects_v2().bucket(&self.address.bucket).prefix(prefix);
        call.set_continuation_token(token).send().await.map_err(|e| self.session.error("s3", "ListObjectsV2", &e))
    }
}

fn moved<T>(answer: &Result<T, AwsError>) -> Option<String> {
    let error = answer.as_ref().err()?;
    if matches!(error.status, Some(301 | 307 | 400)) { error.bucket_region.clone() } else { None }
}
