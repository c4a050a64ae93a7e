//! Processes of tasks: each is the leader of its own process group, so that whatever it starts ends with it.
//!
//! Both outputs are logged line by line in their order of arrival. When the attempt is cancelled the group gets SIGTERM,
//! after a while SIGKILL; when the future is dropped it gets SIGKILL at once. A worker that is itself killed cannot do
//! that: each group is therefore recorded in the attempt's scratch folder, and [`sweep`] ends what is left when the next
//! worker starts.

mod end;
mod env;
mod group;
mod output;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{AccessFlags, access};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};
use windrose_core::cause::Cause;

use crate::context::TaskContext;
use crate::error::TaskError;

pub use end::ProcessEnd;
pub use env::{inherited_env, task_env};
use group::{ProcessGroup, oom_kills};
pub use group::{owner_name, sweep};
use output::Output;

/// How long a group may take to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);

/// How long the output may stay open after the process has ended: as long as what it left in the background has it.
const DRAIN: Duration = Duration::from_secs(5);

/// A process to run.
#[derive(Debug, Clone)]
pub struct ProcessSpec {
    /// What to run; looked for in `PATH` if it is a bare name.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its whole environment.
    pub env: BTreeMap<OsString, OsString>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// What it reads; nothing if empty.
    pub stdin: Vec<u8>,
}

/// Runs a process to its end, in one of the worker's places for processes. However it exits is not an error here; see
/// [`ProcessEnd::check`].
///
/// # Errors
/// If it cannot be started, and [`TaskError::Cancelled`] once it has ended after a cancellation.
pub async fn run_process(ctx: &TaskContext, spec: &ProcessSpec) -> Result<ProcessEnd, TaskError> {
    let _place = tokio::select! {
        biased;
        () = ctx.cancelled.cancelled() => return Err(TaskError::Cancelled),
        place = ctx.services.process_slot() => place,
    };
    let oom_before = oom_kills();
    let mut child = start(spec).map_err(|error| cannot_start(spec, &error))?;
    // Declared after the child, so that it is dropped, and the group killed, before the child is let go.
    let group = ProcessGroup::record(&child, &ctx.services.scratch());
    let mut output = Output::of(&mut child);
    let feeding = feed(&mut child, spec.stdin.clone());
    let cancelled = tokio::select! {
        () = output.read_until_closed(ctx) => false,
        _ = child.wait() => false,
        () = ctx.cancelled.cancelled() => true,
    };
    if cancelled || !finish(ctx, &mut child, &mut output).await {
        stop(ctx, &mut child, &mut output, &group).await;
        feeding.abort();
        return Err(TaskError::Cancelled);
    }
    feeding.abort();
    let status = child.wait().await.map_err(|error| cannot_start(spec, &error))?;
    // What it left in the background ends with it.
    group.signal(Signal::SIGKILL);
    Ok(ProcessEnd::new(status, output.into_last_lines(), oom_kills() > oom_before))
}

fn start(spec: &ProcessSpec) -> io::Result<Child> {
    Command::new(located(spec))
        .arg0(&spec.program)
        .args(&spec.args)
        .env_clear()
        .envs(&spec.env)
        .current_dir(&spec.cwd)
        .stdin(if spec.stdin.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}

/// The program's path, looked for as the child itself would. Given a path, the standard library starts it with
/// `posix_spawn`, which does not copy this process's page tables.
fn located(spec: &ProcessSpec) -> PathBuf {
    let program = Path::new(&spec.program);
    let default = OsString::from("/bin:/usr/bin");
    let folders = spec.env.get(OsStr::new("PATH")).unwrap_or(&default);
    let is_bare = program.components().count() == 1 && !program.has_root();
    // What stands behind a relative folder depends on where the child runs.
    let known = std::env::split_paths(folders).take_while(|folder| is_bare && folder.is_absolute());
    let found =
        known.map(|folder| folder.join(program)).find(|path| path.is_file() && access(path, AccessFlags::X_OK).is_ok());
    found.unwrap_or_else(|| program.to_owned())
}

/// Waits for the process and the end of its output; false if the attempt is cancelled meanwhile.
async fn finish(ctx: &TaskContext, child: &mut Child, output: &mut Output) -> bool {
    tokio::select! {
        biased;
        () = ctx.cancelled.cancelled() => return false,
        // The output may be closed long before the process ends, and the other way round.
        _ = async { tokio::join!(child.wait(), output.read_until_closed_or(ctx, DRAIN)) } => {}
    }
    true
}

async fn stop(ctx: &TaskContext, child: &mut Child, output: &mut Output, group: &ProcessGroup) {
    ctx.info("Sending SIGTERM signal to process group");
    group.signal(Signal::SIGTERM);
    let ended = async { tokio::join!(child.wait(), output.read_until_closed(ctx)) };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        ctx.warn(format!("The process did not end within {} s after SIGTERM; it is killed.", GRACE.as_secs()));
    }
    group.signal(Signal::SIGKILL);
    let _ = child.wait().await;
    output.read_until_closed_or(ctx, DRAIN).await;
}

fn feed(child: &mut Child, text: Vec<u8>) -> tokio::task::JoinHandle<()> {
    let stdin = child.stdin.take();
    tokio::spawn(async move {
        if let Some(mut stdin) = stdin {
            // A process that does not read its input is no error.
            let _ = stdin.write_all(&text).await;
        }
    })
}

fn cannot_start(spec: &ProcessSpec, error: &io::Error) -> TaskError {
    let program = spec.program.to_string_lossy();
    let message = match error.kind() {
        io::ErrorKind::NotFound if !spec.cwd.is_dir() => {
            format!("Can not find the cwd: {}. It must be a folder on the worker.", spec.cwd.display())
        }
        io::ErrorKind::NotFound => format!("'{program}' is not on this worker. Install it, or correct the path."),
        _ => format!("'{program}' cannot be run: {error}. Check its rights and the worker's limits."),
    };
    TaskError::retryable(Cause::Failed { message })
}

#[cfg(test)]
mod tests;
