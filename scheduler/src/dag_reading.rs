//! From the texts of DAG files to versions of DAGs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use windrose_bundles::{BundleFiles, Commit, VersionFiles, version_files};
use windrose_core::catalog::Catalog;
use windrose_core::dag::Dag;
use windrose_core::dag_file::{self, DagSource, Defaults};
use windrose_core::ids::BundleName;
use windrose_core::timetable::Timetable;
use windrose_store::{CommitFacts, LoadedDag, VersionFile};

use crate::assets::{references, summary};

/// Fewer files than this are not worth another thread.
const FILES_PER_THREAD: usize = 32;

/// What reading a DAG file takes besides its text.
#[derive(Clone)]
pub(crate) struct Reading {
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) defaults: Arc<Defaults>,
    pub(crate) paused_at_creation: bool,
}

/// A DAG file that is right.
pub(crate) struct Parsed {
    pub(crate) dag: Dag,
    pub(crate) hash: String,
    text: String,
    files: Vec<VersionFile>,
}

/// What came of reading a DAG file.
pub(crate) struct Outcome {
    /// Or everything that is wrong with it.
    pub(crate) parsed: Result<Parsed, String>,
    /// Other files that were looked at for it.
    pub(crate) looked_at: BTreeSet<PathBuf>,
    /// New files may come to belong to it.
    pub(crate) is_open_ended: bool,
}

impl Parsed {
    /// The row of this version.
    pub(crate) fn row(
        &self,
        bundle: &BundleName,
        path: &Path,
        commit: Option<&Commit>,
        paused_at_creation: bool,
    ) -> LoadedDag {
        let dag = &self.dag;
        LoadedDag {
            dag_id: dag.dag_id.clone(),
            bundle: bundle.clone(),
            file: path.display().to_string(),
            hash: self.hash.clone(),
            source: self.text.clone(),
            description: dag.description.clone(),
            owner: dag.owner.clone(),
            tags: dag.tags.clone(),
            schedule: Timetable::new(&dag.schedule, dag.timezone)
                .ok()
                .map(|timetable| summary(dag, &timetable))
                .filter(|summary| summary != "None"),
            commit: commit.map(facts_of),
            files: self.files.clone(),
            assets: references(dag),
            paused: dag.paused.unwrap_or(paused_at_creation),
        }
    }
}

/// A commit as it is stored.
pub(crate) fn facts_of(commit: &Commit) -> CommitFacts {
    CommitFacts {
        id: commit.id.clone(),
        author: commit.author.clone(),
        committed_at: commit.authored_at,
        subject: commit.subject.clone(),
    }
}

/// Reads many DAG files, on as many threads as there are processors. Blocking.
pub(crate) fn read_all(
    texts: BTreeMap<PathBuf, Result<String, String>>,
    files: &dyn BundleFiles,
    reading: &Reading,
) -> Vec<(PathBuf, Outcome)> {
    let texts: Vec<_> = texts.into_iter().collect();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let threads = processors.min(texts.len() / FILES_PER_THREAD).max(1);
    let share = texts.len().div_ceil(threads).max(1);
    let read = |part: &[(PathBuf, Result<String, String>)]| -> Vec<_> {
        part.iter().map(|(path, text)| (path.clone(), read_safely(path, text.clone(), files, reading))).collect()
    };
    if threads == 1 {
        return read(&texts);
    }
    std::thread::scope(|scope| {
        let parts: Vec<_> = texts.chunks(share).map(|part| scope.spawn(move || read(part))).collect();
        let done = parts.into_iter().map(|part| match part.join() {
            Ok(outcomes) => outcomes,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        done.flatten().collect()
    })
}

/// A mistake of ours in reading one file must not stop the others.
fn read_safely(path: &Path, text: Result<String, String>, files: &dyn BundleFiles, reading: &Reading) -> Outcome {
    let read = std::panic::AssertUnwindSafe(|| read_one(path, text, files, reading));
    std::panic::catch_unwind(read).unwrap_or_else(|_| Outcome {
        parsed: Err(
            "reading this file failed inside Windrose, which is a mistake of Windrose; please report it".to_owned()
        ),
        looked_at: BTreeSet::new(),
        is_open_ended: false,
    })
}

fn read_one(path: &Path, text: Result<String, String>, files: &dyn BundleFiles, reading: &Reading) -> Outcome {
    let wrong = |message| Outcome { parsed: Err(message), looked_at: BTreeSet::new(), is_open_ended: false };
    let source = match text {
        Ok(text) => DagSource { path: path.to_owned(), text },
        Err(message) => return wrong(message),
    };
    let dag = match dag_file::parse(&source, reading.catalog.as_ref(), &reading.defaults) {
        Ok(dag) => dag,
        Err(errors) => return wrong(errors.to_string()),
    };
    let found = version_files(&dag, path, files, reading.catalog.as_ref());
    Outcome {
        looked_at: found.looked_at.clone(),
        is_open_ended: found.is_open_ended,
        parsed: parsed(dag, source, found),
    }
}

fn parsed(dag: Dag, source: DagSource, found: VersionFiles) -> Result<Parsed, String> {
    if !found.problems.is_empty() {
        let problems = found.problems.iter().map(|p| (p.task.as_ref(), p.name.as_str(), p.message.as_str()));
        return Err(dag_file::file_problems(&source, problems).to_string());
    }
    let content_hash = dag_file::content_hash(&source.text).map_err(|errors| errors.to_string())?;
    let hash = found.version(&content_hash);
    let files = found.files.into_iter().map(|(path, file)| VersionFile {
        path: path.display().to_string(),
        hash: file.hash,
        content: file.content,
    });
    Ok(Parsed { dag, hash, text: source.text, files: files.collect() })
}
