//! The real `windrose` binary in a folder of its own: started, asked, and killed.

#![expect(clippy::expect_used, reason = "what a test cannot set up is the test's failure")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before a test says that it hangs. Nothing comes near it, however busy the machine.
pub const HANGS: Duration = Duration::from_secs(60);

/// Waits until another process has brought something about; `look` is asked until it answers.
///
/// # Panics
/// With `what` and the last thing `look` saw, if that takes longer than [`HANGS`].
pub fn wait_until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + HANGS;
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) => assert!(Instant::now() < deadline, "{what}: this did not happen; at last there was {seen}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a process lives; one that has ended but is not waited for does not.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

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
    /// If it cannot be started, or does not end.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Output {
        finish(self.command(args))
    }

    /// Runs the binary to its end with this on its standard input.
    ///
    /// # Panics
    /// If it cannot be started, or does not end.
    #[must_use]
    pub fn run_with_input(&self, args: &[&str], input: &str) -> Output {
        let path = self.folder.path().join("standard-input");
        std::fs::write(&path, input).expect("a file for the input");
        let mut command = self.command(args);
        command.stdin(std::fs::File::open(path).expect("a file for the input"));
        finish(command)
    }

    /// Runs the binary, which must succeed, and answers with what it printed to standard output.
    ///
    /// # Panics
    /// If it fails.
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "windrose {args:?} failed: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Runs the binary, which must refuse, and answers with all it printed: the sentence a person reads.
    ///
    /// # Panics
    /// If it succeeds, is ended by a signal, or panics.
    pub fn refused(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(!said.contains("panicked"), "windrose {args:?} panicked: {said}");
        assert!(matches!(output.status.code(), Some(1 | 2)), "windrose {args:?} ended with {}: {said}", output.status);
        said
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
        assert!(output.status.success(), "windrose {args:?} failed: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("windrose {args:?} printed no JSON ({error}): {}", text(&output.stdout)))
    }

    /// A run with its task instances, or nothing if there is no such run.
    #[must_use]
    pub fn find_run(&self, dag_id: &str, run_id: &str) -> Option<RunView> {
        let output = self.run(&["--json", "runs", "show", dag_id, run_id]);
        let shown: Value = serde_json::from_slice(&output.stdout).ok()?;
        Some(RunView { shown })
    }

    /// Waits for the end of a run.
    ///
    /// # Panics
    /// If it does not come.
    #[must_use]
    pub fn run_to_end(&self, dag_id: &str, run_id: &str) -> RunView {
        wait_until(&format!("the end of run {run_id} of {dag_id}"), || {
            let run = self.find_run(dag_id, run_id).ok_or("no run")?;
            if matches!(run.state(), "success" | "failed") { Ok(run) } else { Err(run.shown.to_string()) }
        })
    }

    /// Waits until a task instance is in this state.
    ///
    /// # Panics
    /// If that does not come.
    #[must_use]
    pub fn task_in(&self, dag_id: &str, run_id: &str, task: &str, state: &str) -> Value {
        wait_until(&format!("{task} of {dag_id} {run_id} to be {state}"), || {
            let run = self.find_run(dag_id, run_id).ok_or("no run")?;
            let row = run.task(task).clone();
            if row["state"] == state { Ok(row) } else { Err(row.to_string()) }
        })
    }

    /// What a task instance logged in its last try.
    #[must_use]
    pub fn task_log(&self, dag_id: &str, run_id: &str, task: &str) -> String {
        self.ok(&["tasks", "logs", dag_id, task, "--run-id", run_id])
    }

    /// Starts `windrose standalone` and waits until it says that it is ready.
    ///
    /// # Panics
    /// If it ends before that.
    #[must_use]
    pub fn standalone(&self) -> Standalone {
        self.standalone_from(self.command(&["standalone", "--bind", "127.0.0.1:0"]))
    }

    /// The same from a command of one's own, such as one with limits.
    ///
    /// # Panics
    /// If it ends before it is ready.
    #[must_use]
    pub fn standalone_from(&self, mut command: Command) -> Standalone {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("standalone.log"))
            .expect("a log file");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().expect("the windrose binary");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let (said_ready, ready) = mpsc::channel();
        // Reads to the end, or the process would block on a full pipe.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("ready: ") {
                    let _ = said_ready.send(url.to_owned());
                }
            }
        });
        match ready.recv_timeout(HANGS) {
            Ok(url) => Standalone { child, url },
            Err(_) => {
                let _ = child.kill();
                let status = child.wait().expect("its end");
                panic!("standalone did not become ready ({status}):\n{}", self.log());
            }
        }
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
        kill(pid_of(&self.child), Signal::SIGTERM).expect("a living process");
        self.child.wait().expect("its end")
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `windrose runs show` says of a run.
#[derive(Debug, Clone)]
pub struct RunView {
    shown: Value,
}

impl RunView {
    /// The run's state.
    #[must_use]
    pub fn state(&self) -> &str {
        self.shown["run"]["state"].as_str().unwrap_or_default()
    }

    /// Its task instances.
    #[must_use]
    pub fn tasks(&self) -> &[Value] {
        self.shown["tasks"].as_array().map_or(&[], Vec::as_slice)
    }

    /// A task instance; null if there is none.
    #[must_use]
    pub fn task(&self, task_id: &str) -> &Value {
        self.tasks().iter().find(|row| row["task_id"] == task_id).unwrap_or(&Value::Null)
    }

    /// The state of each task, in the order of the ids.
    #[must_use]
    pub fn states(&self) -> std::collections::BTreeMap<String, String> {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.tasks().iter().map(|row| (word(&row["task_id"]), word(&row["state"]))).collect()
    }
}

fn finish(mut command: Command) -> Output {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the windrose binary");
    let pid = pid_of(&child);
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    if let Ok(output) = end.recv_timeout(HANGS) {
        return output.expect("its end");
    }
    let _ = kill(pid, Signal::SIGKILL);
    panic!("{command:?} hangs");
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a process id"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
