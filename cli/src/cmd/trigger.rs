//! `windrose dags trigger`

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value};
use windrose_core::ids::RunId;
use windrose_core::run_state::RunType;
use windrose_core::time::Timestamp;
use windrose_core::timetable::run_id;
use windrose_scheduler::{Command, ManualRun};

use crate::args::TriggerArgs;
use crate::clock;
use crate::cmd::commands::{self, Answer};
use crate::cmd::{Session, dags, runs};

pub(crate) async fn run(session: &Session, args: TriggerArgs) -> Result<ExitCode> {
    let store = session.store().await?;
    let dag = dags::find(&store, &args.dag_id).await?;
    let conf = read_conf(args.conf.as_deref())?;
    let logical_date = args.logical_date.map(Timestamp::from);
    let run_after = args.run_after.map(Timestamp::from);
    let id = match args.run_id {
        Some(id) if id.is_empty() || id.len() > 250 => bail!("a run id has 1 to 250 characters"),
        Some(id) => RunId::from(id),
        None => run_id(RunType::Manual, logical_date.or(run_after).unwrap_or_else(clock::now)),
    };
    let wanted =
        ManualRun { dag_id: dag.dag_id.clone(), run_id: id.clone(), logical_date, run_after, conf, note: args.note };
    let answer = commands::give(&store, &Command::Trigger(wanted)).await?;
    if args.wait && matches!(answer, Answer::Done(_)) {
        return runs::watch(session, &store, &args.dag_id, id.as_str()).await;
    }
    if !session.json {
        outln!("{id}");
    }
    let code = commands::tell(session, (&dag.dag_id, &id), answer, |_| String::new())?;
    if dag.paused {
        eprintln!("DAG '{}' is paused: the run waits until 'windrose dags unpause {}'", args.dag_id, args.dag_id);
    }
    Ok(code)
}

/// Parameters of a run.
pub(crate) fn read_conf(text: Option<&str>) -> Result<Map<String, Value>> {
    match text {
        None => Ok(Map::new()),
        Some(text) => serde_json::from_str(text).context("--conf must be a JSON object, such as '{\"rows\": 10}'"),
    }
}
