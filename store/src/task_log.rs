//! The logs of tasks: one file of JSON lines for each try, kept outside the database.
//!
//! A file is `<dag>/<run>/<task>/<map index>/<try>.jsonl` under the log folder, each part made safe for a path. Several
//! attempts of one try (a sensor in reschedule mode) append to the same file. A line is durable as far as the operating
//! system's cache when it can be read; the last tenth of a second may be lost with the process. A log never fails a
//! task: what cannot be written is counted, and the count is logged when writing works again.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use windrose_core::log_line::LogLine;

pub use crate::task_log_writer::{TaskLogWriter, TaskLogs};

/// How often a follower looks for new lines.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Lines given out at once while following, so that a long log is not held in memory.
const FOLLOW_PAGE: usize = 1000;

/// Which log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TaskLogId {
    /// The DAG.
    pub dag_id: String,
    /// The run.
    pub run_id: String,
    /// The task.
    pub task_id: String,
    /// −1 for a task that is not mapped.
    pub map_index: i32,
    /// 1 for the first try.
    pub try_number: u32,
}

impl TaskLogId {
    /// Its file under the log folder.
    #[must_use]
    pub fn path(&self, folder: &Path) -> PathBuf {
        folder
            .join(path_part(&self.dag_id))
            .join(path_part(&self.run_id))
            .join(path_part(&self.task_id))
            .join(self.map_index.to_string())
            .join(format!("{}.jsonl", self.try_number))
    }
}

/// An id as one part of a path: never empty, `.` or `..`, without separators, and at most 200 bytes.
fn path_part(id: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'+');
    let safe = utf8_percent_encode(id, KEPT).to_string();
    let safe = match safe.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None if safe.is_empty() => "%".to_owned(),
        None => safe,
    };
    if safe.len() <= 200 {
        return safe;
    }
    let hash: String = Sha256::digest(id.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{}%{hash}", &safe[..160])
}

impl TaskLogs {
    /// Up to `limit` lines whose number is above `after` (0 for the beginning). No file is no lines.
    ///
    /// # Errors
    /// If the file is there and cannot be read.
    pub async fn read(&self, id: &TaskLogId, after: u64, limit: usize) -> std::io::Result<Vec<LogLine>> {
        let mut cursor = Cursor::new(id.path(self.folder()));
        let read = tokio::task::spawn_blocking(move || {
            cursor.skip_to(after);
            cursor.next_lines(limit)
        });
        read.await.map_err(std::io::Error::other)?
    }

    /// Follows a log from the line after number `after`. It ends when `over` says true (or its sender is gone) and all
    /// that was written by then is given out.
    #[must_use]
    pub fn follow(&self, id: &TaskLogId, after: u64, over: watch::Receiver<bool>) -> TaskLogFollower {
        let mut cursor = Cursor::new(id.path(self.folder()));
        cursor.skip_to(after);
        TaskLogFollower { cursor: Some(cursor), over }
    }

    /// Removes the logs of a run. No logs are no error.
    ///
    /// # Errors
    /// If they are there and cannot be removed.
    pub async fn remove_run(&self, dag_id: &str, run_id: &str) -> std::io::Result<()> {
        let folder = self.folder().join(path_part(dag_id)).join(path_part(run_id));
        match tokio::fs::remove_dir_all(folder).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// A log while it grows; see [`TaskLogs::follow`].
#[derive(Debug)]
pub struct TaskLogFollower {
    cursor: Option<Cursor>,
    over: watch::Receiver<bool>,
}

impl TaskLogFollower {
    /// The next lines, at least one; `None` at the end.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub async fn next(&mut self) -> std::io::Result<Option<Vec<LogLine>>> {
        loop {
            // Asked before reading: what was written before the end is still given out after it.
            let ended = *self.over.borrow() || self.over.has_changed().is_err();
            let Some(mut cursor) = self.cursor.take() else { return Ok(None) };
            let read = tokio::task::spawn_blocking(move || (cursor.next_lines(FOLLOW_PAGE), cursor));
            let (lines, cursor) = read.await.map_err(std::io::Error::other)?;
            self.cursor = Some(cursor);
            let lines = lines?;
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
            if ended {
                return Ok(None);
            }
            let _ = tokio::time::timeout(LOOK_EVERY, self.over.changed()).await;
        }
    }
}

/// A place in a file that may still grow.
#[derive(Debug)]
struct Cursor {
    path: PathBuf,
    offset: u64,
    last_seq: u64,
}

impl Cursor {
    fn new(path: PathBuf) -> Self {
        Self { path, offset: 0, last_seq: 0 }
    }

    /// Lines up to this number are not given out.
    fn skip_to(&mut self, after: u64) {
        self.last_seq = after;
    }

    /// Whole lines only: one that is still being written is left for the next call. Lines that a crash tore are left
    /// out.
    fn next_lines(&mut self, limit: usize) -> std::io::Result<Vec<LogLine>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        file.seek(SeekFrom::Start(self.offset))?;
        let mut reader = BufReader::new(file);
        let mut lines = Vec::new();
        let mut raw = Vec::new();
        while lines.len() < limit {
            raw.clear();
            let length = reader.read_until(b'\n', &mut raw)?;
            if raw.last() != Some(&b'\n') {
                break;
            }
            self.offset += length as u64;
            if let Ok(line) = serde_json::from_slice::<LogLine>(&raw)
                && line.seq > self.last_seq
            {
                self.last_seq = line.seq;
                lines.push(line);
            }
        }
        Ok(lines)
    }
}

/// The number of the last whole line of a file, and whether the file ends in the middle of a line.
pub(crate) fn last_line(path: &Path) -> std::io::Result<(u64, bool)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    // Lines are short; a longer window is tried only if there is no whole line in the last part.
    for window in [64 * 1024, 4 * 1024 * 1024, length] {
        let start = length.saturating_sub(window);
        file.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        file.by_ref().take(length - start).read_to_end(&mut tail)?;
        let torn = tail.last().is_some_and(|byte| *byte != b'\n');
        let seq = tail.split(|byte| *byte == b'\n').rev().find_map(|raw| serde_json::from_slice::<LogLine>(raw).ok());
        if let Some(line) = seq {
            return Ok((line.seq, torn));
        }
        if start == 0 {
            return Ok((0, torn));
        }
    }
    Ok((0, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(dag_id: &str, run_id: &str) -> TaskLogId {
        TaskLogId {
            dag_id: dag_id.to_owned(),
            run_id: run_id.to_owned(),
            task_id: "group.task".to_owned(),
            map_index: -1,
            try_number: 2,
        }
    }

    #[test]
    fn no_id_leads_out_of_the_log_folder() {
        let folder = Path::new("/logs");
        for hostile in ["../../etc", "..", ".", "", "a/b", "a\0b", "/etc/passwd", &"x/".repeat(500)] {
            let path = id(hostile, hostile).path(folder);
            let parts: Vec<_> = path.components().collect();
            assert_eq!(parts.len(), 7, "{hostile}: {path:?}");
            assert!(path.starts_with("/logs"), "{path:?}");
            assert!(parts[1..].iter().all(|part| matches!(part, std::path::Component::Normal(_))), "{path:?}");
            assert!(parts.iter().all(|part| part.as_os_str().len() <= 255), "{path:?}");
        }
    }

    #[test]
    fn different_ids_have_different_files() {
        let folder = Path::new("/logs");
        let long = "x".repeat(300);
        let names = ["a", "a.", ".a", "%2Ea", "a/b", "a%2Fb", &long, &format!("{long}y")];
        let paths: std::collections::HashSet<_> = names.iter().map(|name| id(name, "run").path(folder)).collect();
        assert_eq!(paths.len(), names.len());
    }
}
