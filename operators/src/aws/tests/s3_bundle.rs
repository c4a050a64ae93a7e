//! DAG files below a prefix of S3.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use windrose_bundles::{FileChange, NamedPath, News, RemoteBundle as _};
use windrose_core::connection::Connection;

use super::endpoint::Endpoint;
use crate::aws::connection::AwsConnection;
use crate::aws::parameters::AwsParameters;
use crate::aws::s3_bundle::{ConnectionSource, S3Bundle, S3Settings};
use crate::aws::session::AwsSession;

struct Given(Connection);

#[async_trait]
impl ConnectionSource for Given {
    async fn connection(&self) -> Result<Option<Connection>, String> {
        Ok(Some(self.0.clone()))
    }
}

struct Bucket {
    endpoint: Endpoint,
    s3: aws_sdk_s3::Client,
    cache: tempfile::TempDir,
}

impl Bucket {
    async fn new() -> Self {
        let endpoint = Endpoint::moto().await;
        let connection = AwsConnection::read(&endpoint.connection("aws_default", json!({}))).unwrap();
        let s3 = AwsSession::open(connection, &AwsParameters::default()).await.unwrap().s3();
        s3.create_bucket().bucket("mwaa").send().await.unwrap();
        Self { endpoint, s3, cache: tempfile::tempdir().unwrap() }
    }

    async fn put(&self, key: &str, content: impl Into<Vec<u8>>) {
        self.s3.put_object().bucket("mwaa").key(key).body(content.into().into()).send().await.unwrap();
    }

    async fn delete(&self, key: &str) {
        self.s3.delete_object().bucket("mwaa").key(key).send().await.unwrap();
    }

    fn bundle(&self, bucket: &str) -> S3Bundle {
        let settings = S3Settings {
            name: "mwaa".into(),
            bucket: bucket.into(),
            prefix: "dags".into(),
            region: None,
            cache: self.cache.path().join("mwaa"),
        };
        S3Bundle::new(settings, Arc::new(Given(self.endpoint.connection("aws_default", json!({})))))
    }
}

fn texts(news: &News) -> Vec<(String, String)> {
    let of = |change: &FileChange| match change {
        FileChange::Changed { path, text } => (path.display().to_string(), text.clone().unwrap_or_else(|error| error)),
        FileChange::Removed { path } => (path.display().to_string(), "gone".to_owned()),
    };
    news.changes.iter().map(of).collect()
}

fn pair(path: &str, text: &str) -> (String, String) {
    (path.to_owned(), text.to_owned())
}

fn read(news: &News, name: &str) -> Vec<u8> {
    news.files.read(&NamedPath::new(Path::new(""), name).unwrap()).unwrap().unwrap()
}

#[tokio::test]
async fn what_changes_below_a_prefix_is_told_and_kept_over_a_restart() {
    let bucket = Bucket::new().await;
    bucket.put("dags/a.toml", "a = 1").await;
    bucket.put("dags/team/b.toml", "b = 1").await;
    bucket.put("dags/team/", "").await;
    bucket.put("dags/load.sql", "SELECT 1").await;
    bucket.put("dags-of-others/c.toml", "c = 1").await;
    bucket.put("dags/../secret.toml", "s = 1").await;
    let mut bundle = bucket.bundle("mwaa");
    assert!(bundle.cached().await.is_none());
    let first = bundle.refresh().await.unwrap().unwrap();
    assert_eq!(texts(&first), [pair("a.toml", "a = 1"), pair("team/b.toml", "b = 1")]);
    assert_eq!(read(&first, "load.sql"), b"SELECT 1");
    assert!(bundle.refresh().await.unwrap().is_none());

    bucket.put("dags/a.toml", "a = 2").await;
    bucket.put("dags/load.sql", "SELECT 2").await;
    bucket.delete("dags/team/b.toml").await;
    let second = bundle.refresh().await.unwrap().unwrap();
    assert_eq!(texts(&second), [pair("team/b.toml", "gone"), pair("a.toml", "a = 2")]);
    assert!(second.touched.iter().any(|path| path == Path::new("load.sql")));
    assert_eq!(read(&first, "load.sql"), b"SELECT 1", "what was delivered never changes");

    bucket.endpoint.take_operations();
    let again = bucket.bundle("mwaa").cached().await.unwrap();
    assert_eq!(texts(&again), [pair("a.toml", "a = 2")]);
    assert!(bucket.endpoint.take_operations().is_empty(), "a restart needs no S3");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_named_with_what_to_do() {
    let bucket = Bucket::new().await;
    let trouble = bucket.bundle("nowhere").refresh().await.unwrap_err().to_string();
    assert!(trouble.contains("s3://nowhere/dags") && trouble.contains("NoSuchBucket"), "{trouble}");
}

#[tokio::test]
async fn odd_objects_are_reported_one_by_one() {
    let bucket = Bucket::new().await;
    bucket.put("dags/binary.toml", vec![0xff, 0xfe]).await;
    bucket.put("dags/huge.toml", vec![b'#'; 2 << 20]).await;
    bucket.put("dags/good.toml", "a = 1").await;
    let news = bucket.bundle("mwaa").refresh().await.unwrap().unwrap();
    let texts = texts(&news);
    assert!(texts[0].1.contains("not UTF-8") && texts[2].1.contains("at most"), "{texts:?}");
    assert_eq!(texts[1], pair("good.toml", "a = 1"));
}
