//! Giving the scheduler a command: a row and a wake-up, waiting for its answer, and telling what came of it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};
use windrose_core::ids::{DagId, RunId};
use windrose_scheduler::Command;
use windrose_store::{Store, Topic};

use crate::clock;
use crate::cmd::Session;
use crate::output;

/// How long a scheduler may take. The row stays, so a command is not lost when it takes longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The exit code of a command that is kept and not done yet.
pub(crate) const QUEUED: u8 = 3;

/// What became of a command.
pub(crate) enum Answer {
    /// It is done, with this result.
    Done(Map<String, Value>),
    /// It is kept, and will be done; the sentence says when.
    Queued(String),
}

/// Gives a command and, if a scheduler is alive, waits until it is done or refused.
pub(crate) async fn give(store: &Store, command: &Command) -> Result<Answer> {
    give_as(store, command, &std::env::var("USER").unwrap_or_else(|_| "cli".to_owned())).await
}

/// The same in the name of somebody.
pub(crate) async fn give_as(store: &Store, command: &Command, who: &str) -> Result<Answer> {
    let payload = serde_json::to_value(command)?;
    let id = store.insert_command(command.kind(), &payload, who, clock::now()).await?;
    store.notify(Topic::Commands).await?;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut pause = Duration::from_millis(2);
    loop {
        // Before the result: a scheduler that is gone by now has written it already, or never will.
        let scheduler = store.standalone_holder().await?;
        if let Some(result) = store.command(&id).await?.and_then(|row| row.result) {
            if let Some(error) = result.get("error").and_then(Value::as_str) {
                bail!("{error}");
            }
            return Ok(Answer::Done(result.as_object().cloned().unwrap_or_default()));
        }
        let Some(scheduler) = scheduler else {
            return Ok(Answer::Queued("queued: no scheduler is running; it will be done when one starts".to_owned()));
        };
        if tokio::time::Instant::now() >= deadline {
            return Ok(Answer::Queued(format!(
                "queued: the scheduler ({scheduler}) has not done it within {} s; it will be done when it gets to it",
                PATIENCE.as_secs()
            )));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Tells what came of a command for a run; `done` is the sentence for one that is done.
pub(crate) fn tell(
    session: &Session,
    (dag_id, run_id): (&DagId, &RunId),
    answer: Answer,
    done: impl FnOnce(&Map<String, Value>) -> String,
) -> Result<ExitCode> {
    let (status, result, sentence, code) = match answer {
        Answer::Done(result) => ("done", result.clone(), done(&result), ExitCode::SUCCESS),
        Answer::Queued(sentence) => ("queued", Map::new(), sentence, ExitCode::from(QUEUED)),
    };
    if session.json {
        let mut shown = json!({ "dag_id": dag_id, "run_id": run_id, "status": status });
        if let Some(shown) = shown.as_object_mut() {
            shown.extend(result);
        }
        output::object(&shown)?;
    }
    if !sentence.is_empty() && (status == "queued" || !session.json) {
        eprintln!("{sentence}");
    }
    Ok(code)
}

/// "1 task instance", "2 task instances".
pub(crate) fn task_instances(result: &Map<String, Value>, key: &str) -> String {
    match result.get(key).and_then(Value::as_u64).unwrap_or_default() {
        1 => "1 task instance".to_owned(),
        count => format!("{count} task instances"),
    }
}
