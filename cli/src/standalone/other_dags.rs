//! What tasks may know and want of other DAGs: rows for what is known, commands to the scheduler for what is wanted.

use std::time::Duration;

use windrose_core::dag_file::outline;
use windrose_core::ids::{DagId, RunId};
use windrose_core::task_state::TaskStateName;
use windrose_core::template::XComQuery;
use windrose_engine::Selection;
use windrose_operators::other_dags::{OtherDag, OtherRun};
use windrose_scheduler::{Action, Change, Command, ManualRun};
use windrose_store::{Page, RunFilter, RunRow, Store, StoreError};
use windrose_worker::port::{DagAnswer, DagQuestion, PortError};

use crate::cmd::commands::{self, Answer};

fn seen(row: RunRow) -> OtherRun {
    OtherRun { run_id: row.facts.run_id, state: row.state, triggered_by: row.facts.triggered_by }
}

/// Answers a task's question, or has the scheduler do what the task wants.
pub(super) async fn answer(store: &Store, question: &DagQuestion) -> Result<DagAnswer, PortError> {
    let unavailable = |error: StoreError| PortError::Unavailable(error.to_string());
    Ok(match question {
        DagQuestion::Dag(dag_id) => DagAnswer::Dag(dag(store, dag_id).await.map_err(unavailable)?),
        DagQuestion::Run(dag_id, run_id) => {
            DagAnswer::Run(store.find_run(dag_id, run_id).await.map_err(unavailable)?.map(seen))
        }
        DagQuestion::RunAt(dag_id, date) => {
            let filter = RunFilter {
                dag_id: Some(dag_id.clone()),
                logical_date_from: Some(*date),
                logical_date_before: Some(date.plus(Duration::from_micros(1))),
                ..RunFilter::default()
            };
            let runs = store.runs(&filter, Page { offset: 0, limit: 1 }).await.map_err(unavailable)?;
            DagAnswer::Run(runs.rows.into_iter().next().map(seen))
        }
        DagQuestion::TaskStates(dag_id, run_id) => {
            DagAnswer::TaskStates(task_states(store, dag_id, run_id).await.map_err(unavailable)?)
        }
        DagQuestion::Trigger(wanted) => {
            let command = Command::Trigger(ManualRun {
                dag_id: wanted.dag_id.clone(),
                run_id: wanted.run_id.clone(),
                logical_date: wanted.logical_date,
                run_after: None,
                conf: wanted.conf.clone(),
                note: None,
            });
            order(store, &command, &wanted.who).await?
        }
        DagQuestion::Clear(dag_id, run_id, who) => {
            let (dag_id, run_id) = (dag_id.clone(), run_id.clone());
            let action = Action::Clear { selection: Selection::default() };
            let change = Change { dag_id, run_id, past: false, future: false, new_version: false, action };
            order(store, &Command::Change(change), who).await?
        }
        DagQuestion::Cancel(dag_id, run_id, who) => {
            order(store, &Command::Cancel { dag_id: dag_id.clone(), run_id: run_id.clone() }, who).await?
        }
    })
}

async fn dag(store: &Store, dag_id: &DagId) -> Result<Option<OtherDag>, StoreError> {
    let Some(row) = store.dag(dag_id).await? else { return Ok(None) };
    let version = store.dag_version(dag_id, &row.version).await?;
    let outline = version.map(|version| outline(&version.source)).unwrap_or_default();
    let present = row.absent_since.is_none();
    Ok(Some(OtherDag { paused: row.paused, present, tasks: outline.tasks, groups: outline.groups }))
}

async fn task_states(
    store: &Store,
    dag_id: &DagId,
    run_id: &RunId,
) -> Result<Vec<(windrose_core::ids::TaskId, TaskStateName)>, StoreError> {
    let Some(run) = store.find_run(dag_id, run_id).await? else { return Ok(Vec::new()) };
    let states = store.tasks(run.facts.key).await?.into_iter().map(|row| (row.key.task, row.state.name()));
    Ok(states.filter(|(_, state)| *state != TaskStateName::Removed).collect())
}

async fn order(store: &Store, command: &Command, who: &str) -> Result<DagAnswer, PortError> {
    match commands::give_as(store, command, who).await {
        Ok(Answer::Done(_)) => Ok(DagAnswer::Done(Ok(()))),
        Ok(Answer::Queued(sentence)) => Ok(DagAnswer::Done(Err(sentence))),
        Err(error) => match error.downcast::<StoreError>() {
            Ok(error) => Err(PortError::Unavailable(error.to_string())),
            Err(refusal) => Ok(DagAnswer::Done(Err(refusal.to_string()))),
        },
    }
}

/// A value that a task of another DAG or run left, or of an earlier run if the query says so.
pub(super) async fn xcom(
    store: &Store,
    (dag_id, run_id): (&DagId, &RunId),
    query: &XComQuery,
) -> Result<Option<serde_json::Value>, StoreError> {
    let dag_id = query.dag_id.as_deref().map_or_else(|| dag_id.clone(), DagId::from);
    let run_id = query.run_id.as_deref().map_or_else(|| run_id.clone(), RunId::from);
    let own = store.find_run(&dag_id, &run_id).await?;
    let run = match own {
        Some(run) if query.include_prior_dates => match run.facts.logical_date {
            Some(date) => store.run_with_xcom(&dag_id, date, query).await?,
            None => Some(run.facts.key),
        },
        Some(run) => Some(run.facts.key),
        None => None,
    };
    match run {
        Some(run) => store.xcom(run, &query.task_id, query.map_index, &query.key).await,
        None => Ok(None),
    }
}
