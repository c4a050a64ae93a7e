//! The two outputs of a process, line by line, in their order of arrival.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStderr, ChildStdout};

use crate::context::{LogLevel, LogSource, TaskContext};

/// A longer line is cut into pieces, so that a process that never ends its line cannot fill the memory.
const LONGEST_LINE: usize = 8 * 1024 * 1024;

/// The last line of each output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LastLines {
    pub(crate) stdout: Option<String>,
    pub(crate) stderr: Option<String>,
}

pub(crate) struct Output {
    stdout: Lines<ChildStdout>,
    stderr: Lines<ChildStderr>,
}

impl Output {
    pub(crate) fn of(child: &mut Child) -> Self {
        Self {
            stdout: Lines::new(child.stdout.take(), LogSource::Stdout),
            stderr: Lines::new(child.stderr.take(), LogSource::Stderr),
        }
    }

    /// Logs what comes until both outputs are closed. May be dropped and called again without loss.
    pub(crate) async fn read_until_closed(&mut self, ctx: &TaskContext) {
        while self.stdout.is_open() || self.stderr.is_open() {
            tokio::select! {
                () = self.stdout.read(ctx), if self.stdout.is_open() => {}
                () = self.stderr.read(ctx), if self.stderr.is_open() => {}
            }
        }
    }

    /// The same, but not longer than this after the last output.
    pub(crate) async fn read_until_closed_or(&mut self, ctx: &TaskContext, quiet: Duration) {
        while self.stdout.is_open() || self.stderr.is_open() {
            let read = async {
                tokio::select! {
                    () = self.stdout.read(ctx), if self.stdout.is_open() => {}
                    () = self.stderr.read(ctx), if self.stderr.is_open() => {}
                }
            };
            if tokio::time::timeout(quiet, read).await.is_err() {
                break;
            }
        }
        self.stdout.end(ctx);
        self.stderr.end(ctx);
    }

    pub(crate) fn into_last_lines(self) -> LastLines {
        LastLines { stdout: self.stdout.last, stderr: self.stderr.last }
    }
}

struct Lines<R> {
    reader: Option<R>,
    source: LogSource,
    buffer: Box<[u8]>,
    begun: Vec<u8>,
    last: Option<String>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(reader: Option<R>, source: LogSource) -> Self {
        Self { reader, source, buffer: vec![0; 16 * 1024].into_boxed_slice(), begun: Vec::new(), last: None }
    }

    const fn is_open(&self) -> bool {
        self.reader.is_some()
    }

    async fn read(&mut self, ctx: &TaskContext) {
        let Some(reader) = &mut self.reader else { return };
        match reader.read(&mut self.buffer).await {
            Ok(length) if length > 0 => {
                for part in self.buffer[..length].split_inclusive(|byte| *byte == b'\n') {
                    self.begun.extend_from_slice(part);
                    if part.ends_with(b"\n") || self.begun.len() >= LONGEST_LINE {
                        self.last = Some(log_line(ctx, self.source, &self.begun));
                        self.begun.clear();
                    }
                }
            }
            // An error here is the other end gone, as at the end of the file.
            _ => {
                self.reader = None;
                self.end(ctx);
            }
        }
    }

    /// Logs a last line that has no line end.
    fn end(&mut self, ctx: &TaskContext) {
        if !self.begun.is_empty() {
            self.last = Some(log_line(ctx, self.source, &self.begun));
            self.begun.clear();
        }
    }
}

fn log_line(ctx: &TaskContext, source: LogSource, raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw).trim_end().to_owned();
    ctx.services.log(source, LogLevel::Info, &text);
    text
}
