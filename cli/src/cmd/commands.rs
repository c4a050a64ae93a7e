//! Giving the scheduler a command: a row and a wake-up, and waiting for its answer.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;
use windrose_scheduler::Command;
use windrose_store::{Store, Topic};

use crate::clock;

/// How long a scheduler may take. The row stays, so a command is not lost when it takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What became of a command.
pub(crate) enum Answer {
    /// It was carried out.
    Done,
    /// No scheduler has taken it yet; it will when one runs.
    Pending,
}

/// Gives a command and waits a while for its answer.
pub(crate) async fn give(store: &Store, command: &Command) -> Result<Answer> {
    let payload = serde_json::to_value(command)?;
    let who = std::env::var("USER").unwrap_or_else(|_| "cli".to_owned());
    let id = store.insert_command(command.kind(), &payload, &who, clock::now()).await?;
    store.notify(Topic::Commands).await?;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(2);
    while tokio::time::Instant::now() < deadline {
        if let Some(result) = store.command(&id).await?.and_then(|row| row.result) {
            if let Some(error) = result.get("error").and_then(Value::as_str) {
                bail!("{error}");
            }
            return Ok(Answer::Done);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
    Ok(Answer::Pending)
}

/// What a person is told of a command that nobody has taken.
pub(crate) const PENDING: &str =
    "no scheduler has taken this up yet; it will be carried out when 'windrose standalone' runs on this database";
