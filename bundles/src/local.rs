//! A bundle that is a folder: which files changed since the last look, and being told when to look.
//!
//! An unchanged file costs a stat. A file counts as changed when its time or its length does.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::files::FolderFiles;
use crate::news::{FileChange, MAX_DAG_FILE_BYTES, News, dag_text, is_dag_file, too_long};

/// How deep folders are followed.
const MAX_DEPTH: usize = 32;

/// Events within this time are one change: editors and git write a file in several steps.
const SETTLE: Duration = Duration::from_millis(50);

/// A folder of DAG files.
#[derive(Debug)]
pub struct BundleFolder {
    root: PathBuf,
    seen: BTreeMap<PathBuf, Stamp>,
    /// Files that DAG files name, there or not.
    named: BTreeMap<PathBuf, Option<Stamp>>,
}

/// What keeps a folder from being read or watched.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be listed.
    #[error("the folder of DAG files {} cannot be listed: {source}. Create it, or name another one with `dags`", path.display())]
    List {
        /// The folder.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The operating system will not tell of changed files.
    #[error("changes below {} cannot be watched: {source}. Raise fs.inotify.max_user_watches, or use a smaller folder", path.display())]
    Watch {
        /// The folder.
        path: PathBuf,
        /// What the operating system says.
        source: notify::Error,
    },
}

type Stamp = (SystemTime, u64);

/// That of a link which leads nowhere.
const NOWHERE: Stamp = (SystemTime::UNIX_EPOCH, 0);

impl BundleFolder {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root, seen: BTreeMap::new(), named: BTreeMap::new() }
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The next scan reads this file again, changed or not.
    pub fn forget(&mut self, path: &Path) {
        self.seen.remove(path);
    }

    /// These files, relative to the folder, are looked at as well: DAG files name them. One that is new here counts as touched
    /// at the next scan: it may have changed since it was read.
    pub fn watch_named(&mut self, paths: BTreeSet<PathBuf>) {
        self.named.retain(|path, _| paths.contains(path));
        for path in paths {
            self.named.entry(path).or_insert(None);
        }
    }

    /// Looks at every file, and reads those that changed since the last look. Blocking.
    ///
    /// # Errors
    /// If the folder itself cannot be listed. A single unreadable file or sub-folder is reported as its change.
    pub fn scan(&mut self) -> Result<News, FolderError> {
        let mut now = BTreeMap::new();
        list(&self.root, Path::new(""), 0, &mut now)
            .map_err(|source| FolderError::List { path: self.root.clone(), source })?;
        let mut changes = Vec::new();
        for path in self.seen.keys().filter(|path| !now.contains_key(*path)) {
            changes.push(FileChange::Removed { path: path.clone() });
        }
        for (path, stamp) in &now {
            if self.seen.get(path) != Some(stamp) {
                changes.push(FileChange::Changed { path: path.clone(), text: read(&self.root.join(path), stamp.1) });
            }
        }
        self.seen = now;
        let mut touched = BTreeSet::new();
        for (path, seen) in &mut self.named {
            let stamp = stamp_of(&self.root.join(path));
            if *seen != stamp {
                *seen = stamp;
                touched.insert(path.clone());
            }
        }
        Ok(News { changes, touched, commit: None, files: Arc::new(FolderFiles::new(self.root.clone())) })
    }
}

fn stamp_of(path: &Path) -> Option<Stamp> {
    let facts = std::fs::metadata(path).ok()?;
    Some((facts.modified().unwrap_or(SystemTime::UNIX_EPOCH), facts.len()))
}

fn list(root: &Path, below: &Path, depth: usize, found: &mut BTreeMap<PathBuf, Stamp>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(root.join(below))? {
        let entry = entry?;
        let name = entry.file_name();
        let hidden = name.to_str().is_none_or(|name| name.starts_with('.'));
        if hidden {
            continue;
        }
        let path = below.join(&name);
        // Follows links, so that a mounted or linked folder works; MAX_DEPTH ends a loop of links.
        let Ok(facts) = std::fs::metadata(entry.path()) else {
            if is_dag_file(&path) && entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                found.insert(path, NOWHERE);
            }
            continue;
        };
        if facts.is_dir() && depth < MAX_DEPTH {
            // A folder that cannot be listed hides its own files only.
            if let Err(error) = list(root, &path, depth + 1, found) {
                tracing::warn!(folder = %path.display(), %error, "cannot list this folder of DAG files");
            }
        } else if facts.is_file() && is_dag_file(&path) {
            found.insert(path, (facts.modified().unwrap_or(SystemTime::UNIX_EPOCH), facts.len()));
        }
    }
    Ok(())
}

fn read(path: &Path, length: u64) -> Result<String, String> {
    if length > MAX_DAG_FILE_BYTES {
        return Err(too_long(length));
    }
    let bytes = std::fs::read(path).map_err(|error| {
        if error.kind() == ErrorKind::NotFound && path.is_symlink() {
            return "it links to a file that is not there; mend the link or remove it".to_owned();
        }
        format!("the file cannot be read: {error}")
    })?;
    dag_text(bytes)
}

/// Tells when something below a folder changed. Drop it to stop.
#[derive(Debug)]
pub struct FolderWatch {
    changed: mpsc::Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl FolderWatch {
    /// Watches a folder and all below it, by the operating system's file events.
    ///
    /// # Errors
    /// If the operating system refuses, as when it has run out of watches.
    pub fn new(root: &Path) -> Result<Self, FolderError> {
        let (sender, changed) = mpsc::channel(1);
        let failed = |source| FolderError::Watch { path: root.to_owned(), source };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let access = event.as_ref().is_ok_and(|event| event.kind.is_access());
            if !access {
                // A full channel already holds the news.
                let _ = sender.try_send(());
            }
        })
        .map_err(failed)?;
        watcher.watch(root, RecursiveMode::Recursive).map_err(failed)?;
        Ok(Self { changed, _watcher: watcher })
    }

    /// Waits for a change, and for the writing to settle. Cancel safe.
    pub async fn changed(&mut self) {
        if self.changed.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        while tokio::time::timeout(SETTLE, self.changed.recv()).await.is_ok_and(|event| event.is_some()) {}
    }
}
