//! `windrose dags`

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde::Serialize;
use windrose_core::dag::Dag;
use windrose_core::dag_file::{self, DagSource};
use windrose_core::ids::DagId;
use windrose_core::time::Timestamp;
use windrose_core::timetable::{Bounds, Timetable, preview};
use windrose_operators::catalog::OperatorCatalog;
use windrose_store::{DEFAULT_BUNDLE, DagRow, ImportErrorRow, Store, Topic};

use crate::args::DagsCommand;
use crate::clock;
use crate::cmd::{Session, check, deadlines, runs, schema, simulate, trigger, versions};
use crate::output::{self, Row};

#[derive(Serialize)]
struct Shown {
    dag_id: String,
    schedule: Option<String>,
    paused: bool,
    /// Its file is gone.
    absent: bool,
    owner: Option<String>,
    tags: Vec<String>,
    description: Option<String>,
    bundle: String,
    file: String,
    version: String,
    /// The newest version, if a person went back from it.
    held_from: Option<String>,
}

impl From<DagRow> for Shown {
    fn from(row: DagRow) -> Self {
        Self {
            dag_id: row.dag_id.to_string(),
            schedule: row.schedule,
            paused: row.paused,
            absent: row.absent_since.is_some(),
            owner: row.owner,
            tags: row.tags,
            description: row.description,
            bundle: row.bundle.to_string(),
            file: row.file,
            version: row.version,
            held_from: row.held_from,
        }
    }
}

impl Row for Shown {
    const HEADS: &'static [&'static str] = &["dag", "schedule", "state", "tags", "file"];

    fn cells(&self) -> Vec<String> {
        let state = match (self.absent, self.paused) {
            (true, _) => "file is gone",
            (false, true) => "paused",
            (false, false) => "on",
        };
        vec![
            self.dag_id.clone(),
            self.schedule.clone().unwrap_or_else(|| "none".into()),
            state.into(),
            self.tags.join(", "),
            self.file.clone(),
        ]
    }
}

#[derive(Serialize)]
struct Next {
    logical_date: Option<Timestamp>,
    run_after: Timestamp,
    run_id: String,
}

impl Row for Next {
    const HEADS: &'static [&'static str] = &["logical date", "due", "run id"];

    fn cells(&self) -> Vec<String> {
        let date = self.logical_date.map(|at| at.to_string()).unwrap_or_default();
        vec![date, self.run_after.to_string(), self.run_id.clone()]
    }
}

pub(crate) async fn run(session: &Session, command: DagsCommand) -> Result<ExitCode> {
    match command {
        DagsCommand::Check { paths, strict } => return check::run(session, paths, strict),
        DagsCommand::Simulate(args) => return simulate::run(session, args).await,
        DagsCommand::Trigger(args) => return trigger::run(session, args).await,
        DagsCommand::List { search } => list(session, search).await?,
        DagsCommand::Show(dag) => show(session, &dag.dag_id).await?,
        DagsCommand::Next { dag_id, count } => next(session, &dag_id, count).await?,
        DagsCommand::Deadlines { dag_id } => deadlines::run(session, dag_id.as_deref()).await?,
        DagsCommand::Schema => schema::run()?,
        DagsCommand::Versions(dag) => versions::list(session, &dag.dag_id).await?,
        DagsCommand::Diff(args) => versions::diff(session, &args.dag_id, args.from, args.to).await?,
        DagsCommand::Rollback(args) => versions::rollback(session, &args.dag_id, args.wanted).await?,
        DagsCommand::Pause(dag) => set_paused(session, &dag.dag_id, true).await?,
        DagsCommand::Unpause(dag) => set_paused(session, &dag.dag_id, false).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(session: &Session, search: Option<String>) -> Result<()> {
    let store = session.store().await?;
    let wanted = search.unwrap_or_default().to_lowercase();
    let dags = store.dags().await?.into_iter().filter(|dag| dag.dag_id.as_str().to_lowercase().contains(&wanted));
    let rows: Vec<Shown> = dags.map(Shown::from).collect();
    output::list(&rows, session.json)?;
    if !session.json {
        for error in store.import_errors().await? {
            eprintln!("\n{}{} has errors:\n{}", error.file, origin(&error), error.message);
        }
    }
    Ok(())
}

/// Which bundle and commit brought an error, as far as that is not plain.
fn origin(error: &ImportErrorRow) -> String {
    let bundle = if error.bundle.as_str() == DEFAULT_BUNDLE {
        String::new()
    } else {
        format!(" of the bundle '{}'", error.bundle)
    };
    let commit = match (&error.git_commit, &error.author) {
        (Some(commit), Some(author)) => format!(", commit {} by {author},", &commit[..commit.len().min(12)]),
        _ => String::new(),
    };
    format!("{bundle}{commit}")
}

pub(crate) async fn find(store: &Store, dag_id: &str) -> Result<DagRow> {
    let id = DagId::from(dag_id);
    if let Some(row) = store.dag(&id).await? {
        return Ok(row);
    }
    bail!("the database knows no DAG '{dag_id}'; see 'windrose dags list', and 'windrose dags check' for broken files")
}

async fn show(session: &Session, dag_id: &str) -> Result<()> {
    let store = session.store().await?;
    let row = find(&store, dag_id).await?;
    if session.json {
        return output::object(&Shown::from(row));
    }
    outln!("{}  {}", row.dag_id, row.description.as_deref().unwrap_or_default());
    outln!("schedule  {}", row.schedule.as_deref().unwrap_or("none (started by hand or by other DAGs)"));
    outln!("file      {} (version {})", row.file, &row.version[..row.version.len().min(12)]);
    outln!("state     {}", if row.paused { "paused" } else { "on" });
    if let Some(version) = store.dag_version(&row.dag_id, &row.version).await? {
        let source = DagSource { path: row.file.clone().into(), text: version.source };
        if let Ok(dag) = dag_file::parse(&source, &OperatorCatalog, &session.config.dag_file_defaults()?) {
            outln!("tasks");
            for (position, task) in dag.tasks.iter().enumerate() {
                let upstream: Vec<_> = dag.upstream(position).into_iter().map(|p| dag.tasks[p].id.as_str()).collect();
                let after =
                    if upstream.is_empty() { String::new() } else { format!("  after {}", upstream.join(", ")) };
                outln!("  {:30} {:22}{after}", task.id.as_str(), task.operator);
            }
        }
    }
    outln!("last runs");
    runs::list(session, &store, Some(dag_id), None, 5).await
}

/// The newest version of a DAG, as the database keeps it.
pub(crate) async fn newest(session: &Session, store: &Store, dag_id: &str) -> Result<(DagRow, Dag)> {
    let row = find(store, dag_id).await?;
    let Some(version) = store.dag_version(&row.dag_id, &row.version).await? else {
        bail!("the database holds no text of DAG '{dag_id}'; start 'windrose standalone' to load it again");
    };
    let source = DagSource { path: version.file.into(), text: version.source };
    let dag = dag_file::parse(&source, &OperatorCatalog, &session.config.dag_file_defaults()?)
        .map_err(|errors| anyhow::anyhow!("{}", errors.render(false)))?;
    Ok((row, dag))
}

async fn next(session: &Session, dag_id: &str, count: usize) -> Result<()> {
    let store = session.store().await?;
    let (row, dag) = newest(session, &store, dag_id).await?;
    let timetable = Timetable::new(&dag.schedule, dag.timezone)?;
    let last = store.last_automated_run(&row.dag_id).await?.and_then(|run| run.facts.data_interval);
    let runs = preview(&timetable, &Bounds::from(&dag), last, clock::now(), count)?;
    let rows: Vec<Next> = runs
        .iter()
        .map(|due| Next { logical_date: due.logical_date, run_after: due.run_after, run_id: due.run_id().to_string() })
        .collect();
    output::list(&rows, session.json)
}

async fn set_paused(session: &Session, dag_id: &str, paused: bool) -> Result<()> {
    let store = session.store().await?;
    let row = find(&store, dag_id).await?;
    let changed = store.set_paused(&row.dag_id, paused).await?;
    store.notify(Topic::Dags).await?;
    let state = if paused { "paused" } else { "on" };
    eprintln!("DAG '{dag_id}' is {state}{}", if changed { "" } else { ", as before" });
    Ok(())
}
