//! A real git repository to push to.

#![allow(clippy::expect_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// A bare repository, and a working tree that pushes to it.
#[derive(Debug)]
pub struct GitWorkshop {
    folder: tempfile::TempDir,
}

impl Default for GitWorkshop {
    fn default() -> Self {
        Self::new()
    }
}

impl GitWorkshop {
    /// An empty repository with the branch `main`.
    ///
    /// # Panics
    /// If git is not there.
    #[must_use]
    pub fn new() -> Self {
        let workshop = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        workshop.git(workshop.folder.path(), &["init", "-q", "--bare", "-b", "main", "origin.git"]);
        workshop.git(workshop.folder.path(), &["init", "-q", "-b", "main", "tree"]);
        workshop.git(&workshop.tree(), &["remote", "add", "origin", "../origin.git"]);
        workshop
    }

    /// Something in the folder with both.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The working tree.
    #[must_use]
    pub fn tree(&self) -> PathBuf {
        self.path("tree")
    }

    /// The bare repository.
    #[must_use]
    pub fn origin(&self) -> PathBuf {
        self.path("origin.git")
    }

    /// The address of the bare repository.
    #[must_use]
    pub fn url(&self) -> String {
        format!("file://{}", self.origin().display())
    }

    /// Runs git as Ada and returns what it says.
    ///
    /// # Panics
    /// If it fails.
    pub fn git(&self, at: &Path, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]);
        command.args(arguments).current_dir(at).env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = command.output().expect("git is not installed; install it");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    /// Writes a file of the working tree.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.tree().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for the file");
        std::fs::write(path, content).expect("a file");
    }

    /// Removes a file of the working tree.
    ///
    /// # Panics
    /// If it is not there.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.tree().join(name)).expect("a file to remove");
    }

    /// Commits everything, and returns the commit.
    pub fn commit(&self, message: &str) -> String {
        self.git(&self.tree(), &["add", "-A"]);
        self.git(&self.tree(), &["commit", "-q", "-m", message]);
        self.git(&self.tree(), &["rev-parse", "HEAD"])
    }

    /// Pushes with these arguments.
    pub fn push(&self, arguments: &[&str]) {
        self.git(&self.tree(), &[&["push", "-q", "origin"], arguments].concat());
    }

    /// Commits everything and pushes it to `main`; returns the commit.
    pub fn publish(&self, message: &str) -> String {
        let commit = self.commit(message);
        self.push(&["main"]);
        commit
    }
}
