//! A bundle that is a prefix of an S3 bucket, as the DAGs of MWAA are.
//!
//! S3 has no commits. A listing is taken in whole: every object in it is fetched with the ETag that the listing names, and if
//! one has changed meanwhile, the prefix is listed again. What was fetched is kept, so that a restart needs no S3.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use windrose_bundles::{
    BundleFiles, MAX_DAG_FILE_BYTES, MAX_NAMED_FILE_BYTES, NamedPath, News, RemoteBundle, Trouble, dag_text,
    differences, too_long,
};
use windrose_core::connection::Connection;
use windrose_core::ids::BundleName;

use super::connection::AwsConnection;
use super::parameters::AwsParameters;
use super::session::AwsSession;

/// The most objects of one prefix.
const MAX_OBJECTS: usize = 200_000;
/// How many objects are fetched at once.
const AT_ONCE: usize = 16;
/// How often a prefix is listed again because an object changed while it was fetched.
const LISTINGS: usize = 5;

/// Where the connection comes from; asked before every look.
#[async_trait]
pub trait ConnectionSource: Send + Sync {
    /// The connection; `None` stands for the SDK's default credential chain.
    ///
    /// # Errors
    /// A sentence that tells a person what is missing.
    async fn connection(&self) -> Result<Option<Connection>, String>;
}

/// Which prefix.
#[derive(Debug, Clone)]
pub struct S3Settings {
    /// The bundle's name.
    pub name: BundleName,
    /// The bucket.
    pub bucket: String,
    /// Keys begin with it; empty for all of the bucket.
    pub prefix: String,
    /// Goes before the connection's region.
    pub region: Option<String>,
    /// The folder for what was fetched.
    pub cache: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Object {
    etag: String,
    size: u64,
}

/// Objects by their path below the prefix.
type Listing = BTreeMap<PathBuf, Object>;

/// A prefix of a bucket at work.
pub struct S3Bundle {
    settings: S3Settings,
    source: Arc<dyn ConnectionSource>,
    at: Option<Arc<Listing>>,
}

impl S3Bundle {
    /// Nothing is fetched yet.
    #[must_use]
    pub fn new(settings: S3Settings, source: Arc<dyn ConnectionSource>) -> Self {
        Self { settings, source, at: None }
    }

    fn place(&self) -> String {
        format!("s3://{}/{}", self.settings.bucket, self.settings.prefix)
    }

    async fn session(&self) -> Result<AwsSession, Trouble> {
        let connection = match self.source.connection().await.map_err(Trouble)? {
            None => AwsConnection::default(),
            Some(found) => AwsConnection::read(&found).map_err(Trouble)?,
        };
        let parameters = AwsParameters {
            aws_conn_id: connection.conn_id.clone(),
            region_name: self.settings.region.clone(),
            verify: None,
            botocore_config: None,
        };
        AwsSession::open(connection, &parameters).await.map_err(Trouble)
    }

    async fn list(&self, session: &AwsSession) -> Result<Listing, Trouble> {
        let mut listing = Listing::new();
        let prefix = self.key_prefix();
        let call = session.s3().list_objects_v2().bucket(&self.settings.bucket).prefix(&prefix);
        let mut pages = call.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                let error = session.error("s3", "ListObjectsV2", &error);
                Trouble(format!("{} cannot be listed: {error}", self.place()))
            })?;
            for object in page.contents() {
                let Some(below) = object.key().and_then(|key| key.strip_prefix(prefix.as_str())) else { continue };
                let size = u64::try_from(object.size().unwrap_or(0)).unwrap_or(u64::MAX);
                // Consoles make objects that stand for folders; names that are no paths are nobody's DAGs.
                let Ok(path) = NamedPath::new(Path::new(""), below) else { continue };
                if below.ends_with('/') || path.as_path().as_os_str().is_empty() {
                    continue;
                }
                let etag = object.e_tag().unwrap_or_default().to_owned();
                listing.insert(path.as_path().to_owned(), Object { etag, size });
            }
            if listing.len() > MAX_OBJECTS {
                return Err(Trouble(format!(
                    "{} has more than {MAX_OBJECTS} objects; name a narrower prefix",
                    self.place()
                )));
            }
        }
        Ok(listing)
    }

    /// Fetches what is not there yet; false if an object changed meanwhile.
    async fn fetch(&self, session: &AwsSession, listing: &Listing) -> Result<bool, Trouble> {
        let mut missing: Vec<(PathBuf, Object)> = Vec::new();
        for (path, object) in listing {
            if object.size <= MAX_NAMED_FILE_BYTES && !self.kept(path, object).exists() {
                missing.push((path.clone(), object.clone()));
            }
        }
        let fetches: Vec<_> = missing.iter().map(|(path, object)| self.fetch_one(session, path, object)).collect();
        let mut fetched = futures::stream::iter(fetches).buffer_unordered(AT_ONCE);
        let mut all = true;
        while let Some(one) = fetched.next().await {
            all &= one?;
        }
        Ok(all)
    }

    async fn fetch_one(&self, session: &AwsSession, path: &Path, object: &Object) -> Result<bool, Trouble> {
        let key = format!("{}{}", self.key_prefix(), path.display());
        let call = session.s3().get_object().bucket(&self.settings.bucket).key(&key).if_match(&object.etag);
        let answer = match call.send().await {
            Ok(answer) => answer,
            Err(error) => {
                let error = session.error("s3", "GetObject", &error);
                if error.is("PreconditionFailed") || error.is("NoSuchKey") {
                    return Ok(false);
                }
                return Err(Trouble(format!("s3://{}/{key} cannot be fetched: {error}", self.settings.bucket)));
            }
        };
        let body = answer.body.collect().await;
        let body = body.map_err(|error| Trouble(format!("s3://{}/{key} broke off: {error}", self.settings.bucket)))?;
        self.keep(&self.kept(path, object), body.into_bytes().to_vec()).await?;
        Ok(true)
    }

    /// A prefix without a slash at its end stands for a folder.
    fn key_prefix(&self) -> String {
        let prefix = &self.settings.prefix;
        if prefix.is_empty() || prefix.ends_with('/') { prefix.clone() } else { format!("{prefix}/") }
    }

    /// Where an object is kept: by its path and ETag, so that it never changes.
    fn kept(&self, path: &Path, object: &Object) -> PathBuf {
        kept(&self.settings.cache, path, object)
    }

    /// Written beside, then renamed: a half-written one is never read.
    async fn keep(&self, path: &Path, content: Vec<u8>) -> Result<(), Trouble> {
        let (path, cache) = (path.to_owned(), self.settings.cache.clone());
        let written = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&cache)?;
            let half = path.with_extension("half");
            std::fs::write(&half, content)?;
            std::fs::rename(half, path)
        });
        let written = written.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
        written.map_err(|error| Trouble(format!("{} cannot be written: {error}", self.settings.cache.display())))
    }

    fn news(&mut self, listing: Listing) -> News {
        let listing = Arc::new(listing);
        let before = self.at.replace(Arc::clone(&listing)).unwrap_or_default();
        let files = KeptFiles { cache: self.settings.cache.clone(), listing: Arc::clone(&listing) };
        let (changes, touched) = differences(&before, &listing, |path, object| files.text(path, object));
        News { changes, touched, commit: None, files: Arc::new(files) }
    }
}

fn kept(cache: &Path, path: &Path, object: &Object) -> PathBuf {
    let name = format!("{}\n{}\n{}", path.display(), object.etag, object.size);
    let hash: String = Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    cache.join(hash)
}

#[async_trait]
impl RemoteBundle for S3Bundle {
    fn name(&self) -> &BundleName {
        &self.settings.name
    }

    async fn cached(&mut self) -> Option<News> {
        let text = tokio::fs::read(self.settings.cache.join("listing.json")).await.ok()?;
        let listing: Listing = serde_json::from_slice(&text).ok()?;
        let is_whole = |(path, object): (&PathBuf, &Object)| {
            object.size > MAX_NAMED_FILE_BYTES || self.kept(path, object).exists()
        };
        listing.iter().all(is_whole).then(|| self.news(listing))
    }

    async fn refresh(&mut self) -> Result<Option<News>, Trouble> {
        let session = self.session().await?;
        for _ in 0..LISTINGS {
            let listing = self.list(&session).await?;
            if self.at.as_deref() == Some(&listing) {
                return Ok(None);
            }
            if self.fetch(&session, &listing).await? {
                let text = serde_json::to_vec(&listing)
                    .map_err(|error| Trouble(format!("the listing of {} is no JSON: {error}", self.place())))?;
                self.keep(&self.settings.cache.join("listing.json"), text).await?;
                return Ok(Some(self.news(listing)));
            }
        }
        Err(Trouble(format!("objects of {} change faster than they can be fetched; it is tried again", self.place())))
    }
}

/// The objects of a listing.
#[derive(Debug)]
struct KeptFiles {
    cache: PathBuf,
    listing: Arc<Listing>,
}

impl KeptFiles {
    fn text(&self, path: &Path, object: &Object) -> Result<String, String> {
        if object.size > MAX_DAG_FILE_BYTES {
            return Err(too_long(object.size));
        }
        let bytes = std::fs::read(kept(&self.cache, path, object))
            .map_err(|error| format!("the file cannot be read: {error}"))?;
        dag_text(bytes)
    }
}

impl BundleFiles for KeptFiles {
    fn read(&self, path: &NamedPath) -> Result<Option<Vec<u8>>, String> {
        let Some(object) = self.listing.get(path.as_path()) else { return Ok(None) };
        if object.size > MAX_NAMED_FILE_BYTES {
            return Err(format!(
                "'{path}' has {} bytes; a file that a DAG names may have {MAX_NAMED_FILE_BYTES} at most",
                object.size
            ));
        }
        let read = std::fs::read(kept(&self.cache, path.as_path(), object));
        read.map(Some).map_err(|error| format!("'{path}' cannot be read: {error}"))
    }

    fn below(&self, folder: &NamedPath) -> Result<Vec<NamedPath>, String> {
        let within = self.listing.keys().filter(|path| path.starts_with(folder.as_path()));
        Ok(within.filter_map(|path| NamedPath::new(Path::new(""), path.to_str()?).ok()).collect())
    }
}
