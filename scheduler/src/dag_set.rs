//! The DAGs that are loaded, and the versions that runs are pinned to.
//!
//! A file with errors never disturbs the others, and a DAG that once loaded keeps its last good version.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use windrose_bundles::{BundleFiles, Commit, FileChange, NamedPath, News, dag_text};
use windrose_core::dag_file::{self, DagSource};
use windrose_core::ids::{BundleName, DagId};
use windrose_core::time::Timestamp;
use windrose_engine::Plan;
use windrose_store::{BundleLoad, DagChange, ImportErrorRow, Store, StoreError};

use crate::dag_reading::{Parsed, Reading, facts_of, read_all};

/// A version of a DAG.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) plan: Arc<Plan>,
    pub(crate) hash: String,
    /// Relative to the bundle.
    pub(crate) file: PathBuf,
}

impl Version {
    /// The folder of its file, relative to the bundle: where the names of scripts are seen from.
    pub(crate) fn folder(&self) -> PathBuf {
        self.file.parent().map(Path::to_owned).unwrap_or_default()
    }
}

/// A DAG whose newest version has been loaded or changed.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) dag_id: DagId,
    pub(crate) change: DagChange,
}

/// A file of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct FileKey {
    bundle: BundleName,
    path: PathBuf,
}

#[derive(Debug)]
enum FileState {
    Holds(DagId),
    /// Its last good version, if it had one, stays.
    Broken {
        held: Option<DagId>,
        message: String,
        at: Timestamp,
        commit: Option<Commit>,
    },
    /// Another file already holds the DAG of that id.
    Collides {
        dag_id: DagId,
        with: FileKey,
        at: Timestamp,
    },
}

/// What a DAG file's version depends on besides its own text.
#[derive(Debug, Default)]
struct Named {
    looked_at: BTreeSet<PathBuf>,
    is_open_ended: bool,
}

/// A bundle as it was delivered last.
#[derive(Debug, Clone)]
struct Source {
    files: Arc<dyn BundleFiles>,
    commit: Option<Commit>,
}

pub(crate) struct DagSet {
    reading: Reading,
    newest: HashMap<DagId, Version>,
    /// The file that holds each DAG of `newest`.
    holders: HashMap<DagId, FileKey>,
    files: BTreeMap<FileKey, FileState>,
    named: HashMap<FileKey, Named>,
    sources: HashMap<BundleName, Source>,
    /// The errors of each bundle as they were last made durable.
    errors_kept: HashMap<BundleName, Vec<ImportErrorRow>>,
    /// Versions that are not the newest of their DAG but have runs.
    pinned: HashMap<(DagId, String), Version>,
}

/// News that have been taken in, and are to be made durable.
pub(crate) struct Intake {
    load: BundleLoad,
    is_new: bool,
}

impl Intake {
    /// False if nothing has changed at all.
    pub(crate) const fn is_worth_keeping(&self) -> bool {
        self.is_new
    }
}

impl DagSet {
    pub(crate) fn new(reading: Reading) -> Self {
        Self {
            reading,
            newest: HashMap::new(),
            holders: HashMap::new(),
            files: BTreeMap::new(),
            named: HashMap::new(),
            sources: HashMap::new(),
            errors_kept: HashMap::new(),
            pinned: HashMap::new(),
        }
    }

    /// The newest version of a DAG whose file is there.
    pub(crate) fn newest(&self, dag_id: &DagId) -> Option<&Version> {
        self.newest.get(dag_id)
    }

    pub(crate) fn ids(&self) -> HashSet<DagId> {
        self.newest.keys().cloned().collect()
    }

    /// The files that DAG files of this bundle name, to be watched.
    pub(crate) fn named_by(&self, bundle: &BundleName) -> BTreeSet<PathBuf> {
        let of_bundle = self.named.iter().filter(|(key, _)| key.bundle == *bundle);
        of_bundle.flat_map(|(_, named)| named.looked_at.iter().cloned()).collect()
    }

    /// Takes in a bundle's news. Nothing is told of it before [`DagSet::keep`] has made it durable.
    pub(crate) async fn take_in(&mut self, bundle: &BundleName, news: News, now: Timestamp) -> Intake {
        let source = Source { files: Arc::clone(&news.files), commit: news.commit.clone() };
        let other_commit = self.sources.get(bundle).is_none_or(|before| before.commit != news.commit);
        let mut is_new = other_commit || !news.changes.is_empty();
        let mut texts = BTreeMap::new();
        for change in news.changes {
            match change {
                FileChange::Removed { path } => self.forget(&FileKey { bundle: bundle.clone(), path }),
                FileChange::Changed { path, text } => drop(texts.insert(path, text)),
            }
        }
        let dependents = self.dependents(bundle, &news.touched);
        let (reading, files) = (self.reading.clone(), Arc::clone(&news.files));
        // Reading and parsing must not hold up the loop's other tasks.
        let read = tokio::task::spawn_blocking(move || {
            for path in dependents {
                texts.entry(path.clone()).or_insert_with(|| text_of(files.as_ref(), &path));
            }
            read_all(texts, files.as_ref(), &reading)
        });
        let read = match read.await {
            Ok(read) => read,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let mut dags = Vec::new();
        for (path, outcome) in read {
            let key = FileKey { bundle: bundle.clone(), path };
            let looked_at = Named { looked_at: outcome.looked_at, is_open_ended: outcome.is_open_ended };
            match outcome.parsed {
                Err(message) => {
                    tracing::warn!(%bundle, file = %key.path.display(), "a DAG file has errors; its last good version stays\n{message}");
                    self.forget_broken(key.clone(), message, now, news.commit.clone());
                }
                Ok(parsed) => dags.extend(self.take(&key, parsed, &source, now)),
            }
            self.named.insert(key, looked_at);
        }
        self.sources.insert(bundle.clone(), source);
        let errors = self.errors(bundle);
        is_new |= !dags.is_empty() || self.errors_kept.get(bundle) != Some(&errors);
        self.errors_kept.insert(bundle.clone(), errors.clone());
        let commit = news.commit.as_ref().map(facts_of);
        let load = BundleLoad { bundle: bundle.clone(), commit, dags, present: self.present(bundle), errors };
        Intake { load, is_new }
    }

    /// Makes what was taken in durable.
    pub(crate) async fn keep(
        &mut self,
        intake: &Intake,
        store: &Store,
        now: Timestamp,
    ) -> Result<Vec<Arrival>, StoreError> {
        let changes = store.load_bundle(&intake.load, now).await?;
        let mut arrivals = Vec::with_capacity(changes.len());
        for (dag, change) in intake.load.dags.iter().zip(changes) {
            arrivals.push(Arrival { dag_id: dag.dag_id.clone(), change });
            if change.is_held {
                self.refresh(&dag.dag_id, store).await?;
            }
        }
        Ok(arrivals)
    }

    /// Makes the version that the database names the newest in memory too; whether it was another.
    pub(crate) async fn refresh(&mut self, dag_id: &DagId, store: &Store) -> Result<bool, StoreError> {
        let Some(row) = store.dag(dag_id).await?.filter(|row| row.absent_since.is_none()) else { return Ok(false) };
        if self.newest.get(dag_id).is_none_or(|version| version.hash == row.version) {
            return Ok(false);
        }
        match self.version(dag_id, &row.version, store).await {
            Ok(version) => {
                self.replace_newest(dag_id, version);
                Ok(true)
            }
            Err(Unusable::Store(error)) => Err(error),
            Err(Unusable::Version(why)) => {
                tracing::error!(%dag_id, why, "the version that a person went back to cannot be used");
                Ok(false)
            }
        }
    }

    /// News for files that another file kept from loading, and that is gone now.
    pub(crate) fn freed(&self) -> Option<(BundleName, News)> {
        let free = |with: &FileKey, dag_id: &DagId| self.held_by(with) != Some(dag_id);
        let waiting: Vec<&FileKey> = self
            .files
            .iter()
            .filter(|(_, state)| matches!(state, FileState::Collides { dag_id, with, .. } if free(with, dag_id)))
            .map(|(key, _)| key)
            .collect();
        let bundle = &waiting.first()?.bundle;
        let source = self.sources.get(bundle)?;
        let of_bundle = waiting.iter().filter(|key| key.bundle == *bundle);
        let changed = |key: &&FileKey| FileChange::Changed {
            path: key.path.clone(),
            text: text_of(source.files.as_ref(), &key.path),
        };
        let news = News {
            changes: of_bundle.map(changed).collect(),
            touched: BTreeSet::new(),
            commit: source.commit.clone(),
            files: Arc::clone(&source.files),
        };
        Some((bundle.clone(), news))
    }

    /// DAG files of a bundle whose version may be another because of these files.
    fn dependents(&self, bundle: &BundleName, touched: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
        let depends = |named: &Named| named.is_open_ended || !named.looked_at.is_disjoint(touched);
        let is_known = |key: &FileKey| self.files.contains_key(key);
        let of_bundle = self.named.iter().filter(|(key, named)| key.bundle == *bundle && depends(named));
        of_bundle.map(|(key, _)| key).filter(|key| is_known(key)).map(|key| key.path.clone()).collect()
    }

    fn take(
        &mut self,
        key: &FileKey,
        parsed: Parsed,
        source: &Source,
        now: Timestamp,
    ) -> Option<windrose_store::LoadedDag> {
        let dag_id = parsed.dag.dag_id.clone();
        if let Some(with) = self.holders.get(&dag_id).filter(|with| *with != key).cloned() {
            self.forget(key);
            self.files.insert(key.clone(), FileState::Collides { dag_id, with, at: now });
            return None;
        }
        if self.held_by(key).is_some_and(|held| *held != dag_id) {
            // The file held another DAG before its id was changed.
            self.forget(key);
        }
        let row = parsed.row(&key.bundle, &key.path, source.commit.as_ref(), self.reading.paused_at_creation);
        let before = self.files.insert(key.clone(), FileState::Holds(dag_id.clone()));
        let unchanged = matches!(before, Some(FileState::Holds(_)))
            && self.newest.get(&dag_id).is_some_and(|version| version.hash == parsed.hash);
        self.holders.insert(dag_id.clone(), key.clone());
        if unchanged {
            return None;
        }
        let version =
            Version { plan: Arc::new(Plan::new(Arc::new(parsed.dag))), hash: parsed.hash, file: key.path.clone() };
        self.replace_newest(&dag_id, version);
        Some(row)
    }

    fn replace_newest(&mut self, dag_id: &DagId, version: Version) {
        let hash = version.hash.clone();
        if let Some(old) = self.newest.insert(dag_id.clone(), version)
            && old.hash != hash
        {
            self.pinned.insert((dag_id.clone(), old.hash.clone()), old);
        }
    }

    /// Takes the newest versions from the database instead of the files. One that this program cannot read is left out.
    pub(crate) async fn read_stored(&mut self, store: &Store) -> Result<(), StoreError> {
        for dag in store.dags().await?.into_iter().filter(|dag| dag.absent_since.is_none()) {
            match self.version(&dag.dag_id, &dag.version, store).await {
                Ok(version) => drop(self.newest.insert(dag.dag_id, version)),
                Err(Unusable::Store(error)) => return Err(error),
                Err(Unusable::Version(_)) => {}
            }
        }
        Ok(())
    }

    /// The same for the DAGs of a bundle that cannot be had now.
    pub(crate) async fn read_stored_bundle(&mut self, bundle: &BundleName, store: &Store) -> Result<(), StoreError> {
        for dag in store.dags().await?.into_iter().filter(|dag| dag.bundle == *bundle && dag.absent_since.is_none()) {
            if self.holders.contains_key(&dag.dag_id) {
                continue;
            }
            match self.version(&dag.dag_id, &dag.version, store).await {
                Ok(version) => {
                    let key = FileKey { bundle: bundle.clone(), path: PathBuf::from(&dag.file) };
                    self.newest.insert(dag.dag_id.clone(), version);
                    self.holders.insert(dag.dag_id.clone(), key.clone());
                    self.files.insert(key, FileState::Holds(dag.dag_id));
                }
                Err(Unusable::Store(error)) => return Err(error),
                Err(Unusable::Version(why)) => {
                    tracing::error!(dag_id = %dag.dag_id, why, "a DAG of a bundle that cannot be had cannot be read from the database");
                }
            }
        }
        Ok(())
    }

    /// The version a run is pinned to, from memory or from the database.
    pub(crate) async fn version(&mut self, dag_id: &DagId, hash: &str, store: &Store) -> Result<Version, Unusable> {
        if let Some(version) = self.newest.get(dag_id).filter(|v| v.hash == hash) {
            return Ok(version.clone());
        }
        let key = (dag_id.clone(), hash.to_owned());
        if let Some(version) = self.pinned.get(&key) {
            return Ok(version.clone());
        }
        let row = store.dag_version(dag_id, hash).await.map_err(Unusable::Store)?;
        let row = row.ok_or_else(|| Unusable::Version(format!("the database holds no version {hash} of it")))?;
        let source = DagSource { path: PathBuf::from(&row.file), text: row.source };
        let dag = dag_file::parse(&source, self.reading.catalog.as_ref(), &self.reading.defaults)
            .map_err(|errors| Unusable::Version(errors.to_string()))?;
        let version =
            Version { plan: Arc::new(Plan::new(Arc::new(dag))), hash: hash.to_owned(), file: PathBuf::from(row.file) };
        self.pinned.insert(key, version.clone());
        Ok(version)
    }

    /// The DAG that this file holds, be it with an older version.
    fn held_by(&self, key: &FileKey) -> Option<&DagId> {
        match self.files.get(key)? {
            FileState::Holds(dag_id) => Some(dag_id),
            FileState::Broken { held, .. } => held.as_ref(),
            FileState::Collides { .. } => None,
        }
    }

    fn forget(&mut self, key: &FileKey) {
        let held = self.held_by(key).cloned();
        self.files.remove(key);
        self.named.remove(key);
        if let Some(dag_id) = held {
            self.holders.remove(&dag_id);
            if let Some(version) = self.newest.remove(&dag_id) {
                // Its runs go on with the version they have.
                self.pinned.insert((dag_id, version.hash.clone()), version);
            }
        }
    }

    fn forget_broken(&mut self, key: FileKey, message: String, at: Timestamp, commit: Option<Commit>) {
        let held = self.held_by(&key).cloned();
        // What was wrong before is not new because somebody looked again.
        if matches!(self.files.get(&key), Some(FileState::Broken { message: before, .. }) if *before == message) {
            return;
        }
        self.files.insert(key, FileState::Broken { held, message, at, commit });
    }

    fn present(&self, bundle: &BundleName) -> HashSet<DagId> {
        self.holders.iter().filter(|(_, key)| key.bundle == *bundle).map(|(dag_id, _)| dag_id.clone()).collect()
    }

    fn errors(&self, bundle: &BundleName) -> Vec<ImportErrorRow> {
        let rows = self.files.iter().filter(|(key, _)| key.bundle == *bundle).filter_map(|(key, state)| {
            let (message, at, dag_id, commit) = match state {
                FileState::Holds(_) => return None,
                FileState::Broken { held, message, at, commit } => {
                    (message.clone(), *at, held.clone(), commit.as_ref())
                }
                FileState::Collides { dag_id, with, at } => {
                    let of_bundle = if with.bundle == *bundle {
                        String::new()
                    } else {
                        format!(" of the bundle '{}'", with.bundle)
                    };
                    let message = format!(
                        "the DAG id '{dag_id}' is already used by {}{of_bundle}; give one of the two another dag_id",
                        with.path.display()
                    );
                    (message, *at, Some(dag_id.clone()), None)
                }
            };
            Some(ImportErrorRow {
                bundle: bundle.clone(),
                file: key.path.display().to_string(),
                dag_id,
                message,
                at,
                git_commit: commit.map(|commit| commit.id.clone()),
                author: commit.map(|commit| commit.author.clone()),
            })
        });
        rows.collect()
    }
}

/// The text of a DAG file that did not change itself.
fn text_of(files: &dyn BundleFiles, path: &Path) -> Result<String, String> {
    let name = path.to_str().ok_or_else(|| "the file's name is no text".to_owned())?;
    let bytes = files.read(&NamedPath::new(Path::new(""), name)?)?.ok_or_else(|| "the file is gone".to_owned())?;
    dag_text(bytes)
}

/// A version cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(transparent)]
    Store(windrose_store::StoreError),
    #[error("{0}")]
    Version(String),
}
