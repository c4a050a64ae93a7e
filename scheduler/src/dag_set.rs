//! The DAGs that are loaded, and the versions that runs are pinned to.
//!
//! A file with errors never disturbs the others, and a DAG that once loaded keeps its last good version.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use windrose_core::catalog::Catalog;
use windrose_core::dag::Dag;
use windrose_core::dag_file::{self, DagSource, Defaults};
use windrose_core::ids::DagId;
use windrose_core::time::Timestamp;
use windrose_core::timetable::Timetable;
use windrose_engine::Plan;
use windrose_store::{DagChange, ImportErrorRow, Store, StoreError};

use crate::assets::references;
use crate::dag_folder::FileChange;
use crate::error::SchedulerError;

/// What reading a DAG file takes besides its text.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) defaults: Arc<Defaults>,
}

/// A version of a DAG.
#[derive(Debug, Clone)]
pub(crate) struct Version {
    pub(crate) plan: Arc<Plan>,
    pub(crate) hash: String,
    /// Relative to the folder of DAG files.
    pub(crate) file: PathBuf,
}

/// A DAG whose newest version has been loaded or changed.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) dag_id: DagId,
    pub(crate) change: DagChange,
}

struct Parsed {
    dag: Dag,
    hash: String,
    text: String,
}

#[derive(Debug)]
enum FileState {
    Holds(DagId),
    /// Its last good version, if it had one, stays.
    Broken {
        held: Option<DagId>,
        message: String,
        at: Timestamp,
    },
    /// Another file already holds the DAG of that id.
    Collides {
        dag_id: DagId,
        with: PathBuf,
        at: Timestamp,
    },
}

pub(crate) struct DagSet {
    root: PathBuf,
    reading: Reading,
    newest: HashMap<DagId, Version>,
    files: BTreeMap<PathBuf, FileState>,
    /// Versions that are not the newest of their DAG but have runs.
    pinned: HashMap<(DagId, String), Version>,
}

impl DagSet {
    pub(crate) fn new(root: PathBuf, reading: Reading) -> Self {
        Self { root, reading, newest: HashMap::new(), files: BTreeMap::new(), pinned: HashMap::new() }
    }

    /// The newest version of a DAG whose file is there.
    pub(crate) fn newest(&self, dag_id: &DagId) -> Option<&Version> {
        self.newest.get(dag_id)
    }

    pub(crate) fn ids(&self) -> HashSet<DagId> {
        self.newest.keys().cloned().collect()
    }

    /// The folder that scripts of this version are found in.
    pub(crate) fn folder_of(&self, version: &Version) -> PathBuf {
        self.root.join(&version.file).parent().map_or_else(|| self.root.clone(), Path::to_owned)
    }

    /// Takes in what changed, and makes it durable.
    pub(crate) async fn apply(
        &mut self,
        changes: Vec<FileChange>,
        paused_at_creation: bool,
        store: &Store,
        now: Timestamp,
    ) -> Result<Vec<Arrival>, SchedulerError> {
        let mut arrivals = Vec::new();
        let mut read = Vec::new();
        for change in changes {
            match change {
                FileChange::Removed { path } => self.forget(&path),
                FileChange::Changed { path, text } => read.push((path, text)),
            }
        }
        let reading = self.reading.clone();
        // Parsing is work for the processor: it must not hold up the loop's other tasks.
        let parsed = tokio::task::spawn_blocking(move || parse_all(read, &reading)).await.unwrap_or_default();
        for (path, outcome) in parsed {
            match outcome {
                Err(message) => {
                    tracing::warn!(file = %path.display(), "a DAG file has errors; its last good version stays\n{message}");
                    self.forget_broken(path, message, now);
                }
                Ok(parsed) => arrivals.extend(self.take(path, parsed, paused_at_creation, store, now).await?),
            }
        }
        store.mark_absent(&self.ids(), now).await?;
        store.replace_import_errors(&self.errors()).await?;
        Ok(arrivals)
    }

    /// Paths that another file kept from loading, and that is gone now: they are to be looked at again.
    pub(crate) fn freed(&self) -> Vec<PathBuf> {
        let free = |with: &PathBuf, dag_id: &DagId| self.held_by(with) != Some(dag_id);
        let waiting = self.files.iter().filter_map(|(path, state)| match state {
            FileState::Collides { dag_id, with, .. } if free(with, dag_id) => Some(path.clone()),
            _ => None,
        });
        waiting.collect()
    }

    async fn take(
        &mut self,
        path: PathBuf,
        parsed: Parsed,
        paused_at_creation: bool,
        store: &Store,
        now: Timestamp,
    ) -> Result<Option<Arrival>, SchedulerError> {
        let dag_id = parsed.dag.dag_id.clone();
        if let Some(with) = self.newest.get(&dag_id).map(|v| v.file.clone()).filter(|with| *with != path) {
            self.forget(&path);
            self.files.insert(path, FileState::Collides { dag_id, with, at: now });
            return Ok(None);
        }
        self.forget_other_dag(&path, &dag_id);
        let row = windrose_store::LoadedDag {
            dag_id: dag_id.clone(),
            file: path.display().to_string(),
            hash: parsed.hash.clone(),
            source: parsed.text,
            description: parsed.dag.description.clone(),
            owner: parsed.dag.owner.clone(),
            tags: parsed.dag.tags.clone(),
            schedule: Timetable::new(&parsed.dag.schedule, parsed.dag.timezone)
                .ok()
                .map(|timetable| crate::assets::summary(&parsed.dag, &timetable))
                .filter(|summary| summary != "None"),
            git_commit: None,
            author: None,
            assets: references(&parsed.dag),
        };
        let change = store.put_dag(&row, parsed.dag.paused.unwrap_or(paused_at_creation), now).await?;
        if let Some(old) = self.newest.remove(&dag_id)
            && old.hash != parsed.hash
        {
            self.pinned.insert((dag_id.clone(), old.hash.clone()), old);
        }
        self.files.insert(path.clone(), FileState::Holds(dag_id.clone()));
        let plan = Arc::new(Plan::new(Arc::new(parsed.dag)));
        self.newest.insert(dag_id.clone(), Version { plan, hash: parsed.hash, file: path });
        Ok(Some(Arrival { dag_id, change }))
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
    fn held_by(&self, path: &Path) -> Option<&DagId> {
        match self.files.get(path)? {
            FileState::Holds(dag_id) => Some(dag_id),
            FileState::Broken { held, .. } => held.as_ref(),
            FileState::Collides { .. } => None,
        }
    }

    fn forget(&mut self, path: &Path) {
        let held = self.held_by(path).cloned();
        self.files.remove(path);
        if let Some(dag_id) = held
            && let Some(version) = self.newest.remove(&dag_id)
        {
            // Its runs go on with the version they have.
            self.pinned.insert((dag_id, version.hash.clone()), version);
        }
    }

    /// The file held another DAG before its id was changed.
    fn forget_other_dag(&mut self, path: &Path, dag_id: &DagId) {
        if self.held_by(path).is_some_and(|held| held != dag_id) {
            self.forget(path);
        }
    }

    fn forget_broken(&mut self, path: PathBuf, message: String, at: Timestamp) {
        let held = self.held_by(&path).cloned();
        self.files.insert(path, FileState::Broken { held, message, at });
    }

    fn errors(&self) -> Vec<ImportErrorRow> {
        let rows = self.files.iter().filter_map(|(path, state)| {
            let (message, at, dag_id) = match state {
                FileState::Holds(_) => return None,
                FileState::Broken { held, message, at } => (message.clone(), *at, held.clone()),
                FileState::Collides { dag_id, with, at } => (
                    format!(
                        "the DAG id '{dag_id}' is already used by {}; give one of the two another dag_id",
                        with.display()
                    ),
                    *at,
                    Some(dag_id.clone()),
                ),
            };
            Some(ImportErrorRow { file: path.display().to_string(), dag_id, message, at })
        });
        rows.collect()
    }
}

/// A version cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    #[error(transparent)]
    Store(windrose_store::StoreError),
    #[error("{0}")]
    Version(String),
}

fn parse_all(
    files: Vec<(PathBuf, Result<String, String>)>,
    reading: &Reading,
) -> Vec<(PathBuf, Result<Parsed, String>)> {
    let parse = |path: &Path, text: Result<String, String>| {
        let source = DagSource { path: path.to_owned(), text: text? };
        let dag = dag_file::parse(&source, reading.catalog.as_ref(), &reading.defaults).map_err(|e| e.to_string())?;
        let hash = dag_file::content_hash(&source.text).map_err(|e| e.to_string())?;
        Ok(Parsed { dag, hash, text: source.text })
    };
    files.into_iter().map(|(path, text)| (path.clone(), parse(&path, text))).collect()
}
