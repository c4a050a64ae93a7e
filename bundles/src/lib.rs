//! Where DAG files come from: folders, git repositories, and whatever else implements [`RemoteBundle`].
//!
//! A bundle is a set of files with a name. Its files change together: a commit is taken in whole or not at all, and what a
//! bundle delivered last stays in force as long as it delivers nothing newer, be it because its repository has vanished.
//! A [`Feed`] asks the remote ones again and again, each in a task of its own, so that none waits for another.

mod feed;
mod files;
pub mod git;
mod local;
mod news;
mod version_files;

pub use feed::{Delivery, Feed, RemoteBundle, Trouble};
pub use files::{BundleFiles, FolderFiles, MAX_NAMED_FILE_BYTES, NamedPath};
pub use local::{BundleFolder, FolderError, FolderWatch};
pub use news::{Commit, FileChange, MAX_DAG_FILE_BYTES, News, dag_text, differences, is_dag_file, too_long};
pub use version_files::{FileProblem, VersionFile, VersionFiles, version_files};
