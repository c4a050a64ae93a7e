//! The demo's temporary folder: DAG, configuration, data and the lab's files. It is removed when dropped.

use std::fs::{self, DirBuilder, File, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

/// How much of the server's log is shown if the demo fails.
const LOG_LINES: usize = 20;

pub(super) struct DemoFolder {
    folder: TempDir,
}

impl DemoFolder {
    /// Makes it, with `dag` as its only DAG.
    pub(super) fn make(dag: &Path) -> Result<Self> {
        let text = fs::read(dag).with_context(|| {
            format!("the pipeline {} cannot be read; run the demo in Windrose's folder", dag.display())
        })?;
        let name = dag.file_name().with_context(|| format!("{} is no file", dag.display()))?;
        // PostgreSQL may run as another user, who must be able to enter the folder.
        let folder = tempfile::Builder::new()
            .prefix("windrose-demo-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .context("the demo's temporary folder cannot be made; name a folder with room in TMPDIR")?;
        let demo = Self { folder };
        demo.prepare(name.as_ref(), &text).context("the demo's temporary folder cannot be filled")?;
        Ok(demo)
    }

    fn prepare(&self, dag: &Path, text: &[u8]) -> std::io::Result<()> {
        DirBuilder::new().mode(0o700).create(self.data())?;
        fs::create_dir(self.dags())?;
        fs::write(self.dags().join(dag), text)
    }

    /// For the lab.
    pub(super) fn lab(&self) -> PathBuf {
        self.folder.path().join("lab")
    }

    /// The server's data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The server's DAG folder.
    pub(super) fn dags(&self) -> PathBuf {
        self.folder.path().join("dags")
    }

    /// The server's configuration file.
    pub(super) fn configuration(&self) -> PathBuf {
        self.folder.path().join("windrose.toml")
    }

    /// The file that takes what the server logs.
    pub(super) fn log(&self) -> Result<File> {
        File::create(self.log_path()).context("the server's log file cannot be made")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// Prints the last lines of the server's log, which is about to be removed.
    pub(super) fn print_log_end(&self) {
        let text = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
            eprintln!("{line}");
        }
    }
}
