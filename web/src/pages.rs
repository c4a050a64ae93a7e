//! The pages. Templates escape whatever they are given, so names and logs cannot bring markup with them.

use std::sync::LazyLock;

use axum::extract::{Path, State as FromState};
use axum::http::StatusCode;
use axum::response::Html;
use minijinja::{Environment, Value, context};
use windrose_core::cause::Cause;
use windrose_core::dag_file::{DagSource, TaskOrder};
use windrose_core::ids::{DagId, RunId, TaskInstanceKey};
use windrose_core::log_line::LogLevel;
use windrose_core::run_state::RunState;
use windrose_core::time::Timestamp;
use windrose_store::task_log::TaskLogId;
use windrose_store::{DagRow, Page, RunFilter, RunRow, TaskRow};

use crate::State;
use crate::error::PageError;

/// Runs on a DAG's page, and the newest ones behind each DAG in the list.
const RUNS: u32 = 50;

/// Log lines on a page; the whole log is in `windrose tasks logs`.
const LINES: usize = 20_000;

#[expect(clippy::expect_used, reason = "the templates are part of the program, and a test renders each of them")]
static TEMPLATES: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut templates = Environment::new();
    templates.add_filter("segment", segment);
    let all = [
        ("layout.html", include_str!("../pages/layout.html")),
        ("dags.html", include_str!("../pages/dags.html")),
        ("dag.html", include_str!("../pages/dag.html")),
        ("run.html", include_str!("../pages/run.html")),
        ("log.html", include_str!("../pages/log.html")),
        ("message.html", include_str!("../pages/message.html")),
    ];
    for (name, text) in all {
        templates.add_template(name, text).expect("a template of the program");
    }
    templates
});

/// A text as one segment of a path: `urlencode` would leave the slashes of a run id as they are.
fn segment(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

fn page(name: &str, values: Value) -> Result<Html<String>, PageError> {
    Ok(Html(TEMPLATES.get_template(name)?.render(values)?))
}

/// A page with one sentence.
pub(crate) fn message_page(message: &str) -> String {
    page("message.html", context! { message }).map_or_else(|_| "the page cannot be made".to_owned(), |html| html.0)
}

/// Any other address.
pub(crate) async fn not_found() -> (StatusCode, Html<String>) {
    (StatusCode::NOT_FOUND, Html(message_page("there is no such page")))
}

/// All DAGs.
pub(crate) async fn dags(FromState(state): FromState<State>) -> Result<Html<String>, PageError> {
    let dags: Vec<Value> = state.store.dags().await?.iter().map(dag_value).collect();
    let recent = state.store.runs(&RunFilter::default(), Page { offset: 0, limit: RUNS }).await?;
    let errors: Vec<Value> = state
        .store
        .import_errors()
        .await?
        .into_iter()
        .map(|error| context! { file => error.file, message => error.message })
        .collect();
    let runs: Vec<Value> = recent.rows.iter().map(|run| run_value(run, state.clock.now())).collect();
    page("dags.html", context! { dags, runs, errors, live => any_active(&recent.rows) })
}

/// One DAG with its newest runs.
pub(crate) async fn dag(
    FromState(state): FromState<State>,
    Path(dag_id): Path<String>,
) -> Result<Html<String>, PageError> {
    let id = DagId::from(dag_id.as_str());
    let dag = state.store.dag(&id).await?.ok_or_else(|| PageError::NotFound(format!("DAG '{dag_id}'")))?;
    let source = state.store.dag_version(&id, &dag.version).await?.map(|version| version.source);
    let filter = RunFilter { dag_id: Some(id), ..RunFilter::default() };
    let runs = state.store.runs(&filter, Page { offset: 0, limit: RUNS }).await?;
    let rows: Vec<Value> = runs.rows.iter().map(|run| run_value(run, state.clock.now())).collect();
    page(
        "dag.html",
        context! { dag => dag_value(&dag), runs => rows, total => runs.total, source, live => any_active(&runs.rows) },
    )
}

/// One run with its task instances, in the order of the file.
pub(crate) async fn run(
    FromState(state): FromState<State>,
    Path((dag_id, run_id)): Path<(String, String)>,
) -> Result<Html<String>, PageError> {
    let run = find_run(&state, &dag_id, &run_id).await?;
    let mut tasks = state.store.tasks(run.facts.key).await?;
    if let Some(version) = state.store.dag_version(&run.facts.dag_id, &run.facts.dag_version).await? {
        let source = DagSource { path: version.file.into(), text: version.source };
        TaskOrder::of(&source, state.catalog.as_ref(), &state.defaults).sort(&mut tasks, |row| &row.key.task);
    }
    let tasks: Vec<Value> = tasks.iter().map(|task| task_value(task, state.clock.now())).collect();
    page("run.html", context! { run => run_value(&run, state.clock.now()), tasks, live => !run.state.is_final() })
}

/// The log of one try.
pub(crate) async fn log(
    FromState(state): FromState<State>,
    Path((dag_id, run_id, task_id, map_index, try_number)): Path<(String, String, String, i32, u32)>,
) -> Result<Html<String>, PageError> {
    let run = find_run(&state, &dag_id, &run_id).await?;
    let key = TaskInstanceKey { run: run.facts.key, task: task_id.as_str().into(), map_index };
    let task = state.store.task(&key).await?.ok_or_else(|| PageError::NotFound(format!("task '{task_id}'")))?;
    let id = TaskLogId { dag_id, run_id, task_id, map_index, try_number };
    let lines: Vec<Value> = state
        .logs
        .read(&id, 0, LINES)
        .await?
        .into_iter()
        .map(|line| context! { seq => line.seq, at => clock_time(line.ts), level => level_word(line.level), text => line.text })
        .collect();
    let now = state.clock.now();
    page(
        "log.html",
        context! { run => run_value(&run, now), task => task_value(&task, now), try_number, lines, live => !task.state.is_final() },
    )
}

async fn find_run(state: &State, dag_id: &str, run_id: &str) -> Result<RunRow, PageError> {
    let found = state.store.find_run(&DagId::from(dag_id), &RunId::from(run_id)).await?;
    found.ok_or_else(|| PageError::NotFound(format!("run '{run_id}' of DAG '{dag_id}'")))
}

fn any_active(runs: &[RunRow]) -> bool {
    runs.iter().any(|run| !run.state.is_final())
}

fn dag_value(dag: &DagRow) -> Value {
    context! {
        id => dag.dag_id.as_str(),
        description => dag.description.clone(),
        schedule => dag.schedule.clone(),
        paused => dag.paused,
        absent => dag.absent_since.is_some(),
        tags => dag.tags.clone(),
        file => dag.file.clone(),
        version => dag.version.clone(),
    }
}

fn run_value(run: &RunRow, now: Timestamp) -> Value {
    context! {
        dag_id => run.facts.dag_id.as_str(),
        id => run.facts.run_id.as_str(),
        state => run.state.as_str(),
        run_type => run.facts.run_type.as_str(),
        logical_date => run.facts.logical_date.map(|at| at.to_string()),
        started_at => run.started_at.map(clock_time),
        seconds => seconds(run.started_at, run.ended_at, (run.state == RunState::Running).then_some(now)),
    }
}

fn task_value(task: &TaskRow, now: Timestamp) -> Value {
    context! {
        id => task.key.task.as_str(),
        map_index => task.key.map_index,
        state => task.state.name().as_str(),
        try_number => task.columns.try_number,
        started_at => task.columns.started_at.map(clock_time),
        seconds => seconds(task.columns.started_at, task.columns.ended_at, task.state.attempt().map(|_| now)),
        cause => task.cause.as_ref().map(Cause::sentence),
        kind => task.cause.as_ref().map(Cause::kind),
    }
}

/// To the second and in UTC, as a person reads it.
fn clock_time(at: Timestamp) -> String {
    at.to_utc().format("%Y-%m-%d %H:%M:%S").to_string()
}

fn seconds(from: Option<Timestamp>, to: Option<Timestamp>, now: Option<Timestamp>) -> Option<String> {
    let (from, to) = from.zip(to.or(now))?;
    Some(format!("{:.2}", to.since(from).as_secs_f64()))
}

const fn level_word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warning => "warning",
        LogLevel::Error => "error",
    }
}
