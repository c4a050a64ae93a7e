//! Other DAGs for operators under test: from a list, with everything that was wanted of them kept.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use windrose_core::ids::{DagId, RunId, TaskId};
use windrose_core::run_state::RunState;
use windrose_core::task_state::TaskStateName;
use windrose_core::time::Timestamp;

use crate::error::TaskError;
use crate::other_dags::{OtherDag, OtherDags, OtherRun, WantedRun};

/// One other DAG, whatever its id, and its runs.
#[derive(Debug, Default)]
pub struct TestDags {
    /// The DAG.
    pub dag: Option<OtherDag>,
    /// Its runs, with logical dates and task instances. Runs that are triggered are added in state running.
    pub runs: Mutex<Vec<TestRun>>,
    /// What was wanted: `trigger r`, `clear r`, `cancel r`.
    pub wanted: Mutex<Vec<String>>,
}

/// A run of the other DAG.
#[derive(Debug, Clone)]
pub struct TestRun {
    /// The run.
    pub run: OtherRun,
    /// The instant it stands for.
    pub logical_date: Option<Timestamp>,
    /// Its task instances.
    pub tasks: Vec<(TaskId, TaskStateName)>,
}

impl TestDags {
    fn find(&self, wanted: impl Fn(&TestRun) -> bool) -> Option<TestRun> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).iter().find(|run| wanted(run)).cloned()
    }

    fn note(&self, what: &str, run_id: &RunId) {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{what} {run_id}"));
    }
}

#[async_trait]
impl OtherDags for TestDags {
    async fn dag(&self, _dag_id: &DagId) -> Result<Option<OtherDag>, TaskError> {
        Ok(self.dag.clone())
    }

    async fn run(&self, _dag_id: &DagId, run_id: &RunId) -> Result<Option<OtherRun>, TaskError> {
        Ok(self.find(|run| run.run.run_id == *run_id).map(|run| run.run))
    }

    async fn run_at(&self, _dag_id: &DagId, logical_date: Timestamp) -> Result<Option<OtherRun>, TaskError> {
        Ok(self.find(|run| run.logical_date == Some(logical_date)).map(|run| run.run))
    }

    async fn task_states(&self, _dag_id: &DagId, run_id: &RunId) -> Result<Vec<(TaskId, TaskStateName)>, TaskError> {
        Ok(self.find(|run| run.run.run_id == *run_id).map(|run| run.tasks).unwrap_or_default())
    }

    async fn trigger(&self, wanted: &WantedRun) -> Result<(), TaskError> {
        self.note("trigger", &wanted.run_id);
        let run =
            OtherRun { run_id: wanted.run_id.clone(), state: RunState::Running, triggered_by: wanted.who.clone() };
        let run = TestRun { run, logical_date: wanted.logical_date, tasks: Vec::new() };
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).push(run);
        Ok(())
    }

    async fn clear(&self, _dag_id: &DagId, run_id: &RunId, _who: &str) -> Result<(), TaskError> {
        self.note("clear", run_id);
        Ok(())
    }

    async fn cancel(&self, _dag_id: &DagId, run_id: &RunId, _who: &str) -> Result<(), TaskError> {
        self.note("cancel", run_id);
        Ok(())
    }
}
