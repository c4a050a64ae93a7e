//! What can stop the scheduler, or a part of its work.

use std::path::PathBuf;

use windrose_store::StoreError;

/// Anything that the scheduler cannot mend by itself.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// The folder of DAG files cannot be listed.
    #[error("the folder of DAG files {} cannot be listed: {source}. Create it, or name another one with `dags`", path.display())]
    DagFolder {
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
    /// The database refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}
