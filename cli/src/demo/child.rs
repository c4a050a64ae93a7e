//! A process of the demo that is ended with it.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::BufReader;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How long a part may take to clean up after itself.
const GRACE: Duration = Duration::from_secs(20);

/// A child process in a process group of its own, so that Ctrl-C reaches only the demo, which ends its parts in order.
/// It is killed if it is dropped.
pub(super) struct Part {
    name: &'static str,
    child: Child,
    /// Ends with this process, even if it is killed. Kept apart, since waiting for the child would close it.
    _stdin: Option<ChildStdin>,
}

impl Part {
    /// Starts it; its standard output has to be kept, or it could not write any more.
    pub(super) fn start(name: &'static str, command: &mut Command) -> Result<(Self, BufReader<ChildStdout>)> {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} cannot be started from {program}; run the demo in Windrose's folder"))?;
        let output = child.stdout.take().with_context(|| format!("the output of {name} cannot be read"))?;
        let _stdin = child.stdin.take();
        Ok((Self { name, child, _stdin }, BufReader::new(output)))
    }

    /// Waits until it ends by itself.
    pub(super) async fn ended(&mut self) {
        let _ = self.child.wait().await;
    }

    /// Its status, once its output has ended.
    pub(super) async fn status(&mut self) -> Result<ExitStatus> {
        self.child.wait().await.with_context(|| format!("the end of {} cannot be waited for", self.name))
    }

    /// TERM to the group, and KILL if that does not help.
    pub(super) async fn end(mut self) {
        let Some(group) = self.child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw) else { return };
        // It may have ended at this moment; then there is nobody to tell.
        let _ = killpg(group, Signal::SIGTERM);
        if tokio::time::timeout(GRACE, self.child.wait()).await.is_err() {
            eprintln!("windrose: {} does not end, so it is killed", self.name);
            let _ = killpg(group, Signal::SIGKILL);
            let _ = self.child.wait().await;
        }
    }
}
