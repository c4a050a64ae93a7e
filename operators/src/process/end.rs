//! How a process ended, and what that means for its task.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::Signal;
use windrose_core::cause::Cause;

use super::output::LastLines;

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessEnd {
    /// Its code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it last wrote to standard output.
    pub last_stdout: Option<String>,
    /// What it last wrote to standard error.
    pub last_stderr: Option<String>,
    signal: Option<i32>,
    oom_kill_seen: bool,
}

impl ProcessEnd {
    pub(crate) fn new(status: ExitStatus, last: LastLines, oom_kill_seen: bool) -> Self {
        Self {
            code: status.code(),
            last_stdout: last.stdout,
            last_stderr: last.stderr,
            signal: status.signal(),
            oom_kill_seen,
        }
    }

    /// Nothing if the code is zero, else the cause of the task's failure.
    ///
    /// # Errors
    /// The cause.
    pub fn check(&self) -> Result<(), Cause> {
        // A shell reports a child that a signal ended as 128 + its number.
        let killed = self.signal == Some(sigkill()) || self.code == Some(128 + sigkill());
        match (self.code, self.signal) {
            (Some(0), _) => Ok(()),
            _ if killed && self.oom_kill_seen => Err(Cause::OutOfMemory {
                evidence: "SIGKILL, and the kernel counted an out-of-memory kill at the time".to_owned(),
            }),
            (Some(code), _) => {
                let last_line = self.last_stderr.clone().or_else(|| self.last_stdout.clone());
                Err(Cause::ExitCode { code, last_line: last_line.filter(|line| !line.is_empty()) })
            }
            (None, signal) => {
                let signal = signal.unwrap_or_default();
                let name =
                    Signal::try_from(signal).map_or_else(|_| format!("signal {signal}"), |s| s.as_str().to_owned());
                Err(Cause::Signal { signal, name })
            }
        }
    }
}

const fn sigkill() -> i32 {
    Signal::SIGKILL as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The raw value of `wait(2)`: the code is in the second byte, a signal in the first.
    fn end(raw: i32, oom_kill_seen: bool) -> ProcessEnd {
        let last = LastLines { stdout: Some("out".to_owned()), stderr: Some("it broke".to_owned()) };
        ProcessEnd::new(ExitStatus::from_raw(raw), last, oom_kill_seen)
    }

    #[test]
    fn code_zero_is_success() {
        assert_eq!(end(0, true).check(), Ok(()));
    }

    #[test]
    fn a_code_comes_with_the_last_line_of_standard_error() {
        let cause = Cause::ExitCode { code: 3, last_line: Some("it broke".to_owned()) };
        assert_eq!(end(3 << 8, false).check(), Err(cause));
    }

    #[test]
    fn a_signal_comes_with_its_name() {
        assert_eq!(end(11, false).check(), Err(Cause::Signal { signal: 11, name: "SIGSEGV".to_owned() }));
    }

    #[test]
    fn a_kill_during_an_out_of_memory_kill_is_want_of_memory() {
        for raw in [9, 137 << 8] {
            assert!(matches!(end(raw, true).check(), Err(Cause::OutOfMemory { .. })));
            assert!(!matches!(end(raw, false).check(), Err(Cause::OutOfMemory { .. })));
        }
        assert!(!matches!(end(1 << 8, true).check(), Err(Cause::OutOfMemory { .. })));
    }
}
