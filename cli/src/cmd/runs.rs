//! `windrose runs`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;
use windrose_core::ids::{DagId, RunId};
use windrose_core::run_state::RunState;
use windrose_core::task_state::TaskStateName;
use windrose_core::time::Timestamp;
use windrose_engine::Selection;
use windrose_scheduler::{Action, Command};
use windrose_store::{Page, RunFilter, RunRow, Store, TaskRow};

use crate::args::{RunArg, RunMark, RunsCommand};
use crate::cmd::{Session, change, commands, tasks};
use crate::output::{self, Row};

/// How often a watched run is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Serialize)]
struct Shown {
    dag_id: String,
    run_id: String,
    state: &'static str,
    run_type: &'static str,
    logical_date: Option<Timestamp>,
    data_interval_start: Option<Timestamp>,
    data_interval_end: Option<Timestamp>,
    run_after: Timestamp,
    created_at: Timestamp,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    seconds: Option<f64>,
    triggered_by: String,
    note: Option<String>,
}

impl From<&RunRow> for Shown {
    fn from(row: &RunRow) -> Self {
        Self {
            dag_id: row.facts.dag_id.to_string(),
            run_id: row.facts.run_id.to_string(),
            state: row.state.as_str(),
            run_type: row.facts.run_type.as_str(),
            logical_date: row.facts.logical_date,
            data_interval_start: row.facts.data_interval.map(|interval| interval.start),
            data_interval_end: row.facts.data_interval.map(|interval| interval.end),
            run_after: row.facts.run_after,
            created_at: row.created_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            seconds: row.started_at.zip(row.ended_at).map(|(from, to)| to.since(from).as_secs_f64()),
            triggered_by: row.facts.triggered_by.clone(),
            note: row.note.clone(),
        }
    }
}

impl Row for Shown {
    const HEADS: &'static [&'static str] = &["dag", "run", "state", "type", "started", "seconds"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.dag_id.clone(),
            self.run_id.clone(),
            self.state.into(),
            self.run_type.into(),
            self.started_at.map(|at| at.to_string()).unwrap_or_default(),
            self.seconds.map(|s| format!("{s:.2}")).unwrap_or_default(),
        ]
    }
}

pub(crate) async fn run(session: &Session, command: RunsCommand) -> Result<ExitCode> {
    let store = session.store().await?;
    match command {
        RunsCommand::List { dag_id, state, limit } => {
            let state = match state.as_deref().map(|word| (word, RunState::parse(word))) {
                Some((word, None)) => bail!("'{word}' is no run state; use queued, running, success or failed"),
                Some((_, state)) => state,
                None => None,
            };
            list(session, &store, dag_id.as_deref(), state, limit).await?;
        }
        RunsCommand::Show(run) => {
            let row = find(&store, &run).await?;
            let tasks = tasks::in_file_order(session, &store, &row).await?;
            if session.json {
                let tasks: Vec<_> = tasks.iter().map(tasks::Shown::from).collect();
                output::object(&serde_json::json!({ "run": Shown::from(&row), "tasks": tasks }))?;
            } else {
                output::list(&[Shown::from(&row)], false)?;
                if let Some(note) = &row.note {
                    outln!("note: {note}");
                }
                outln!();
                tasks::print(&tasks, false)?;
            }
        }
        RunsCommand::Watch(run) => {
            let row = find(&store, &run).await?;
            return watch(session, &store, &run.dag_id, row.facts.run_id.as_str()).await;
        }
        RunsCommand::Clear { run, only_failed, only_running, change } => {
            let selection = Selection { only_failed, only_running, ..Selection::default() };
            return change::run(session, &store, &run, &change, Action::Clear { selection }).await;
        }
        RunsCommand::Mark { state, run, change } => {
            let action = Action::MarkRun { success: state == RunMark::Success };
            return change::run(session, &store, &run, &change, action).await;
        }
        RunsCommand::Cancel(run) => {
            let row = find(&store, &run).await?;
            let command = Command::Cancel { dag_id: row.facts.dag_id.clone(), run_id: row.facts.run_id.clone() };
            let answer = commands::give(&store, &command).await?;
            return commands::tell(session, (&row.facts.dag_id, &row.facts.run_id), answer, |result| {
                let stopped = commands::task_instances(result, "stopped");
                let goes_on = if result.get("state") == Some(&RunState::Failed.as_str().into()) {
                    ""
                } else {
                    "; it ends after its teardown tasks"
                };
                format!("run '{}' is cancelled: {stopped} stopped{goes_on}", row.facts.run_id)
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn list(
    session: &Session,
    store: &Store,
    dag_id: Option<&str>,
    state: Option<RunState>,
    limit: u32,
) -> Result<()> {
    let filter = RunFilter { dag_id: dag_id.map(DagId::from), state, ..RunFilter::default() };
    let listed = store.runs(&filter, Page { offset: 0, limit }).await?;
    output::list(&listed.rows.iter().map(Shown::from).collect::<Vec<_>>(), session.json)
}

/// The run that was named, or the DAG's newest.
pub(crate) async fn find(store: &Store, run: &RunArg) -> Result<RunRow> {
    let dag_id = DagId::from(run.dag_id.as_str());
    if let Some(id) = &run.run_id {
        return match store.find_run(&dag_id, &RunId::from(id.as_str())).await? {
            Some(row) => Ok(row),
            None => bail!("DAG '{dag_id}' has no run '{id}'; see 'windrose runs list {dag_id}'"),
        };
    }
    let filter = RunFilter { dag_id: Some(dag_id.clone()), ..RunFilter::default() };
    match store.runs(&filter, Page { offset: 0, limit: 1 }).await?.rows.into_iter().next() {
        Some(row) => Ok(row),
        None => bail!("DAG '{dag_id}' has no runs; start one with 'windrose dags trigger {dag_id}'"),
    }
}

/// Follows a run to its end, and answers with its outcome.
pub(crate) async fn watch(session: &Session, store: &Store, dag_id: &str, run_id: &str) -> Result<ExitCode> {
    let arg = RunArg { dag_id: dag_id.to_owned(), run_id: Some(run_id.to_owned()) };
    let bars = Bars::new();
    loop {
        let row = find(store, &arg).await?;
        let tasks = store.tasks(row.facts.key).await?;
        if !session.json {
            bars.show(&tasks);
        }
        if row.state.is_final() {
            bars.finish();
            if session.json {
                output::object(&Shown::from(&row))?;
            } else {
                summary(&row, &tasks::in_file_order(session, store, &row).await?);
            }
            return Ok(if row.state == RunState::Success { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn summary(row: &RunRow, tasks: &[TaskRow]) {
    let seconds = row.started_at.zip(row.ended_at).map_or(0.0, |(from, to)| to.since(from).as_secs_f64());
    outln!("{} {}: {} after {seconds:.2} s", row.facts.dag_id, row.facts.run_id, row.state.as_str());
    for task in tasks {
        if let Some(cause) = &task.cause {
            outln!("  {} {}: {}", task.key.task, task.state.name().as_str(), cause.sentence());
        }
    }
}

/// One line per run on a terminal; nothing where nobody looks.
struct Bars {
    bar: ProgressBar,
}

impl Bars {
    fn new() -> Self {
        let bar = MultiProgress::new().add(ProgressBar::new(0));
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar }
    }

    fn show(&self, tasks: &[TaskRow]) {
        let done = tasks.iter().filter(|t| t.state.is_final()).count();
        let active: Vec<_> = tasks
            .iter()
            .filter(|t| !t.state.is_final() && t.state.name() != TaskStateName::None)
            .map(|t| format!("{} ({})", t.key.task, t.state.name().as_str()))
            .take(3)
            .collect();
        self.bar.set_length(tasks.len() as u64);
        self.bar.set_position(done as u64);
        self.bar.set_message(active.join(", "));
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
