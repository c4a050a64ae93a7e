//! The driver's log of a Glue job run, brought into the task's log from CloudWatch. Trouble with it never fails a task.

use std::collections::BTreeMap;

use aws_sdk_cloudwatchlogs::types::FilteredLogEvent;
use serde::{Deserialize, Serialize};

use super::glue_job_run::{RunId, get_job_run};
use super::partition::console_domain;
use super::session::AwsSession;
use crate::context::{LogLevel, LogSource, TaskContext};

/// The two log groups of a run: `<group>/output` and `<group>/error`.
pub(super) const LOG_SUFFIXES: [&str; 2] = ["output", "error"];

/// CloudWatch may show events this much later than younger ones.
const OVERLAP_MS: i64 = 2000;
/// So many events of the overlap are known again. It bounds what is kept, not what is printed.
const MOST_KNOWN: usize = 1000;

/// How far the log was read. It can be stored between attempts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LogPosition {
    groups: BTreeMap<String, GroupPosition>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct GroupPosition {
    /// The youngest event printed, in milliseconds since the epoch.
    latest_ms: i64,
    /// Events printed that will come again because of the overlap, with their times.
    known: BTreeMap<String, i64>,
}

/// Prints what is new in both groups.
pub(super) async fn print_new_lines(
    ctx: &TaskContext,
    session: &AwsSession,
    id: RunId<'_>,
    position: &mut LogPosition,
) {
    // As Airflow does, the run is asked again: its log group may be known only now.
    let run = match get_job_run(session, &session.glue(), id, false).await {
        Ok(run) => run,
        Err(error) => return ctx.warn(format!("The log of the Glue job run could not be read: {error}")),
    };
    let logs = session.logs();
    for suffix in LOG_SUFFIXES {
        let group = format!("{}/{suffix}", run.log_group);
        let at = position.groups.entry(suffix.to_owned()).or_default();
        let reader = GroupReader { ctx, session, logs: &logs, group: &group, stream: id.run };
        reader.print(at, run.started_ms).await;
    }
}

struct GroupReader<'a> {
    ctx: &'a TaskContext,
    session: &'a AwsSession,
    logs: &'a aws_sdk_cloudwatchlogs::Client,
    group: &'a str,
    stream: &'a str,
}

impl GroupReader<'_> {
    async fn print(&self, at: &mut GroupPosition, run_started_ms: Option<i64>) {
        let resume = (at.latest_ms > 0).then(|| at.latest_ms - OVERLAP_MS);
        let from = resume.max(run_started_ms);
        let mut token: Option<String> = None;
        let mut printed = false;
        loop {
            let call = self
                .logs
                .filter_log_events()
                .log_group_name(self.group)
                .log_stream_names(self.stream)
                .set_start_time(from)
                .set_next_token(token.clone());
            let page = match call.send().await {
                Ok(page) => page,
                Err(error) => {
                    let error = self.session.error("logs", "FilterLogEvents", &error);
                    self.report(&error);
                    break;
                }
            };
            for event in page.events().iter().filter(|event| at.is_new(event)) {
                if !printed {
                    self.ctx.info(format!("Glue Job Run {} Logs:", self.group));
                }
                printed = true;
                let text = event.message().unwrap_or_default().trim_end();
                self.ctx.services.log(LogSource::Remote, LogLevel::Info, text);
            }
            // A token that comes again would go round for ever.
            match page.next_token {
                Some(next) if token.as_deref() != Some(&next) => token = Some(next),
                _ => break,
            }
        }
        at.forget_the_old();
        if !printed {
            self.ctx.info(format!("No new log from the Glue Job in {}", self.group));
        }
    }

    fn report(&self, error: &super::error::AwsError) {
        if error.is("ResourceNotFoundException") {
            let region = self.session.region_or_default();
            self.ctx.warn(format!(
                "No new Glue driver logs so far. If this persists, check the CloudWatch dashboard at: \
                 https://{region}.console.{}/cloudwatch/home",
                console_domain(region)
            ));
        } else {
            self.ctx.warn(format!("The log in {} could not be read: {error}", self.group));
        }
    }
}

impl GroupPosition {
    /// Whether an event was not printed yet; from now on it counts as printed.
    fn is_new(&mut self, event: &FilteredLogEvent) -> bool {
        let time = event.timestamp().unwrap_or_default();
        let id = event.event_id().unwrap_or_default();
        if !id.is_empty() && self.known.insert(id.to_owned(), time).is_some() {
            return false;
        }
        self.latest_ms = self.latest_ms.max(time);
        true
    }

    fn forget_the_old(&mut self) {
        let oldest = self.latest_ms - OVERLAP_MS;
        self.known.retain(|_, time| *time >= oldest);
        while self.known.len() > MOST_KNOWN {
            self.known.pop_first();
        }
    }
}
