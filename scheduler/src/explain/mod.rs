//! "Why is it not running?", answered by what decides: the machines of the runs, admission, and the creation of runs.
//!
//! Nothing is worked out twice here. The engine says what holds something up ([`windrose_engine::explain`],
//! [`windrose_engine::Admission::obstacles`], [`windrose_engine::admission::start_obstacle`]); this module finds whom to
//! ask, and puts names and words to the answers.

mod approval;
mod dag;
mod deadline;
mod run;
mod task;

pub use deadline::{DeadlineState, deadlines_stored};

use serde::{Deserialize, Serialize};
use windrose_core::ids::{DagId, RunId, RunKey, TaskId, TaskInstanceKey};
use windrose_core::run_state::RunState;
use windrose_core::task_state::TaskStateName;
use windrose_core::time::Timestamp;
use windrose_store::StoreError;

use crate::commands::Failed;
use crate::drive::Driver;

/// How many task instances of a run, and how many runs of a DAG, are told of at most; the rest is a number.
const AT_MOST: usize = 200;

/// How many names a sentence holds.
const NAMES: usize = 5;

/// What is asked about: a DAG, one of its runs, or a task of that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The DAG.
    pub dag_id: DagId,
    /// The run; none asks about the DAG and all its runs that have not ended.
    #[serde(default)]
    pub run_id: Option<RunId>,
    /// The task; none asks about all that have not ended.
    #[serde(default)]
    pub task: Option<TaskId>,
    /// Which of its mapped instances; none asks about all.
    #[serde(default)]
    pub map_index: Option<i32>,
}

/// One reason why something does not run now, and what will change that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The kind of reason, for programs: `pool_full`, `upstream`, ….
    pub reason: String,
    /// A sentence for people.
    pub text: String,
    /// What will wake it.
    pub wakes: String,
    /// When, if the clock does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Who holds it up: runs or task instances by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
}

impl Why {
    pub(crate) fn new(reason: &str, text: impl Into<String>, wakes: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), text: text.into(), wakes: wakes.into(), until: None, by: Vec::new() }
    }

    fn until(self, at: Timestamp) -> Self {
        Self { until: Some(at), ..self }
    }

    fn by(self, names: Vec<String>) -> Self {
        Self { by: names, ..self }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The DAG.
    pub dag_id: DagId,
    /// When the answer was true.
    pub at: Timestamp,
    /// Why there is no new run now. Empty if a run was asked about.
    pub dag: Vec<Why>,
    /// The runs.
    pub runs: Vec<RunExplanation>,
    /// How many more there are that are not told of.
    pub more_runs: usize,
}

/// Why a run does not run, or does not end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunExplanation {
    /// Its id.
    pub run_id: RunId,
    /// Where it is.
    pub state: RunState,
    /// About the run as a whole; empty if it runs, and only its tasks wait.
    pub why: Vec<Why>,
    /// About its task instances.
    pub tasks: Vec<TaskExplanation>,
    /// How many more there are that are not told of.
    pub more_tasks: usize,
}

/// Why a task instance does not run, or does not end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskExplanation {
    /// Its task.
    pub task_id: TaskId,
    /// −1 if it is not mapped, or not expanded yet.
    pub map_index: i32,
    /// Where it is.
    pub state: TaskStateName,
    /// Every reason.
    pub why: Vec<Why>,
}

/// An explanation cannot be given.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExplainError {
    /// What is asked about does not exist.
    #[error("{0}")]
    Unknown(String),
    /// The database refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Failed> for ExplainError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(message) => Self::Unknown(message),
            Failed::Store(error) => Self::Store(error),
        }
    }
}

impl Driver {
    /// Answers from the state in memory.
    pub(crate) async fn explain(&mut self, now: Timestamp, subject: &Subject) -> Result<Explanation, Failed> {
        let dag_id = &subject.dag_id;
        let mut explanation =
            Explanation { dag_id: dag_id.clone(), at: now, dag: Vec::new(), runs: Vec::new(), more_runs: 0 };
        if let Some(run_id) = &subject.run_id {
            explanation.runs.push(self.explain_named_run(now, subject, run_id).await?);
            return Ok(explanation);
        }
        explanation.dag = self.explain_dag(now, dag_id).await?;
        let mut runs: Vec<RunKey> = self.runs.of_dag(dag_id);
        runs.sort_unstable();
        explanation.more_runs = runs.len().saturating_sub(AT_MOST);
        for run in runs.into_iter().take(AT_MOST) {
            explanation.runs.extend(self.explain_run(now, run, subject).await?);
        }
        Ok(explanation)
    }

    /// A run as people call it: by its id, and by its DAG if that is another one.
    fn name_of_run(&self, run: RunKey, dag_id: &DagId) -> String {
        match self.runs.facts(run) {
            Some(facts) if facts.dag_id == *dag_id => facts.run_id.to_string(),
            Some(facts) => format!("{} of DAG {}", facts.run_id, facts.dag_id),
            None => format!("a run with key {}", run.0),
        }
    }

    fn name_of_task(&self, key: &TaskInstanceKey, from: (RunKey, &DagId)) -> String {
        let task = instance_name(&key.task, key.map_index);
        if key.run == from.0 { task } else { format!("{task} of run {}", self.name_of_run(key.run, from.1)) }
    }
}

/// `load`, `load[3]`.
pub(crate) fn instance_name(task: &TaskId, map_index: i32) -> String {
    if map_index < 0 { task.to_string() } else { format!("{task}[{map_index}]") }
}

/// The first names, and how many more there are.
pub(crate) fn listed(names: &[String]) -> String {
    let shown = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// 1st, 2nd, 3rd, 4th, 11th.
fn ordinal(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}
