//! A bundle that is a git repository: a branch, a tag or a commit of it, perhaps only a folder.
//!
//! Of the repository only the newest commit is fetched. Its files are never checked out: they are read from the objects, so
//! a commit is there whole or not at all.

mod access;
mod address;
mod repository;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use gix::{ObjectId, ThreadSafeRepository};
use windrose_core::ids::BundleName;

use crate::feed::{RemoteBundle, Trouble};
use crate::files::{BundleFiles, MAX_NAMED_FILE_BYTES, NamedPath, too_large};
use crate::news::{MAX_DAG_FILE_BYTES, News, dag_text, differences, too_long};
use repository::{Blob, Listing};

pub use access::{Access, AccessSource};
pub use address::{RepositoryUrl, Tracking};

/// Which repository, and what of it.
#[derive(Debug, Clone)]
pub struct GitSettings {
    /// The bundle's name.
    pub name: BundleName,
    /// Where it is.
    pub url: RepositoryUrl,
    /// Which commit is followed.
    pub tracking: Tracking,
    /// The folder with the DAGs, relative to the repository; empty for all of it.
    pub subdir: PathBuf,
    /// The folder for the local copy.
    pub clone: PathBuf,
}

/// A git repository at work.
pub struct GitBundle {
    settings: Arc<GitSettings>,
    access: Arc<dyn AccessSource>,
    certificates: Vec<PathBuf>,
    /// What was delivered last.
    at: Option<(ObjectId, Arc<Listing>)>,
    /// Set when the bundle is dropped, so that a fetch under way ends.
    stop: Arc<AtomicBool>,
}

impl GitBundle {
    /// Nothing is fetched yet.
    #[must_use]
    pub fn new(settings: GitSettings, access: Arc<dyn AccessSource>) -> Self {
        Self { settings: Arc::new(settings), access, certificates: Vec::new(), at: None, stop: Arc::default() }
    }

    /// Trusts the certificates of these PEM files besides those of the machine.
    #[must_use]
    pub fn trusting(mut self, certificates: Vec<PathBuf>) -> Self {
        self.certificates = certificates;
        self
    }

    async fn blocking<T: Send + 'static>(
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, Trouble> {
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done.map_err(Trouble),
            Err(error) => Err(Trouble(format!("reading the repository ended early: {error}"))),
        }
    }

    /// What differs from what was delivered last.
    async fn news_at(&mut self, id: ObjectId) -> Result<News, Trouble> {
        let settings = Arc::clone(&self.settings);
        let before = self.at.as_ref().map(|(_, listing)| Arc::clone(listing)).unwrap_or_default();
        let (news, listing) = Self::blocking(move || {
            let clone = repository::open(&settings.clone)?;
            let listing = Arc::new(repository::list(&clone, id, &settings.subdir)?);
            let commit = Some(repository::facts(&clone, id)?);
            let local = clone.to_thread_local();
            let (changes, touched) = differences(&before, &listing, |_, blob| read_dag_file(&local, *blob));
            drop(local);
            let files = Arc::new(CommitFiles { clone, listing: Arc::clone(&listing) });
            Ok((News { changes, touched, commit, files }, listing))
        })
        .await?;
        self.at = Some((id, listing));
        Ok(news)
    }
}

impl Drop for GitBundle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[async_trait]
impl RemoteBundle for GitBundle {
    fn name(&self) -> &BundleName {
        &self.settings.name
    }

    async fn cached(&mut self) -> Option<News> {
        let settings = Arc::clone(&self.settings);
        let last = Self::blocking(move || {
            if settings.clone.exists() {
                Ok(repository::last_fetched(&repository::open(&settings.clone)?))
            } else {
                Ok(None)
            }
        });
        let id = last.await.ok()??;
        self.news_at(id).await.ok()
    }

    async fn refresh(&mut self) -> Result<Option<News>, Trouble> {
        let access = self.access.access().await.map_err(Trouble)?;
        let (settings, stop) = (Arc::clone(&self.settings), Arc::clone(&self.stop));
        let certificates = self.certificates.clone();
        let id = Self::blocking(move || {
            let clone = repository::open(&settings.clone)?;
            repository::fetch(&clone, &settings, &access, &certificates, &stop)
        })
        .await?;
        if self.at.as_ref().is_some_and(|(at, _)| *at == id) {
            return Ok(None);
        }
        self.news_at(id).await.map(Some)
    }
}

fn read_dag_file(repository: &gix::Repository, blob: Blob) -> Result<String, String> {
    if blob.is_link {
        return Err(
            "the file is a symbolic link, which git bundles do not follow; put the file itself there".to_owned()
        );
    }
    match repository::read(repository, blob.id, MAX_DAG_FILE_BYTES)? {
        Ok(bytes) => dag_text(bytes),
        Err(length) => Err(too_long(length)),
    }
}

/// The files of a commit.
struct CommitFiles {
    clone: ThreadSafeRepository,
    listing: Arc<Listing>,
}

impl std::fmt::Debug for CommitFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommitFiles").field("clone", &self.clone.path()).finish_non_exhaustive()
    }
}

impl BundleFiles for CommitFiles {
    fn read(&self, path: &NamedPath) -> Result<Option<Vec<u8>>, String> {
        let Some(blob) = self.listing.get(path.as_path()) else { return Ok(None) };
        if blob.is_link {
            return Err(format!(
                "'{path}' is a symbolic link, which git bundles do not follow; put the file itself there"
            ));
        }
        let read = repository::read(&self.clone.to_thread_local(), blob.id, MAX_NAMED_FILE_BYTES);
        match read.map_err(|error| format!("'{path}': {error}"))? {
            Ok(bytes) => Ok(Some(bytes)),
            Err(length) => Err(too_large(path, length)),
        }
    }

    fn below(&self, folder: &NamedPath) -> Result<Vec<NamedPath>, String> {
        let within = self.listing.iter().filter(|(path, blob)| !blob.is_link && path.starts_with(folder.as_path()));
        Ok(within.filter_map(|(path, _)| NamedPath::new(std::path::Path::new(""), path.to_str()?).ok()).collect())
    }
}
