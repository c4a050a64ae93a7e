//! Bundles that are folders, and the watches on them.

use std::path::PathBuf;

use futures::future::select_all;
use windrose_bundles::{BundleFolder, FolderError, FolderWatch};
use windrose_core::ids::BundleName;

/// A bundle that is a folder.
#[derive(Debug)]
pub(crate) struct LocalBundle {
    pub(crate) name: BundleName,
    pub(crate) folder: BundleFolder,
}

impl LocalBundle {
    pub(crate) fn new(name: BundleName, root: PathBuf) -> Self {
        Self { name, folder: BundleFolder::new(root) }
    }
}

/// Tells when something below one of the folders changed.
#[derive(Debug)]
pub(crate) struct Watches(Vec<FolderWatch>);

impl Watches {
    pub(crate) fn new(bundles: &[LocalBundle]) -> Result<Self, FolderError> {
        bundles.iter().map(|bundle| FolderWatch::new(bundle.folder.root())).collect::<Result<_, _>>().map(Self)
    }

    /// Waits for a change. Cancel safe; waits for ever without folders.
    pub(crate) async fn changed(&mut self) {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        select_all(self.0.iter_mut().map(|watch| Box::pin(watch.changed()))).await;
    }
}
