//! Writing the logs of tasks: callers append to memory, and one background task per [`TaskLogs`] brings what has
//! gathered to the files. No file is held open, so a hundred thousand waiting tasks cost no descriptors.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use windrose_core::log_line::{LogLevel, LogLine, LogSource};
use windrose_core::time::Timestamp;

use crate::task_log::{TaskLogId, last_line};

/// How long lines gather before they are written.
const GATHER: Duration = Duration::from_millis(100);

/// How much may gather for one try while the disk is slow or full. What comes on top is counted and left out.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// All logs of tasks under one folder. Cheap to clone. Must be made within a Tokio runtime.
#[derive(Debug, Clone)]
pub struct TaskLogs {
    folder: Arc<PathBuf>,
    dirty: mpsc::UnboundedSender<Arc<Log>>,
}

impl TaskLogs {
    /// The logs under this folder, which is made when the first line is written.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        // Unbounded, but a log is in it at most once until it is written.
        let (dirty, gathered) = mpsc::unbounded_channel();
        tokio::spawn(write_what_gathers(gathered));
        Self { folder: Arc::new(folder.into()), dirty }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Opens the log of a try for appending. There must be one writer for a try at a time.
    #[must_use]
    pub fn writer(&self, id: &TaskLogId) -> TaskLogWriter {
        let log = Log { path: id.path(&self.folder), pending: Mutex::default(), file: Mutex::default() };
        TaskLogWriter { log: Arc::new(log), dirty: self.dirty.clone() }
    }
}

/// Appends to the log of one try. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TaskLogWriter {
    log: Arc<Log>,
    dirty: mpsc::UnboundedSender<Arc<Log>>,
}

impl TaskLogWriter {
    /// Appends a line; a text of several lines becomes several. It is written soon after. Never waits for the disk.
    pub fn append(&self, ts: Timestamp, source: LogSource, level: LogLevel, text: &str) {
        let was_clean = {
            let mut pending = self.log.pending();
            let was_clean = pending.lines.is_empty();
            for line in text.split('\n') {
                pending.push(LogLine { seq: 0, ts, source, level, text: line.to_owned() });
            }
            was_clean
        };
        if was_clean {
            // Gone only with the runtime, when nobody can read the log any more.
            let _ = self.dirty.send(Arc::clone(&self.log));
        }
    }

    /// Returns when everything appended so far is written, or cannot be.
    pub async fn flush(&self) {
        let log = Arc::clone(&self.log);
        let _ = tokio::task::spawn_blocking(move || log.write()).await;
    }
}

#[derive(Debug)]
struct Log {
    path: PathBuf,
    pending: Mutex<Pending>,
    /// Held while writing, so that lines keep their order.
    file: Mutex<FileState>,
}

#[derive(Debug, Default)]
struct Pending {
    lines: Vec<LogLine>,
    bytes: usize,
    left_out: u64,
}

impl Pending {
    fn push(&mut self, line: LogLine) {
        if self.bytes + line.text.len() > MOST_BYTES {
            self.left_out += 1;
            return;
        }
        self.bytes += line.text.len() + 64;
        self.lines.push(line);
    }
}

#[derive(Debug, Default)]
struct FileState {
    /// Unknown until the first write looks.
    last_seq: Option<u64>,
    /// The file does not end with a whole line.
    torn: bool,
    /// Lines that could not be written, and why.
    lost: Option<(u64, String)>,
}

impl Log {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blocks on the disk.
    fn write(&self) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let gathered = std::mem::take(&mut *self.pending());
        if gathered.lines.is_empty() && gathered.left_out == 0 {
            return;
        }
        let count = gathered.lines.len() as u64 + gathered.left_out;
        if let Err(error) = self.write_lines(&mut file, gathered) {
            if file.lost.is_none() {
                tracing::warn!(path = %self.path.display(), %error, "a task's log cannot be written");
            }
            let before = file.lost.take().map_or(0, |(lines, _)| lines);
            file.lost = Some((before + count, error.to_string()));
            // Part of a line may be there, and part of the numbers used.
            file.last_seq = None;
        }
    }

    fn write_lines(&self, state: &mut FileState, gathered: Pending) -> std::io::Result<()> {
        let last_seq = match state.last_seq {
            Some(seq) => seq,
            None => match last_line(&self.path) {
                Ok((seq, torn)) => {
                    state.torn = torn;
                    seq
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
                Err(error) => return Err(error),
            },
        };
        let at = gathered.lines.first().map_or(Timestamp::from_micros(0), |line| line.ts);
        let mut text = Vec::new();
        let mut seq = last_seq;
        if state.torn {
            text.push(b'\n');
        }
        let missing = state.lost.iter().map(|(lines, why)| missing_lines(*lines, why, at));
        let left_out = (gathered.left_out > 0).then(|| missing_lines(gathered.left_out, "too many at once", at));
        for mut line in missing.chain(gathered.lines).chain(left_out) {
            seq += 1;
            line.seq = seq;
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
        }
        if let Some(parent) = self.path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        OpenOptions::new().create(true).append(true).open(&self.path)?.write_all(&text)?;
        *state = FileState { last_seq: Some(seq), torn: false, lost: None };
        Ok(())
    }
}

fn missing_lines(count: u64, why: &str, ts: Timestamp) -> LogLine {
    let text = format!("{count} lines of this log could not be kept: {why}");
    LogLine { seq: 0, ts, source: LogSource::Task, level: LogLevel::Warning, text }
}

/// Ends when every writer and the [`TaskLogs`] are gone.
async fn write_what_gathers(mut gathered: mpsc::UnboundedReceiver<Arc<Log>>) {
    while let Some(first) = gathered.recv().await {
        tokio::time::sleep(GATHER).await;
        let mut logs = vec![first];
        while let Ok(log) = gathered.try_recv() {
            logs.push(log);
        }
        let write = tokio::task::spawn_blocking(move || {
            for log in logs {
                log.write();
            }
        });
        if let Err(error) = write.await {
            tracing::error!(%error, "writing the logs of tasks failed; please report this");
        }
    }
}
