//! What deadlines there are of a DAG and its runs: which were missed, and which come next.

use std::sync::Arc;

use serde::Serialize;
use windrose_core::deadline::Due;
use windrose_core::ids::{DagId, RunId, RunKey};
use windrose_core::time::{Clock, Timestamp};
use windrose_store::{Store, StoreError};

use super::{ExplainError, Why};
use crate::deadlines::on_the_wall;
use crate::drive::Driver;
use crate::error::SchedulerError;
use crate::{Options, handle};

/// How many missed deadlines of a DAG are listed; older ones are left out.
const LISTED: u32 = 50;

/// A deadline: one that is due, one that was missed, or one that nothing can miss at present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadlineState {
    /// The DAG.
    pub dag_id: DagId,
    /// The deadline's name.
    pub deadline: String,
    /// The run; none for the DAG as a whole.
    pub run_id: Option<RunId>,
    /// From when it counts.
    pub counted_from: Option<Timestamp>,
    /// When it is due.
    pub due_at: Option<Timestamp>,
    /// When it was found to be missed.
    pub missed_at: Option<Timestamp>,
}

/// All deadlines of a DAG, or of all DAGs, as the database has them.
///
/// # Errors
/// If there is no such DAG, or the database refuses.
pub async fn deadlines_stored(
    store: Store,
    clock: Arc<dyn Clock>,
    options: Options,
    dag_id: Option<&DagId>,
) -> Result<Vec<DeadlineState>, ExplainError> {
    let (_handle, desk) = handle::connect();
    let driver = Driver::load_to_look(store.clone(), clock, options, desk).await.map_err(|error| match error {
        SchedulerError::Store(error) => ExplainError::Store(error),
        other => ExplainError::Unknown(other.to_string()),
    })?;
    let known: Vec<DagId> = store.dags().await?.into_iter().map(|row| row.dag_id).collect();
    if let Some(unknown) = dag_id.filter(|dag_id| !known.contains(dag_id)) {
        return Err(ExplainError::Unknown(format!("there is no DAG '{unknown}'; see 'windrose dags list'")));
    }
    let mut all = Vec::new();
    for dag_id in known.iter().filter(|known| dag_id.is_none_or(|dag_id| dag_id == *known)) {
        all.extend(driver.deadlines_of(dag_id).await?);
    }
    Ok(all)
}

impl Driver {
    /// Those that are due first, then those that were missed, newest first, then all others.
    async fn deadlines_of(&self, dag_id: &DagId) -> Result<Vec<DeadlineState>, StoreError> {
        let mut states = Vec::new();
        let state = |deadline: String, run_id: Option<RunId>, due: Due| DeadlineState {
            dag_id: dag_id.clone(),
            deadline,
            run_id,
            counted_from: Some(due.counted_from),
            due_at: Some(due.at),
            missed_at: None,
        };
        for (name, due) in self.watch.deadlines.of_dag(dag_id) {
            states.push(state(name, None, due));
        }
        for run in self.runs.of_dag(dag_id) {
            let run_id = self.runs.facts(run).map(|facts| facts.run_id.clone());
            let of_run = self.watch.deadlines.of_run(run);
            states.extend(of_run.into_iter().map(|(name, due)| state(name, run_id.clone(), due)));
        }
        states.sort_by_key(|state| state.due_at);
        for missed in self.store.last_missed_deadlines(dag_id, LISTED).await? {
            let run_id = match missed.run {
                Some(run) => self.store.run(run).await?.map(|row| row.facts.run_id),
                None => None,
            };
            states.push(DeadlineState {
                dag_id: dag_id.clone(),
                deadline: missed.deadline,
                run_id,
                counted_from: Some(missed.counted_from),
                due_at: None,
                missed_at: Some(missed.missed_at),
            });
        }
        let newest = self.dags.newest(dag_id).map(|version| version.plan.dag().deadlines.as_slice());
        for deadline in newest.unwrap_or_default() {
            if !states.iter().any(|state| state.deadline == deadline.name) {
                states.push(DeadlineState {
                    dag_id: dag_id.clone(),
                    deadline: deadline.name.clone(),
                    run_id: None,
                    counted_from: None,
                    due_at: None,
                    missed_at: None,
                });
            }
        }
        Ok(states)
    }

    /// What a run has missed, and what it may miss next.
    pub(super) async fn explain_deadlines_of_run(&self, dag_id: &DagId, run: RunKey) -> Result<Vec<Why>, StoreError> {
        let missed = self.store.missed_deadlines(dag_id, Some(run)).await?;
        let mut why: Vec<Why> = missed
            .iter()
            .map(|missed| {
                let text = format!(
                    "it missed its deadline '{}', and people were told at {}",
                    missed.deadline, missed.missed_at
                );
                Why::new("deadline_missed", text, "nothing: it is told of once")
            })
            .collect();
        why.extend(self.next_deadline(dag_id, self.watch.deadlines.of_run(run)));
        Ok(why)
    }

    /// The same for the DAG as a whole. What was missed before the last success is over.
    pub(super) async fn explain_deadlines_of_dag(&self, dag_id: &DagId) -> Result<Vec<Why>, StoreError> {
        let last_success = self.store.last_success_of(dag_id).await?;
        let missed = self.store.missed_deadlines(dag_id, None).await?;
        let present = missed.iter().filter(|missed| Some(missed.counted_from) >= last_success);
        let mut why: Vec<Why> = present
            .map(|missed| {
                let text = format!(
                    "no run has succeeded since {}, so its deadline '{}' is missed",
                    missed.counted_from, missed.deadline
                );
                Why::new("deadline_missed", text, "the next success")
            })
            .collect();
        why.extend(self.next_deadline(dag_id, self.watch.deadlines.of_dag(dag_id)));
        Ok(why)
    }

    fn next_deadline(&self, dag_id: &DagId, due: Vec<(String, Due)>) -> Option<Why> {
        let (name, due) = due.into_iter().min_by_key(|(_, due)| due.at)?;
        let dag = self.dags.newest(dag_id)?.plan.dag();
        let text = format!("its deadline '{name}' is at {}", on_the_wall(due.at, dag));
        Some(Why::new("deadline", text, "the clock").until(due.at))
    }
}
