//! PostgreSQL's programs, and as whom they run.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{Uid, User};

use super::{TestkitError, files};

/// The folder of the programs, and the user to run them as if this process is root.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    bin: PathBuf,
    user: Option<(u32, u32)>,
}

impl Programs {
    pub(crate) fn find() -> Result<Self, TestkitError> {
        let bin = newest_bin().or_else(bin_on_path).ok_or(TestkitError::Missing { program: "initdb" })?;
        if !Uid::effective().is_root() {
            return Ok(Self { bin, user: None });
        }
        let user = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
        let user = user.ok_or(TestkitError::NoUser)?;
        Ok(Self { bin, user: Some((user.uid.as_raw(), user.gid.as_raw())) })
    }

    /// The user the programs run as, if that is not the user of this process.
    pub(crate) fn user_id(&self) -> Option<String> {
        self.user.map(|(uid, _)| uid.to_string())
    }

    pub(crate) fn path(&self, program: &str) -> PathBuf {
        self.bin.join(program)
    }

    /// Makes a folder that the server may write to.
    pub(crate) fn make_folder(&self, path: &Path) -> Result<(), TestkitError> {
        std::fs::create_dir_all(path).map_err(files(path))?;
        match self.user {
            Some((uid, gid)) => chown(path, Some(uid), Some(gid)).map_err(files(path)),
            None => Ok(()),
        }
    }

    /// Writes a file that the server and nobody else may read.
    pub(crate) fn write_private(&self, path: &Path, text: &str) -> Result<(), TestkitError> {
        std::fs::write(path, text).map_err(files(path))?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(files(path))?;
        match self.user {
            Some((uid, gid)) => chown(path, Some(uid), Some(gid)).map_err(files(path)),
            None => Ok(()),
        }
    }

    /// A command that runs as the server's user and keeps none of this process's files open.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.path(program));
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command.current_dir("/").stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs a program to its end.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Result<(), TestkitError> {
        let failed = |output: String| TestkitError::Program { program: program.to_owned(), output };
        let output = self.command(program).args(arguments).output().map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        Err(failed(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))))
    }
}

fn newest_bin() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<(u32, PathBuf)> = versions
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("initdb").is_file())
        .collect();
    found.sort();
    found.pop().map(|(_, bin)| bin)
}

fn bin_on_path() -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).find(|folder| folder.join("initdb").is_file())
}
