//! What a simulation has shown.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::{Map, Value};
use windrose_core::ids::DagId;
use windrose_core::run_state::{RunState, RunType};
use windrose_core::task_state::TaskStateName;

use super::attempts::SimAttempt;
use super::pool_use::SimPoolUse;

/// All runs of a simulation. It serialises as `windrose dags simulate --json` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SimReport {
    /// The DAG.
    pub dag_id: DagId,
    /// Waves in the report are seconds of the clock, from the start of the run.
    pub by_clock: bool,
    /// In order.
    pub runs: Vec<SimRun>,
    /// When the attempts of each run were ready, began and ended.
    pub timelines: Vec<SimTimeline>,
    /// The pools that the DAG's tasks use.
    pub pools: Vec<SimPoolUse>,
}

/// What happened when in a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SimTimeline {
    /// Every attempt, in the order of their ends.
    pub attempts: Vec<SimAttempt>,
    /// The attempts that determined when the run ended, as positions in `attempts`.
    pub critical_path: Vec<usize>,
    /// Task instances that never began, and what they wait for.
    pub stuck: IndexMap<String, String>,
    /// The assets that its tasks would change, with the first task that does; templates are not rendered.
    pub assets: IndexMap<String, String>,
}

/// One run of a simulation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SimRun {
    /// Why it exists.
    pub run_type: RunType,
    /// Where it is at the end; `running` means stuck: nothing can ever change.
    pub state: RunState,
    /// The wave in which it got its final state; none if it is stuck.
    pub end_wave: Option<u64>,
    /// By task id, in the order of the DAG file; instances of mapped tasks as `load[0]`.
    pub tis: IndexMap<String, SimTask>,
    /// What happened, in order.
    #[serde(skip)]
    pub events: Vec<SimEvent>,
}

/// A task instance at the end of a simulation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SimTask {
    /// None if it never got one.
    pub state: Option<TaskStateName>,
    /// The first wave in which it became ready; none if it never did.
    pub wave: Option<u64>,
    /// Its last try's number.
    pub tries: u32,
    /// The arguments it got in its last try, those of its mapping over those of the DAG file.
    #[serde(skip)]
    pub received: Option<Map<String, Value>>,
    /// What it returned.
    #[serde(skip)]
    pub returned: Option<Value>,
}

/// Something that happened to a task instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimEvent {
    /// The wave, or seconds from the start of the run.
    pub at: u64,
    /// The task.
    pub task: String,
    /// `ready`, how an attempt ended, or the state that the scheduler gave it.
    pub what: &'static str,
}
