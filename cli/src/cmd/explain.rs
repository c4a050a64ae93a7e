//! `windrose explain`

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use windrose_core::task_state::TaskStateName;
use windrose_operators::catalog::OperatorCatalog;
use windrose_scheduler::explain::{RunExplanation, TaskExplanation, Why};
use windrose_scheduler::{Command, Explanation, Options, Subject};
use windrose_store::Store;
use windrose_store::task_log::{TaskLogId, TaskLogs};

use crate::args::ExplainArgs;
use crate::clock::SystemClock;
use crate::cmd::Session;
use crate::cmd::commands::{self, Answer, QUEUED};
use crate::output;

/// Of how many task instances the last line of the log is shown.
const LOGS: usize = 10;

pub(crate) async fn run(session: &Session, args: ExplainArgs) -> Result<ExitCode> {
    let store = session.store().await?;
    let subject = subject_of(&args);
    let explanation = if store.standalone_holder().await?.is_none() {
        let clock = Arc::new(SystemClock);
        windrose_scheduler::explain_stored(store.clone(), clock, options(session)?, &subject).await?
    } else {
        match commands::give(&store, &Command::Explain(subject)).await? {
            Answer::Done(result) => serde_json::from_value(Value::Object(result))
                .context("the scheduler's answer cannot be read; is it another version of Windrose?")?,
            Answer::Queued(sentence) => {
                eprintln!("{sentence}");
                return Ok(ExitCode::from(QUEUED));
            }
        }
    };
    let last_lines = last_lines(session, &store, &explanation).await?;
    if session.json {
        let mut shown = serde_json::to_value(&explanation)?;
        for ((run, task), line) in &last_lines {
            shown["runs"][run]["tasks"][task]["last_log_line"] = Value::from(line.as_str());
        }
        output::object(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.run_id.is_none() {
        outln!("DAG {}", explanation.dag_id);
        print_reasons(&explanation.dag, 1);
    }
    for (at, run) in explanation.runs.iter().enumerate() {
        print_run(at, run, &last_lines);
    }
    if explanation.more_runs > 0 {
        outln!("and {} more runs; see 'windrose runs list {}'", explanation.more_runs, explanation.dag_id);
    }
    Ok(ExitCode::SUCCESS)
}

fn subject_of(args: &ExplainArgs) -> Subject {
    let named = args.task_id.as_deref().map(|task| {
        let mapped = task.strip_suffix(']').and_then(|rest| rest.rsplit_once('['));
        let index = mapped.and_then(|(task, index)| Some((task, index.parse().ok()?)));
        index.map_or((task, None), |(task, index)| (task, Some(index)))
    });
    Subject {
        dag_id: args.dag_id.as_str().into(),
        run_id: args.run_id.as_deref().map(Into::into),
        task: named.map(|(task, _)| task.into()),
        map_index: named.and_then(|(_, index)| index),
    }
}

pub(crate) fn options(session: &Session) -> Result<Options> {
    let config = &session.config;
    Ok(Options {
        bundles: Vec::new(),
        catalog: Arc::new(OperatorCatalog),
        defaults: config.dag_file_defaults()?,
        parallelism: config.scheduler.parallelism as usize,
        queues: config.worker.served_queues(),
        sweep_every: Duration::from_secs(config.scheduler.sweep_seconds.get()),
        sweep_caught: Arc::new(AtomicU64::new(0)),
    })
}

/// What the task instances that have begun said last, by the places of run and task: a sensor's last answer, for one.
async fn last_lines(
    session: &Session,
    store: &Store,
    explanation: &Explanation,
) -> Result<Vec<((usize, usize), String)>> {
    let logs = TaskLogs::new(session.config.log_folder());
    let mut found = Vec::new();
    for (at_run, run) in explanation.runs.iter().enumerate() {
        let has_begun = |task: &&TaskExplanation| {
            use TaskStateName::{Deferred, Failed, Running, UpForReschedule, UpForRetry};
            matches!(task.state, Running | Deferred | UpForReschedule | UpForRetry | Failed)
        };
        let begun = run.tasks.iter().filter(has_begun).count();
        if begun == 0 || found.len() + begun > LOGS {
            continue;
        }
        let Some(row) = store.find_run(&explanation.dag_id, &run.run_id).await? else { continue };
        let rows = store.tasks(row.facts.key).await?;
        for (at_task, task) in run.tasks.iter().enumerate().filter(|(_, task)| has_begun(task)) {
            let stored = rows.iter().find(|row| row.key.task == task.task_id && row.key.map_index == task.map_index);
            let id = TaskLogId {
                dag_id: explanation.dag_id.to_string(),
                run_id: run.run_id.to_string(),
                task_id: task.task_id.to_string(),
                map_index: task.map_index,
                try_number: stored.map_or(1, |row| row.columns.try_number).max(1),
            };
            if let Some(line) = last_line(&logs, &id).await {
                found.push(((at_run, at_task), line));
            }
        }
    }
    Ok(found)
}

/// A log that cannot be read is as good as none here.
async fn last_line(logs: &TaskLogs, id: &TaskLogId) -> Option<String> {
    const PAGE: usize = 1_000;
    let (mut after, mut last) = (0, None);
    while let Some(line) = logs.read(id, after, PAGE).await.ok()?.pop() {
        after = line.seq;
        last = Some(line.text);
    }
    last
}

fn print_run(at: usize, run: &RunExplanation, last_lines: &[((usize, usize), String)]) {
    outln!("run {} ({})", run.run_id, run.state.as_str());
    print_reasons(&run.why, 1);
    for (at_task, task) in run.tasks.iter().enumerate() {
        let index = if task.map_index < 0 { String::new() } else { format!("[{}]", task.map_index) };
        outln!("  {}{index} ({})", task.task_id, task.state.as_str());
        print_reasons(&task.why, 2);
        if let Some((_, line)) = last_lines.iter().find(|(place, _)| *place == (at, at_task)) {
            outln!("      last line of its log: {line}");
        }
    }
    if run.more_tasks > 0 {
        outln!("  and {} more task instances", run.more_tasks);
    }
}

fn print_reasons(reasons: &[Why], depth: usize) {
    let margin = "  ".repeat(depth);
    for why in reasons {
        outln!("{margin}- {}", why.text);
        outln!("{margin}    woken by: {}", why.wakes);
    }
}
