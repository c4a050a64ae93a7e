//! The real `windrose` binary in a folder of its own: started, asked, and killed.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder with DAG files, a data folder and a database, in which the binary is run.
pub struct Workspace {
    folder: TempDir,
    binary: PathBuf,
    environment: Vec<(String, String)>,
}

impl Workspace {
    /// An empty workspace. `database` is a URL; `None` is a SQLite file in the data folder.
    ///
    /// # Panics
    /// If no temporary folder can be made.
    #[must_use]
    pub fn new(binary: impl Into<PathBuf>, database: Option<&str>) -> Self {
        let folder = tempfile::Builder::new().prefix("windrose-test-").tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("dags")).expect("a folder for DAG files");
        let mut workspace = Self { folder, binary: binary.into(), environment: Vec::new() };
        workspace.set_env("WINDROSE__DAG_DEFAULTS__PAUSED_AT_CREATION", "false");
        if let Some(url) = database {
            workspace.set_env("WINDROSE__DATABASE", url);
        }
        workspace
    }

    /// Sets an environment variable for every process started from here.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.environment.push((name.into(), value.into()));
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a DAG file, or any other file below `dags`, in one step.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write_dag(&self, name: &str, text: &str) {
        let path = self.folder.path().join("dags").join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for the file");
        let half = path.with_extension("half-written");
        std::fs::write(&half, text).expect("a DAG file");
        std::fs::rename(half, path).expect("a DAG file");
    }

    /// The binary with these arguments, to be run in this folder.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(self.folder.path()).args(args).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(k, v)| (k, v)));
        command
    }

    /// Runs the binary to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the windrose binary")
    }

    /// Runs the binary, which must succeed, and reads its answer as JSON.
    ///
    /// # Panics
    /// If it fails or prints something else.
    #[must_use]
    pub fn json(&self, args: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(args);
        let output = self.run(&all);
        assert!(output.status.success(), "windrose {args:?} failed: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("windrose {args:?} printed no JSON ({error}): {}", String::from_utf8_lossy(&output.stdout))
        })
    }

    /// Starts `windrose standalone` and waits until it says that it is ready.
    ///
    /// # Panics
    /// If it ends before that.
    #[must_use]
    pub fn standalone(&self) -> Standalone {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("standalone.log"))
            .expect("a log file");
        let mut child = self
            .command(&["standalone", "--bind", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the windrose binary");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let ready = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, url) = line.split_once("ready: ")?;
            Some(url.to_owned())
        });
        let Some(url) = ready else {
            let status = child.wait().expect("its end");
            panic!("standalone ended before it was ready ({status}):\n{}", self.log());
        };
        // Somebody must read on, or the process would block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Standalone { child, url }
    }

    /// What all standalone processes of this workspace logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("standalone.log")).unwrap_or_default()
    }
}

/// A running `windrose standalone`. It is killed when dropped.
pub struct Standalone {
    child: Child,
    /// The address of its web page.
    pub url: String,
}

impl Standalone {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Panics
    /// If its end cannot be waited for.
    pub fn terminate(mut self) -> std::process::ExitStatus {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("a living process");
        self.child.wait().expect("its end")
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
