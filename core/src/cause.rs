//! Why a try failed: one typed cause, kept as data and shown as one sentence before anything else.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::sql_cause;

/// The remote work of Redshift's Data API, as [`Cause::RemoteFailed`] names it.
pub const REDSHIFT_STATEMENT: &str = "Redshift statement";

/// The cause of a failed try. [`Cause::kind`] is the word for it, [`Cause::sentence`] what a person reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// A process ended with a code other than zero.
    ExitCode {
        /// The code.
        code: i32,
        /// What it last wrote to standard error, if anything.
        last_line: Option<String>,
    },
    /// A process was ended by a signal that Windrose did not send.
    Signal {
        /// Its number.
        signal: i32,
        /// Its name: `SIGSEGV`.
        name: String,
    },
    /// A process was killed for want of memory.
    OutOfMemory {
        /// What told us.
        evidence: String,
    },
    /// Something took longer than it may.
    Timeout {
        /// What was timed: `execution_timeout`, `sensor timeout`, ….
        what: String,
        /// The limit, in seconds.
        limit_seconds: f64,
        /// How long it had run, in seconds.
        ran_seconds: f64,
    },
    /// The process that ran it is gone, and there was no remote work to take hold of again.
    Lost {
        /// Which process, and how that was noticed.
        detail: String,
    },
    /// A person or a rule cancelled it while it ran.
    Cancelled {
        /// Who or what.
        by: String,
    },
    /// A template could not be rendered.
    Template {
        /// Which field: `sql`, `config.Name`.
        field: String,
        /// The line within the field, from 1.
        line: Option<u32>,
        /// What is wrong.
        message: String,
    },
    /// After rendering, the operator's parameters are not what it needs.
    Parameters {
        /// The operator.
        operator: String,
        /// What is wrong, and what is expected.
        message: String,
    },
    /// An AWS service refused a call, or could not be reached.
    Aws {
        /// `glue`, `s3`, `redshift-data`.
        service: String,
        /// `StartJobRun`.
        operation: String,
        /// AWS's error code, or `DispatchFailure` and the like for failures on the way.
        code: String,
        /// AWS's text.
        message: String,
        /// For AWS's support.
        request_id: Option<String>,
        /// The role or key the call was made with, and the connection it came from.
        identity: Option<String>,
        /// True if AWS asked to slow down.
        throttled: bool,
    },
    /// Work in another system ended badly.
    RemoteFailed {
        /// `Glue job run`, `Redshift statement`.
        what: String,
        /// Its id there.
        id: String,
        /// The state it ended in, in that system's words.
        state: String,
        /// That system's own message.
        message: Option<String>,
        /// Where to look: console and log pages.
        links: Vec<String>,
    },
    /// A database refused a statement.
    Sql {
        /// The database's message.
        message: String,
        /// The five characters of SQLSTATE, if any.
        sqlstate: Option<String>,
        /// Where in the statement, in characters from 1.
        position: Option<u32>,
        /// The statement's beginning.
        statement: Option<String>,
    },
    /// A connection or variable could not be had, or what it names could not be reached.
    Connection {
        /// The connection's or variable's id.
        id: String,
        /// What is wrong, and what to do.
        message: String,
        /// Each source asked, with its answer.
        asked: Vec<(String, String)>,
    },
    /// The task's own Python code raised.
    Python {
        /// The exception's class.
        exception: String,
        /// Its text.
        message: String,
        /// `file:line` where it was raised.
        location: Option<String>,
    },
    /// The task's code said that it failed.
    Failed {
        /// Its reason.
        message: String,
    },
    /// Windrose itself is at fault.
    Internal {
        /// What went wrong.
        message: String,
    },
}

impl Cause {
    /// Every word that `retry_on` and `no_retry_on` may hold. The last two say more of refusals of databases.
    pub const WORDS: [&'static str; 18] = [
        "exit_code",
        "signal",
        "out_of_memory",
        "timeout",
        "lost",
        "cancelled",
        "template",
        "parameters",
        "aws",
        "throttled",
        "remote_failed",
        "sql",
        "connection",
        "python",
        "failed",
        "internal",
        sql_cause::SYNTAX,
        sql_cause::TRANSIENT,
    ];

    /// Whether a word of `retry_on` or `no_retry_on` means it.
    #[must_use]
    pub fn is(&self, word: &str) -> bool {
        let nature = || match self {
            Self::Sql { sqlstate, message, .. } => sql_cause::nature(sqlstate.as_deref(), message),
            Self::RemoteFailed { what, message: Some(message), .. } if what == REDSHIFT_STATEMENT => {
                sql_cause::nature(None, message)
            }
            _ => None,
        };
        self.kind() == word || nature() == Some(word)
    }

    /// The word for it in filters and metrics; see [`Cause::is`] for `retry_on`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ExitCode { .. } => "exit_code",
            Self::Signal { .. } => "signal",
            Self::OutOfMemory { .. } => "out_of_memory",
            Self::Timeout { .. } => "timeout",
            Self::Lost { .. } => "lost",
            Self::Cancelled { .. } => "cancelled",
            Self::Template { .. } => "template",
            Self::Parameters { .. } => "parameters",
            Self::Aws { throttled: true, .. } => "throttled",
            Self::Aws { .. } => "aws",
            Self::RemoteFailed { .. } => "remote_failed",
            Self::Sql { .. } => "sql",
            Self::Connection { .. } => "connection",
            Self::Python { .. } => "python",
            Self::Failed { .. } => "failed",
            Self::Internal { .. } => "internal",
        }
    }

    /// What a person reads first: what happened, where, and what to do where that is known.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::ExitCode { code, last_line } => {
                with_detail(&format!("The command ended with exit code {code}"), last_line.as_deref())
            }
            Self::Signal { signal, name } => format!("The process was ended by {name} (signal {signal})."),
            Self::OutOfMemory { evidence } => {
                format!("The process was killed for want of memory ({evidence}). Give it less data or more memory.")
            }
            Self::Timeout { what, limit_seconds, ran_seconds } => {
                format!("The {what} of {} was exceeded after {}.", seconds(*limit_seconds), seconds(*ran_seconds))
            }
            Self::Lost { detail } => format!("The process that ran this task is gone: {detail}."),
            Self::Cancelled { by } => format!("Cancelled by {by}."),
            Self::Template { field, line, message } => match line {
                Some(line) => format!("The template in '{field}' fails at line {line}: {message}"),
                None => format!("The template in '{field}' fails: {message}"),
            },
            Self::Parameters { operator, message } => format!("The parameters of '{operator}' are wrong: {message}"),
            Self::Aws { service, operation, code, message, request_id, identity, .. } => {
                let request = request_id.as_ref().map(|id| format!(", request {id}")).unwrap_or_default();
                let who = identity.as_ref().map(|who| format!(", as {who}")).unwrap_or_default();
                format!("AWS {service} {operation} failed with {code}: {message} (called{who}{request})")
                    .replace("(called, ", "(called ")
                    .replace(" (called)", "")
            }
            Self::RemoteFailed { what, id, state, message, links } => {
                let mut text = with_detail(&format!("{what} {id} ended in state {state}"), message.as_deref());
                if !links.is_empty() {
                    text.push_str(" See ");
                    text.push_str(&links.join(" and "));
                }
                text
            }
            Self::Sql { message, sqlstate, position, .. } => {
                let state = sqlstate.as_ref().map(|s| format!(" (SQLSTATE {s})")).unwrap_or_default();
                let at = position.map(|p| format!(" at character {p}")).unwrap_or_default();
                format!("The database refused the statement{at}: {message}{state}")
            }
            Self::Connection { id, message, asked } => {
                let mut text = format!("Connection or variable '{id}': {message}");
                if !asked.is_empty() {
                    let answers: Vec<_> = asked.iter().map(|(source, answer)| format!("{source}: {answer}")).collect();
                    text.push_str(" Asked: ");
                    text.push_str(&answers.join("; "));
                    text.push('.');
                }
                text
            }
            Self::Python { exception, message, location } => {
                let place = location.as_ref().map(|l| format!(" at {l}")).unwrap_or_default();
                format!("Python raised {exception}{place}: {message}")
            }
            Self::Failed { message } => message.clone(),
            Self::Internal { message } => format!("Windrose itself failed: {message}. Please report this."),
        }
    }
}

fn with_detail(head: &str, detail: Option<&str>) -> String {
    match detail {
        Some(detail) if !detail.is_empty() => format!("{head}: {detail}"),
        _ => format!("{head}."),
    }
}

fn seconds(value: f64) -> String {
    // A negative or absurd figure in stored data must not panic here.
    let whole = Duration::try_from_secs_f64(value).unwrap_or_default();
    if whole.as_secs() < 60 {
        return format!("{} s", (whole.as_secs_f64() * 10.0).round() / 10.0);
    }
    let s = whole.as_secs();
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, m, 0) => format!("{m} min"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, 0, _) => format!("{h} h"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}
