//! `s3_key_sensor`: waits for objects in S3.
//!
//! A look costs one HeadObject per key, or with a pattern ListObjectsV2 of all pages up to the first match. With a
//! `check_fn` it is all pages, and one HeadObject per match if a listing does not say what `metadata_keys` asks for.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use windrose_core::catalog::OperatorKind;
use windrose_core::cause::Cause;

use super::parameters::{AwsParameters, aws_parameters};
use super::python_regex::{self, PythonRegex};
use super::s3_address::{self, S3Address};
use super::s3_file_metadata::{FileMetadata, MetadataKeys};
use super::s3_look::{Look, Wanted};
use super::s3_wildcard::{self, Wildcard};
use super::session::session_for;
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Parameters, Runnable};
use crate::python::{CallEnd, Callable, DEFAULT_PYTHON, PythonCall};
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
        /// A function of a file in the DAG's folder, `scripts/check.py:enough`, that judges what was found: it gets the
        /// list of all objects that match (one list per key), and the sensor waits until what it returns is true. If it
        /// has `**kwargs`, it gets Airflow's context too.
        #[serde(default)]
        #[schemars(extend("x-bundle-file" = "python"))]
        check_fn: Option<String>,
        /// Which attributes of the objects `check_fn` is given, in the words of the API; `*` stands for all that
        /// HeadObject says. Without a pattern there is no `Key`, as in Airflow.
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
        let check = match &self.check_fn {
            None => None,
            Some(text) => match Callable::parse(text).filter(Callable::is_function) {
                Some(function) => Some(Check { text: text.clone(), function }),
                None => {
                    return Err(format!(
                        "check_fn = \"{text}\" must be a function in a file of the DAG's folder: 'scripts/check.py:enough'."
                    ));
                }
            },
        };
        let metadata = MetadataKeys::new(self.metadata_keys.clone())?;
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
            check,
            metadata,
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
    check: Option<Check>,
    metadata: MetadataKeys,
    deferrable: bool,
}

/// The function that judges the objects, and how the task names it.
struct Check {
    text: String,
    function: Callable,
}

#[async_trait]
impl Sensor for S3KeySensor {
    async fn poke(&self, ctx: &TaskContext) -> Result<Poke, TaskError> {
        let session = session_for(ctx, &self.aws).await?;
        for key in &self.keys {
            let address = s3_address::resolve(self.bucket_name.as_deref(), key).map_err(TaskError::failed)?;
            ctx.info(format!("Poking for key : s3://{}/{}", address.bucket, address.key));
            let mut look = Look::new(&session, &address.bucket);
            let Some(files) = self.files(&mut look, &address).await? else { return Ok(Poke::NotYet) };
            if let Some(check) = &self.check
                && !check.approves(ctx, &files).await?
            {
                return Ok(Poke::NotYet);
            }
        }
        Ok(Poke::Done(None))
    }

    fn deferrable(&self) -> bool {
        self.deferrable
    }

    fn awaited(&self) -> Option<String> {
        let names = self.keys.iter().map(|key| match s3_address::resolve(self.bucket_name.as_deref(), key) {
            Ok(address) => format!("s3://{}/{}", address.bucket, address.key),
            Err(_) => key.clone(),
        });
        let names = names.collect::<Vec<_>>().join(", ");
        // HeadObject cannot tell a bucket that is not there from a key that is not there.
        Some(format!("{names}; check the key, and that the bucket exists"))
    }
}

impl S3KeySensor {
    /// What `check_fn` is told of the objects at this address (nothing if there is no such function); `None` if there is
    /// no object.
    async fn files(&self, look: &mut Look<'_>, address: &S3Address) -> Result<Option<Vec<FileMetadata>>, TaskError> {
        let key = &address.key;
        let wanted = if self.check.is_some() { Wanted::All } else { Wanted::First };
        let found = match self.matching {
            Matching::Exact => {
                let head = look.at_object(key).await?;
                return Ok(head.map(|head| self.check.iter().map(|_| self.metadata.of_head(&head)).collect()));
            }
            Matching::Wildcard => {
                let wildcard = Wildcard::new(key);
                look.among_keys(s3_wildcard::literal_prefix(key), wanted, |key| Ok(wildcard.matches(key))).await?
            }
            Matching::Regex => {
                let regex = PythonRegex::new(key, false).map_err(TaskError::failed)?;
                look.among_keys(&python_regex::literal_prefix(key), wanted, |key| regex.matches_start(key)).await?
            }
        };
        if self.check.is_none() {
            return Ok((!found.is_empty()).then(Vec::new));
        }
        let mut files = Vec::with_capacity(found.len());
        for object in &found {
            if let Some(listed) = self.metadata.of_listed(object) {
                files.push(listed);
            } else if let Some(head) = look.at_object(object.key().unwrap_or_default()).await? {
                files.push(self.metadata.of_both(object, &head));
            }
        }
        Ok((!files.is_empty()).then_some(files))
    }
}

impl Check {
    async fn approves(&self, ctx: &TaskContext, files: &[FileMetadata]) -> Result<bool, TaskError> {
        let call = PythonCall {
            callable: &self.function,
            python: DEFAULT_PYTHON,
            requirements: &[],
            arguments: json!({ "files": files }),
        };
        let objects = if files.len() == 1 { "1 object".to_owned() } else { format!("{} objects", files.len()) };
        match call.run(ctx).await? {
            CallEnd::Returned(verdict) => {
                let verdict = verdict == true;
                ctx.info(format!("check_fn {} returned {} for {objects}", self.text, if verdict { "True" } else { "False" }));
                Ok(verdict)
            }
            CallEnd::Left(end) => Err(TaskError::retryable(end.check().err().unwrap_or_else(|| Cause::Failed {
                message: format!(
                    "check_fn {} left the process instead of returning whether the objects are good. Let it return True or \
                     False.",
                    self.text
                ),
            }))),
        }
    }
}
