//! The files of DAG versions, put into folders for those that run: one folder per version, made once and never changed.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use windrose_core::claim::Claim;

use crate::port::{BundleFile, PortError, WorkerPort};

/// A folder that nobody has used for so long is removed.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Why the files of a version are not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Missing {
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("the files of the DAG's version cannot be put into {}: {source}; see to the worker's disk", folder.display())]
    Disk { folder: PathBuf, source: std::io::Error },
}

/// Where a claim's files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The bundle's top.
    pub(crate) root: PathBuf,
    /// The folder of the DAG file.
    pub(crate) folder: PathBuf,
}

impl Place {
    /// Without files: what is only about a DAG names none.
    pub(crate) fn of(claim: &Claim) -> Self {
        Self { root: claim.dag_folder.clone(), folder: claim.dag_folder.clone() }
    }
}

/// The folders of all versions.
#[derive(Debug)]
pub(crate) struct VersionFolders {
    root: PathBuf,
    ready: Mutex<HashSet<String>>,
}

impl VersionFolders {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, ready: Mutex::default() }
    }

    /// The folder of a claim's version, made if it is not there.
    pub(crate) async fn place(&self, port: &dyn WorkerPort, claim: &Claim) -> Result<Place, Missing> {
        let version = &claim.run.dag_version;
        // About a DAG as a whole, which has no version.
        if version.is_empty() || claim.dag_folder.is_absolute() {
            return Ok(Place::of(claim));
        }
        let name = format!("{}-{version}", claim.dag.dag_id);
        let root = self.root.join(&name);
        let place = Place { folder: root.join(&claim.dag_folder), root };
        if self.ready().contains(&name) {
            return Ok(place);
        }
        let Some(files) = port.version_files(&claim.dag.dag_id, version).await? else { return Ok(Place::of(claim)) };
        let (root, dag_folder) = (place.root.clone(), claim.dag_folder.clone());
        let made = tokio::task::spawn_blocking(move || make(&root, &dag_folder, &files)).await;
        let disk = |source| Missing::Disk { folder: place.root.clone(), source };
        made.map_err(|error| disk(std::io::Error::other(error)))?.map_err(disk)?;
        self.ready().insert(name);
        Ok(place)
    }

    fn ready(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the folders that nobody has used for a long time. Blocking.
    pub(crate) fn remove_old(&self, now: SystemTime) {
        for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let used = entry.metadata().and_then(|facts| facts.modified());
            if used.is_ok_and(|used| now.duration_since(used).is_ok_and(|age| age > KEPT)) {
                // Another worker may be removing it too.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// Other workers may make the same folder: the first one that is complete stays.
fn make(root: &Path, dag_folder: &Path, files: &[BundleFile]) -> std::io::Result<()> {
    if let Ok(folder) = File::open(root) {
        // It has been used just now.
        return folder.set_modified(SystemTime::now());
    }
    let above = root.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(above)?;
    let made = tempfile::Builder::new().prefix(".making-").tempdir_in(above)?;
    fs::create_dir_all(made.path().join(dag_folder))?;
    for file in files {
        let path = made.path().join(&file.path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut written = File::create_new(&path)?;
        written.write_all(&file.content)?;
        // The folder must not appear with empty files after a power cut.
        written.sync_all()?;
    }
    let made = made.keep();
    match fs::rename(&made, root) {
        Ok(()) => Ok(()),
        Err(_) if root.is_dir() => fs::remove_dir_all(made),
        Err(error) => Err(error),
    }
}
