//! Other DAGs as an attempt sees them: questions through the port, asked until the other side answers.

use async_trait::async_trait;
use windrose_core::ids::{DagId, RunId, TaskId};
use windrose_core::task_state::TaskStateName;
use windrose_core::time::Timestamp;
use windrose_operators::error::TaskError;
use windrose_operators::other_dags::{OtherDag, OtherDags, OtherRun, WantedRun};

use crate::patience::patiently;
use crate::port::{DagAnswer, DagQuestion};
use crate::services::AttemptServices;

impl AttemptServices {
    async fn ask(&self, question: DagQuestion) -> Result<DagAnswer, TaskError> {
        let answer = patiently("other_dags", &self.cancelled, || self.port.other_dags(&question)).await;
        match answer.map_err(|error| self.stopped(error))? {
            DagAnswer::Done(Err(refusal)) => Err(TaskError::failed(refusal)),
            answer => Ok(answer),
        }
    }

    async fn ask_for_run(&self, question: DagQuestion) -> Result<Option<OtherRun>, TaskError> {
        match self.ask(question).await? {
            DagAnswer::Run(run) => Ok(run),
            _ => Ok(None),
        }
    }
}

#[async_trait]
impl OtherDags for AttemptServices {
    async fn dag(&self, dag_id: &DagId) -> Result<Option<OtherDag>, TaskError> {
        match self.ask(DagQuestion::Dag(dag_id.clone())).await? {
            DagAnswer::Dag(dag) => Ok(dag),
            _ => Ok(None),
        }
    }

    async fn run(&self, dag_id: &DagId, run_id: &RunId) -> Result<Option<OtherRun>, TaskError> {
        self.ask_for_run(DagQuestion::Run(dag_id.clone(), run_id.clone())).await
    }

    async fn run_at(&self, dag_id: &DagId, logical_date: Timestamp) -> Result<Option<OtherRun>, TaskError> {
        self.ask_for_run(DagQuestion::RunAt(dag_id.clone(), logical_date)).await
    }

    async fn task_states(&self, dag_id: &DagId, run_id: &RunId) -> Result<Vec<(TaskId, TaskStateName)>, TaskError> {
        match self.ask(DagQuestion::TaskStates(dag_id.clone(), run_id.clone())).await? {
            DagAnswer::TaskStates(states) => Ok(states),
            _ => Ok(Vec::new()),
        }
    }

    async fn trigger(&self, wanted: &WantedRun) -> Result<(), TaskError> {
        self.ask(DagQuestion::Trigger(wanted.clone())).await.map(drop)
    }

    async fn clear(&self, dag_id: &DagId, run_id: &RunId, who: &str) -> Result<(), TaskError> {
        self.ask(DagQuestion::Clear(dag_id.clone(), run_id.clone(), who.to_owned())).await.map(drop)
    }

    async fn cancel(&self, dag_id: &DagId, run_id: &RunId, who: &str) -> Result<(), TaskError> {
        self.ask(DagQuestion::Cancel(dag_id.clone(), run_id.clone(), who.to_owned())).await.map(drop)
    }
}
