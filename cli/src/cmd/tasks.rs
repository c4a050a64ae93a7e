//! `windrose tasks`

use std::process::ExitCode;

use anyhow::Result;
use serde::Serialize;
use windrose_core::cause::Cause;
use windrose_core::dag_file::{DagSource, TaskOrder};
use windrose_core::time::Timestamp;
use windrose_engine::{MarkedState, Selection};
use windrose_operators::catalog::OperatorCatalog;
use windrose_scheduler::Action;
use windrose_store::{RunRow, Store, TaskRow};

use crate::args::{RunArg, SelectArgs, TaskMark, TasksCommand};
use crate::cmd::{Session, change, runs, task_logs, task_test, tries};
use crate::output::{self, Row};

#[derive(Serialize)]
pub(crate) struct Shown {
    task_id: String,
    map_index: i32,
    /// What `map_index_template` made of a mapped instance.
    rendered_map_index: Option<String>,
    state: &'static str,
    try_number: u32,
    queued_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    seconds: Option<f64>,
    /// Why the last try failed, as data.
    cause: Option<Cause>,
    /// The same as a sentence.
    cause_text: Option<String>,
}

impl From<&TaskRow> for Shown {
    fn from(row: &TaskRow) -> Self {
        Self {
            task_id: row.key.task.to_string(),
            map_index: row.key.map_index,
            rendered_map_index: row.rendered_map_index.clone(),
            state: row.state.name().as_str(),
            try_number: row.columns.try_number,
            queued_at: row.columns.queued_at,
            started_at: row.columns.started_at,
            ended_at: row.columns.ended_at,
            seconds: row.columns.started_at.zip(row.columns.ended_at).map(|(from, to)| to.since(from).as_secs_f64()),
            cause_text: row.cause.as_ref().map(Cause::sentence),
            cause: row.cause.clone(),
        }
    }
}

impl Row for Shown {
    const HEADS: &'static [&'static str] = &["task", "state", "try", "seconds", "cause"];

    fn cells(&self) -> Vec<String> {
        let name = match (self.map_index, &self.rendered_map_index) {
            (-1, _) => self.task_id.clone(),
            (index, None) => format!("{}[{index}]", self.task_id),
            (index, Some(name)) => format!("{}[{index}] {name}", self.task_id),
        };
        vec![
            name,
            self.state.into(),
            self.try_number.to_string(),
            self.seconds.map(|s| format!("{s:.2}")).unwrap_or_default(),
            self.cause_text.clone().unwrap_or_default(),
        ]
    }
}

/// The task instances of a run, in the order in which somebody wrote the tasks.
pub(crate) async fn in_file_order(session: &Session, store: &Store, run: &RunRow) -> Result<Vec<TaskRow>> {
    let mut tasks = store.tasks(run.facts.key).await?;
    if let Some(version) = store.dag_version(&run.facts.dag_id, &run.facts.dag_version).await? {
        let source = DagSource { path: version.file.into(), text: version.source };
        let order = TaskOrder::of(&source, &OperatorCatalog, &session.config.dag_file_defaults()?);
        order.sort(&mut tasks, |row| &row.key.task);
    }
    Ok(tasks)
}

pub(crate) fn print(rows: &[TaskRow], json: bool) -> Result<()> {
    output::list(&rows.iter().map(Shown::from).collect::<Vec<_>>(), json)
}

pub(crate) async fn run(session: &Session, command: TasksCommand) -> Result<ExitCode> {
    match command {
        TasksCommand::List(run) => {
            let store = session.store().await?;
            let row = runs::find(&store, &run).await?;
            print(&in_file_order(session, &store, &row).await?, session.json)?;
            Ok(ExitCode::SUCCESS)
        }
        TasksCommand::Logs { dag_id, task_id, run_id, try_number, map_index, follow } => {
            let run = RunArg { dag_id, run_id };
            task_logs::run(session, &run, &task_id, map_index, try_number, follow).await
        }
        TasksCommand::Tries { dag_id, task_id, run_id, map_index } => {
            tries::run(session, &RunArg { dag_id, run_id }, &task_id, map_index).await
        }
        TasksCommand::Clear { dag_id, task_ids, select, change } => {
            let store = session.store().await?;
            let (run, selection) = selected(dag_id, task_ids, select);
            change::run(session, &store, &run, &change, Action::Clear { selection }).await
        }
        TasksCommand::Mark { state, dag_id, task_ids, select, change } => {
            let store = session.store().await?;
            let (run, selection) = selected(dag_id, task_ids, select);
            let state = match state {
                TaskMark::Success => MarkedState::Success,
                TaskMark::Failed => MarkedState::Failed,
                TaskMark::Skipped => MarkedState::Skipped,
            };
            change::run(session, &store, &run, &change, Action::MarkTasks { selection, state }).await
        }
        TasksCommand::Test { file, task_id, logical_date, conf } => {
            task_test::run(session, &file, &task_id, logical_date, conf.as_deref()).await
        }
    }
}

fn selected(dag_id: String, task_ids: Vec<String>, select: SelectArgs) -> (RunArg, Selection) {
    let SelectArgs { run_id, upstream, downstream, only_failed, only_running, map_index } = select;
    let tasks = task_ids.into_iter().map(Into::into).collect();
    let selection = Selection { tasks, upstream, downstream, map_indexes: map_index, only_failed, only_running };
    (RunArg { dag_id, run_id }, selection)
}
