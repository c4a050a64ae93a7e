//! Process groups: ending them, and finding those that a killed worker has left.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::Child;

/// The files in scratch folders that name a group start so.
const RECORD: &str = "process-group-";

/// A running group. It is killed when this is dropped.
pub(super) struct ProcessGroup {
    id: Pid,
    record: Option<PathBuf>,
}

impl ProcessGroup {
    /// The group of this leader, recorded in the folder for [`sweep`].
    pub(super) fn record(leader: &Child, scratch: &Path) -> Self {
        // A child that was not waited for has an id, and it is a process's id, so it fits.
        let id = leader.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
        let record = scratch.join(format!("{RECORD}{id}"));
        let written = identity(id).and_then(|identity| fs::write(&record, identity).ok());
        Self { id: Pid::from_raw(id), record: written.map(|()| record) }
    }

    /// Sends a signal to all of it. A group that has ended is no error.
    pub(super) fn signal(&self, signal: Signal) {
        // 0 would be our own group, and 1 everybody.
        if self.id.as_raw() > 1 {
            let _ = killpg(self.id, signal);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        if let Some(record) = &self.record {
            let _ = fs::remove_file(record);
        }
    }
}

/// The name of this process's folder under a scratch folder that several workers may share.
#[must_use]
pub fn owner_name() -> String {
    let id = std::process::id();
    let identity = i32::try_from(id).ok().and_then(identity).unwrap_or_default();
    format!("worker-{id}-{identity}")
}

/// Kills the process groups that workers which are gone have left, and removes their folders. The number of groups
/// killed. Blocks on the disk.
#[must_use]
pub fn sweep(scratch: &Path) -> usize {
    let mut killed = 0;
    for owner in folders_of(scratch) {
        let name = owner.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut parts = name.splitn(3, '-');
        let (Some("worker"), Some(Ok(id)), Some(recorded)) =
            (parts.next(), parts.next().map(str::parse::<i32>), parts.next())
        else {
            continue;
        };
        if identity(id).as_deref() == Some(recorded) {
            continue;
        }
        killed += folders_of(&owner).iter().map(|attempt| sweep_attempt(attempt)).sum::<usize>();
        let _ = fs::remove_dir_all(&owner);
    }
    killed
}

fn sweep_attempt(attempt: &Path) -> usize {
    let Ok(files) = fs::read_dir(attempt) else { return 0 };
    let mut killed = 0;
    for file in files.flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let Some(Ok(id)) = name.strip_prefix(RECORD).map(str::parse::<i32>) else { continue };
        let Ok(recorded) = fs::read_to_string(file.path()) else { continue };
        // With the leader gone its number cannot be given out again while others of the group live, but after a
        // restart of the machine everything may be.
        let ours = match identity(id) {
            Some(now) => now == recorded,
            None => boot_id() == recorded.split('-').next().unwrap_or_default(),
        };
        if ours && id > 1 && killpg(Pid::from_raw(id), Signal::SIGKILL).is_ok() {
            killed += 1;
        }
    }
    killed
}

fn folders_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// What tells a process from a later one with the same number: the machine's start and the process's own. `None` if
/// there is no such process.
fn identity(id: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name may hold anything, spaces and parentheses included; the start time is the 20th field after it.
    let started = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.to_owned();
    Some(format!("{}-{started}", boot_id()))
}

fn boot_id() -> &'static str {
    static BOOT_ID: LazyLock<String> = LazyLock::new(|| {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        text.trim().replace('-', "")
    });
    &BOOT_ID
}

/// How often the kernel has killed a process for want of memory since it started; 0 where that cannot be seen.
pub(super) fn oom_kills() -> u64 {
    let text = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
}
