//! What a bundle has to tell.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use windrose_core::time::Timestamp;

use crate::files::BundleFiles;

/// A longer DAG file is refused before it is read.
pub const MAX_DAG_FILE_BYTES: u64 = 1 << 20;

/// What happened to one DAG file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileChange {
    /// It is new or different.
    Changed {
        /// Relative to the bundle.
        path: PathBuf,
        /// Its text, or a sentence on why it cannot be read.
        text: Result<String, String>,
    },
    /// It is gone.
    Removed {
        /// Relative to the bundle.
        path: PathBuf,
    },
}

/// The state of a repository that files come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its full id, in hexadecimal.
    pub id: String,
    /// Who wrote it: `Name <address>`.
    pub author: String,
    /// When, by the author's clock.
    pub authored_at: Timestamp,
    /// The first line of its message.
    pub subject: String,
}

impl Commit {
    /// As people name it: the first twelve digits.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.id[..self.id.len().min(12)]
    }
}

/// Everything that changed since the news before, to be taken in together.
#[derive(Debug, Clone)]
pub struct News {
    /// DAG files.
    pub changes: Vec<FileChange>,
    /// Other files that are new, different or gone: scripts and statements.
    pub touched: BTreeSet<PathBuf>,
    /// Where it all comes from, if it is a repository.
    pub commit: Option<Commit>,
    /// The files as they are now.
    pub files: Arc<dyn BundleFiles>,
}

/// Whether this is the name of a DAG file: TOML, but not the configuration.
#[must_use]
pub fn is_dag_file(path: &Path) -> bool {
    path.extension().is_some_and(|ext| ext == "toml") && path.file_name().is_some_and(|name| name != "windrose.toml")
}

/// Whether a path names a DAG file that counts: what begins with a dot does not.
fn is_visible_dag_file(path: &Path) -> bool {
    is_dag_file(path) && !path.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
}

/// What differs between two listings of a bundle: DAG files, with their texts, and the paths of other files.
pub fn differences<T: PartialEq>(
    before: &BTreeMap<PathBuf, T>,
    now: &BTreeMap<PathBuf, T>,
    text: impl Fn(&Path, &T) -> Result<String, String>,
) -> (Vec<FileChange>, BTreeSet<PathBuf>) {
    let (mut changes, mut touched) = (Vec::new(), BTreeSet::new());
    for path in before.keys().filter(|path| !now.contains_key(*path)) {
        if is_visible_dag_file(path) {
            changes.push(FileChange::Removed { path: path.clone() });
        } else {
            touched.insert(path.clone());
        }
    }
    for (path, entry) in now.iter().filter(|(path, entry)| before.get(*path) != Some(entry)) {
        if is_visible_dag_file(path) {
            changes.push(FileChange::Changed { path: path.clone(), text: text(path, entry) });
        } else {
            touched.insert(path.clone());
        }
    }
    (changes, touched)
}

/// The text of a DAG file, from its bytes.
///
/// # Errors
/// A sentence, if they are no text.
pub fn dag_text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "the file is not UTF-8 text".to_owned())
}

/// Why a DAG file of this length is refused.
#[must_use]
pub fn too_long(length: u64) -> String {
    format!("the file has {length} bytes; a DAG file may have {MAX_DAG_FILE_BYTES} at most")
}
