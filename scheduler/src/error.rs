//! What can stop the scheduler, or a part of its work.

use windrose_bundles::FolderError;
use windrose_store::StoreError;

/// Anything that the scheduler cannot mend by itself.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// A folder of DAG files cannot be listed or watched.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The database refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}
