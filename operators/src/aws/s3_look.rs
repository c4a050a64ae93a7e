//! One look into a bucket. S3 says where a bucket lives if it is asked in another region; the look follows once.

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::Object;

use super::error::AwsError;
use super::session::AwsSession;
use crate::error::TaskError;

/// How many of the keys that fit are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// One is enough; further pages are not asked for.
    First,
    /// Every one.
    All,
}

/// A look into one bucket.
pub(super) struct Look<'a> {
    session: &'a AwsSession,
    bucket: &'a str,
    /// Where the bucket lives, if not in the session's region.
    region: Option<String>,
}

impl<'a> Look<'a> {
    pub(super) fn new(session: &'a AwsSession, bucket: &'a str) -> Self {
        Self { session, bucket, region: None }
    }

    /// What HeadObject says; `None` if there is no such object.
    pub(super) async fn at_object(&mut self, key: &str) -> Result<Option<HeadObjectOutput>, TaskError> {
        let mut answer = self.head(key).await;
        if self.follows(&answer) {
            answer = self.head(key).await;
        }
        match answer {
            Ok(head) => Ok(Some(head)),
            Err(error) if error.status == Some(404) => Ok(None),
            Err(error) if error.status == Some(403) => Err(error
                .with_hint(
                    "403 may mean that the key is absent: without s3:ListBucket on the bucket S3 does not say which.",
                )
                .into()),
            Err(error) => Err(error.into()),
        }
    }

    /// The objects whose keys fit, among those that begin with the prefix.
    pub(super) async fn among_keys(
        &mut self,
        prefix: &str,
        wanted: Wanted,
        fits: impl Fn(&str) -> Result<bool, String>,
    ) -> Result<Vec<Object>, TaskError> {
        let mut found = Vec::new();
        let mut token = None;
        loop {
            let mut page = self.list(prefix, token.clone()).await;
            if self.follows(&page) {
                page = self.list(prefix, token).await;
            }
            let page = page?;
            for object in page.contents.unwrap_or_default() {
                if fits(object.key().unwrap_or_default()).map_err(TaskError::failed)? {
                    found.push(object);
                    if wanted == Wanted::First {
                        return Ok(found);
                    }
                }
            }
            match page.next_continuation_token {
                Some(next) if page.is_truncated == Some(true) => token = Some(next),
                _ => return Ok(found),
            }
        }
    }

    /// True if the answer says that the bucket lives elsewhere, and it was not known: then it is to be asked again.
    fn follows<T>(&mut self, answer: &Result<T, AwsError>) -> bool {
        let Err(error) = answer else { return false };
        if self.region.is_some() || !matches!(error.status, Some(301 | 307 | 400)) {
            return false;
        }
        self.region.clone_from(&error.bucket_region);
        self.region.is_some()
    }

    async fn head(&self, key: &str) -> Result<HeadObjectOutput, AwsError> {
        let call = self.session.s3_in(self.region.clone()).head_object().bucket(self.bucket).key(key);
        call.send().await.map_err(|e| self.session.error("s3", "HeadObject", &e))
    }

    async fn list(&self, prefix: &str, token: Option<String>) -> Result<ListObjectsV2Output, AwsError> {
        let call = self.session.s3_in(self.region.clone()).list_objects_v2().bucket(self.bucket).prefix(prefix);
        call.set_continuation_token(token).send().await.map_err(|e| {
            let error = self.session.error("s3", "ListObjectsV2", &e);
            if !error.is("NoSuchBucket") {
                return error;
            }
            let advice =
                "Correct bucket_name, the URL in bucket_key or the connection's endpoint, or create the bucket.";
            error.with_hint(&format!("There is no bucket '{}'. {advice}", self.bucket))
        })
    }
}
