//! A few requests to the lab as a person's tools would make them: S3 with a role's rights, and a look into the
//! warehouse. The lab does not check signatures, so there are none.

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use serde_json::json;

use super::lab::Endpoints;

/// The rows of a query; every value as text, NULL as `None`.
#[derive(Deserialize)]
pub(super) struct QueryResult {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Option<String>>>,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// A client with one identity.
#[derive(Clone)]
pub(super) struct LabAws {
    http: Client,
    endpoint: String,
    pages: String,
    region: String,
    access_key: String,
}

impl LabAws {
    /// As the main account.
    pub(super) fn new(lab: &Endpoints) -> Result<Self> {
        Ok(Self {
            // The lab is on this machine: no proxy leads there.
            http: Client::builder().no_proxy().build().context("no HTTP client can be made")?,
            endpoint: lab.aws_endpoint_url.clone(),
            pages: lab.lab_url.clone(),
            region: lab.region.clone(),
            access_key: lab.access_key_id.clone(),
        })
    }

    /// As a role.
    pub(super) async fn assume(&self, role: &str) -> Result<Self> {
        let form =
            [("Action", "AssumeRole"), ("Version", "2011-06-15"), ("RoleArn", role), ("RoleSessionName", "demo")];
        let request = self.http.post(&self.endpoint).query(&form);
        let answer = self.send(request, "sts").await.with_context(|| format!("the role {role} cannot be assumed"))?;
        let text = String::from_utf8(answer).context("the lab's answer is no text")?;
        let access_key = elements(&text, "AccessKeyId").next().context("the lab gave no access key")?.to_owned();
        Ok(Self { access_key, ..self.clone() })
    }

    /// Writes an object.
    pub(super) async fn put(&self, bucket: &str, key: &str, body: Vec<u8>) -> Result<()> {
        let request = self.http.put(self.object(bucket, key)).header("Content-Type", "text/csv").body(body);
        self.send(request, "s3").await.with_context(|| format!("s3://{bucket}/{key} cannot be written"))?;
        Ok(())
    }

    /// The keys with a prefix, at most a thousand.
    pub(super) async fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>> {
        let request = self.http.get(self.object(bucket, "")).query(&[("list-type", "2"), ("prefix", prefix)]);
        let answer = self.send(request, "s3").await.with_context(|| format!("s3://{bucket} cannot be listed"))?;
        let text = String::from_utf8(answer).context("the lab's answer is no text")?;
        Ok(elements(&text, "Key").map(str::to_owned).collect())
    }

    /// Reads an object.
    pub(super) async fn get(&self, bucket: &str, key: &str) -> Result<Vec<u8>> {
        let request = self.http.get(self.object(bucket, key));
        self.send(request, "s3").await.with_context(|| format!("s3://{bucket}/{key} cannot be read"))
    }

    /// Asks the warehouse.
    pub(super) async fn query(&self, sql: &str) -> Result<QueryResult> {
        let answer = self.http.post(format!("{}/sql", self.pages)).json(&json!({ "sql": sql })).send().await?;
        if !answer.status().is_success() {
            bail!("the lab's warehouse refuses: {}", answer.json::<Refusal>().await?.error);
        }
        Ok(answer.json().await?)
    }

    fn object(&self, bucket: &str, key: &str) -> String {
        format!("{}/{bucket}/{key}", self.endpoint)
    }

    async fn send(&self, request: RequestBuilder, service: &str) -> Result<Vec<u8>> {
        let scope = format!("{}/20260101/{}/{service}/aws4_request", self.access_key, self.region);
        let header = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=none");
        let answer = request.header("Authorization", header).send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        if !status.is_success() {
            let text = String::from_utf8_lossy(&body);
            let code = elements(&text, "Code").next().unwrap_or("no code");
            bail!("the lab answered {status} ({code})");
        }
        Ok(body.to_vec())
    }
}

/// The contents of all elements of this name. The lab's keys and names need no unescaping.
fn elements<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = text;
    std::iter::from_fn(move || {
        let (_, after) = rest.split_once(&open)?;
        let (inner, after) = after.split_once(&close)?;
        rest = after;
        Some(inner)
    })
}
