//! `windrose dags simulate`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use indexmap::IndexMap;
use windrose_core::dag::Dag;
use windrose_core::dag_file::parse_duration;
use windrose_core::run_state::RunState;
use windrose_core::task_state::TaskStateName;
use windrose_engine::simulate::{Outcomes, Span, simulate};
use windrose_store::{Page, RunFilter};

use crate::args::SimulateArgs;
use crate::cmd::{Session, check};
use crate::output;

/// The pool of tasks that name none, and its slots, as Airflow makes it.
const DEFAULT_POOL: (&str, i64) = ("default_pool", 128);
/// Over how many of the last successful runs durations are taken.
const RUNS: u32 = 10;
/// The width where no terminal tells one.
const WIDTH: usize = 100;

pub(crate) async fn run(session: &Session, args: SimulateArgs) -> Result<ExitCode> {
    let dag = Arc::new(check::load_file(session, &args.file)?);
    let outcomes = outcomes(session, &dag, &args).await?;
    let report = simulate(&dag, &outcomes, &[])?;
    if session.json {
        output::object(&report)?;
    } else {
        let width = terminal_size::terminal_size().map_or(WIDTH, |(width, _)| usize::from(width.0));
        output::write(format_args!("{}", report.chart(width)));
    }
    let failed = report.runs.iter().any(|run| run.state != RunState::Success);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the file says, then the command line, then the database.
async fn outcomes(session: &Session, dag: &Dag, args: &SimulateArgs) -> Result<Outcomes> {
    let mut outcomes: Outcomes = match &args.outcomes {
        None => Outcomes::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("the outcomes file {} cannot be read", path.display()))?;
            serde_json::from_str(&text)
                .with_context(|| format!("the outcomes file {} is not as 'dags simulate' wants it", path.display()))?
        }
    };
    for (task, time) in &args.durations {
        outcomes.durations.insert(task.clone(), span(time)?);
    }
    if let Some(time) = &args.default_duration {
        outcomes.default_duration = Some(span(time)?);
    }
    for (pool, slots) in &args.pools {
        let slots: i64 = slots.parse().ok().filter(|slots| *slots >= -1).ok_or_else(|| {
            anyhow!("'{slots}' is not a number of slots for pool '{pool}'; write 0 or more, or -1 for no limit")
        })?;
        outcomes.pools.insert(pool.clone(), slots);
    }
    if args.past_durations {
        for (task, span) in past_durations(session, dag).await? {
            outcomes.durations.entry(task).or_insert(span);
        }
    }
    let used = |pool: &str| dag.tasks.iter().any(|task| task.pool == pool);
    if args.stored_pools {
        for pool in session.store().await?.pools().await?.into_iter().filter(|pool| used(&pool.name)) {
            outcomes.pools.entry(pool.name).or_insert_with(|| i64::from(pool.slots));
        }
    }
    if used(DEFAULT_POOL.0) {
        outcomes.pools.entry(DEFAULT_POOL.0.to_owned()).or_insert(DEFAULT_POOL.1);
    }
    Ok(outcomes)
}

fn span(text: &str) -> Result<Span> {
    parse_duration(text).map(Span::Time).map_err(|why| anyhow!(why))
}

/// The median duration of each task over the last successful runs.
async fn past_durations(session: &Session, dag: &Dag) -> Result<IndexMap<String, Span>> {
    let store = session.store().await?;
    let filter = RunFilter { dag_id: Some(dag.dag_id.clone()), state: Some(RunState::Success), ..RunFilter::default() };
    let runs = store.runs(&filter, Page { offset: 0, limit: RUNS }).await?.rows;
    if runs.is_empty() {
        return Err(anyhow!(
            "the database holds no successful run of DAG '{}' to take durations from; give them with --duration",
            dag.dag_id
        ));
    }
    let mut durations: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    for run in runs {
        let rows = store.tasks(run.facts.key).await?;
        for row in rows.iter().filter(|row| row.state.name() == TaskStateName::Success) {
            if let (Some(began), Some(ended)) = (row.columns.started_at, row.columns.ended_at) {
                durations.entry(row.key.task.to_string()).or_default().push(ended.since(began));
            }
        }
    }
    let known = durations.into_iter().filter(|(task, _)| dag.position(task).is_some());
    Ok(known
        .map(|(task, mut all)| {
            all.sort_unstable();
            let median = all[all.len() / 2];
            (task, Span::Time(median))
        })
        .collect())
}
