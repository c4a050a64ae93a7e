//! What a bundle has to tell.

use std::collections::BTreeSet;
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

/// The text of a DAG file.
pub(crate) fn dag_text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "the file is not UTF-8 text".to_owned())
}

pub(crate) fn too_long(length: u64) -> String {
    format!("the file has {length} bytes; a DAG file may have {MAX_DAG_FILE_BYTES} at most")
}
