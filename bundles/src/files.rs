//! The files of a bundle at one moment. Nothing outside the bundle is reached: neither by `..`, nor by an absolute name, nor
//! through a symbolic link.

use std::fmt;
use std::path::{Component, Path, PathBuf};

/// A longer file cannot be part of a DAG's version.
pub const MAX_NAMED_FILE_BYTES: u64 = 16 << 20;

/// The path of a file in a bundle: relative, and made of plain names only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedPath(PathBuf);

impl NamedPath {
    /// What a DAG file names, seen from a folder of the bundle.
    ///
    /// # Errors
    /// A sentence, if it is absolute or holds `..`.
    pub fn new(folder: &Path, name: &str) -> Result<Self, String> {
        let mut path = PathBuf::new();
        for part in folder.join(name).components() {
            match part {
                Component::Normal(part) => path.push(part),
                Component::CurDir => {}
                Component::ParentDir => {
                    return Err(format!(
                        "'{name}' holds '..', which is not allowed: name a file below the DAG's folder, or give its path from the top of the bundle"
                    ));
                }
                Component::RootDir | Component::Prefix(_) => {
                    return Err(format!("'{name}' is an absolute path; name a file of the bundle"));
                }
            }
        }
        Ok(Self(path))
    }

    /// The path, relative to the bundle.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for NamedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// The files of a bundle at one moment.
pub trait BundleFiles: fmt::Debug + Send + Sync {
    /// What a file holds; `None` if there is none. Blocking.
    ///
    /// # Errors
    /// A sentence that says why it cannot be had: it is too long, no file, or a link that leads out of the bundle.
    fn read(&self, path: &NamedPath) -> Result<Option<Vec<u8>>, String>;

    /// The files below a folder, in order; none if there is no such folder. Blocking.
    ///
    /// # Errors
    /// A sentence that says why they cannot be listed.
    fn below(&self, folder: &NamedPath) -> Result<Vec<NamedPath>, String>;
}

/// The files of a folder.
#[derive(Debug, Clone)]
pub struct FolderFiles {
    root: PathBuf,
}

impl FolderFiles {
    /// Nothing is read yet.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where a path of the bundle is; `None` if nothing is there.
    fn find(&self, path: &NamedPath) -> Result<Option<PathBuf>, String> {
        let unreadable = |error: std::io::Error| format!("'{path}' cannot be read: {error}");
        let root = self.root.canonicalize().map_err(unreadable)?;
        let found = match root.join(path.as_path()).canonicalize() {
            Ok(found) => found,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(unreadable(error)),
        };
        if !found.starts_with(&root) {
            return Err(format!(
                "'{path}' leads out of the bundle, which is not allowed. Move the file into the bundle"
            ));
        }
        Ok(Some(found))
    }
}

impl BundleFiles for FolderFiles {
    fn read(&self, path: &NamedPath) -> Result<Option<Vec<u8>>, String> {
        let Some(found) = self.find(path)? else { return Ok(None) };
        let unreadable = |error: std::io::Error| format!("'{path}' cannot be read: {error}");
        let facts = std::fs::metadata(&found).map_err(unreadable)?;
        if !facts.is_file() {
            return Err(format!("'{path}' is not a file"));
        }
        if facts.len() > MAX_NAMED_FILE_BYTES {
            return Err(too_large(path, facts.len()));
        }
        std::fs::read(&found).map(Some).map_err(unreadable)
    }

    fn below(&self, folder: &NamedPath) -> Result<Vec<NamedPath>, String> {
        let mut files = Vec::new();
        let mut open = vec![folder.clone()];
        while let Some(folder) = open.pop() {
            let Some(found) = self.find(&folder)? else { continue };
            let unreadable = |error: std::io::Error| format!("'{folder}' cannot be listed: {error}");
            for entry in std::fs::read_dir(found).map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                let path = NamedPath(folder.as_path().join(entry.file_name()));
                let kind = entry.file_type().map_err(unreadable)?;
                match (kind.is_dir(), kind.is_file()) {
                    (true, _) => open.push(path),
                    (_, true) => files.push(path),
                    // A link of a folder is not followed: it may lead back.
                    _ => {}
                }
            }
        }
        files.sort_unstable();
        Ok(files)
    }
}

pub(crate) fn too_large(path: &NamedPath, length: u64) -> String {
    format!("'{path}' has {length} bytes; a file that a DAG names may have {MAX_NAMED_FILE_BYTES} at most")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::path::Path;

    use super::{BundleFiles as _, FolderFiles, NamedPath};

    fn named(name: &str) -> Result<NamedPath, String> {
        NamedPath::new(Path::new("team"), name)
    }

    #[test]
    fn names_stay_within_the_bundle() {
        assert_eq!(named("./sql/load.sql").unwrap().as_path(), Path::new("team/sql/load.sql"));
        assert!(named("../other/load.sql").unwrap_err().contains("holds '..'"));
        assert!(named("/etc/passwd").unwrap_err().contains("absolute"));
    }

    #[test]
    fn a_link_out_of_the_folder_is_refused_and_one_within_is_followed() {
        let around = tempfile::tempdir().unwrap();
        let root = around.path().join("bundle");
        std::fs::create_dir_all(root.join("team")).unwrap();
        std::fs::write(around.path().join("secret"), "s").unwrap();
        std::fs::write(root.join("team/load.sql"), "SELECT 1").unwrap();
        std::os::unix::fs::symlink(around.path().join("secret"), root.join("team/out")).unwrap();
        std::os::unix::fs::symlink("load.sql", root.join("team/within")).unwrap();
        let files = FolderFiles::new(root);
        assert!(files.read(&named("out").unwrap()).unwrap_err().contains("leads out of the bundle"));
        assert_eq!(files.read(&named("within").unwrap()).unwrap().unwrap(), b"SELECT 1");
        assert_eq!(files.read(&named("none").unwrap()).unwrap(), None);
        assert_eq!(files.read(&named("load.sql/none").unwrap()).unwrap(), None);
        assert_eq!(files.below(&named("").unwrap()).unwrap(), [named("load.sql").unwrap()]);
    }
}
