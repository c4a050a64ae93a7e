//! `windrose tasks tries`

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde::Serialize;
use windrose_core::cause::Cause;
use windrose_core::ids::TaskInstanceKey;
use windrose_core::time::Timestamp;
use windrose_store::AttemptRow;

use crate::args::RunArg;
use crate::cmd::{Session, runs};
use crate::output::{self, Row};

#[derive(Serialize)]
struct Shown {
    try_number: u32,
    /// How often the task instance had been cleared before.
    cleared: u32,
    /// How it ended, in one word; null while it lives.
    outcome: Option<String>,
    queued_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    seconds: Option<f64>,
    /// Why it failed, as data.
    cause: Option<Cause>,
    /// The same as a sentence.
    cause_text: Option<String>,
}

impl From<&AttemptRow> for Shown {
    fn from(row: &AttemptRow) -> Self {
        Self {
            try_number: row.try_number,
            cleared: row.generation,
            outcome: row.outcome.clone(),
            queued_at: row.queued_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            seconds: row.started_at.zip(row.ended_at).map(|(from, to)| to.since(from).as_secs_f64()),
            cause_text: row.cause.as_ref().map(Cause::sentence),
            cause: row.cause.clone(),
        }
    }
}

impl Row for Shown {
    const HEADS: &'static [&'static str] = &["try", "cleared before", "outcome", "queued", "seconds", "cause"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.try_number.to_string(),
            self.cleared.to_string(),
            self.outcome.clone().unwrap_or_else(|| "under way".to_owned()),
            self.queued_at.to_string(),
            self.seconds.map(|s| format!("{s:.2}")).unwrap_or_default(),
            self.cause_text.clone().unwrap_or_default(),
        ]
    }
}

pub(crate) async fn run(session: &Session, run: &RunArg, task_id: &str, map_index: i32) -> Result<ExitCode> {
    let store = session.store().await?;
    let row = runs::find(&store, run).await?;
    let key = TaskInstanceKey { run: row.facts.key, task: task_id.into(), map_index };
    if store.task(&key).await?.is_none() {
        bail!(
            "run '{}' has no task instance '{task_id}' with map index {map_index}; see 'windrose tasks list {}'",
            row.facts.run_id,
            run.dag_id
        );
    }
    let attempts = store.attempts(&key).await?;
    output::list(&attempts.iter().map(Shown::from).collect::<Vec<_>>(), session.json)?;
    Ok(ExitCode::SUCCESS)
}
