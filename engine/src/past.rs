//! `depends_on_past` and `wait_for_downstream`: what a run knows of the run before it.
//!
//! Which run that is depends on the DAG, as in Airflow: with catchup the last run before it that was not made by hand,
//! else the last run before it of any type. The caller finds it and keeps telling how it stands.

use windrose_core::dag::{Catchup, Dag, Task};
use windrose_core::ids::TaskId;
use windrose_core::run_state::RunType;
use windrose_core::task_state::TaskStateName;

use crate::plan::Plan;

/// The run before this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreviousRun {
    /// There is none: nothing to wait for.
    None,
    /// Its task instances. A task that is missing here has no instance there, and keeps this run's waiting.
    Tasks(Vec<(TaskId, TaskStateName)>),
}

/// Whether a run of this type can be the one before another: the latest such run with an earlier logical date is.
#[must_use]
pub fn counts_as_previous(dag: &Dag, run_type: RunType) -> bool {
    dag.catchup == Catchup::No || run_type != RunType::Manual
}

/// Whether a task looks at the run before; `wait_for_downstream` implies it.
pub(crate) const fn depends_on_past(task: &Task) -> bool {
    task.depends_on_past || task.wait_for_downstream
}

/// What is known of the run before.
#[derive(Debug)]
pub(crate) enum Past {
    /// Nobody has told yet, so whoever depends on it waits.
    Unknown,
    /// There is none.
    First,
    /// By task: whether its instance there ended well (succeeded or skipped).
    Known(Vec<bool>),
}

impl Past {
    pub(crate) fn from_run(plan: &Plan, run: &PreviousRun) -> Self {
        match run {
            PreviousRun::None => Self::First,
            PreviousRun::Tasks(tasks) => {
                let mut good = vec![false; plan.len()];
                for (task, state) in tasks {
                    if let Some(p) = plan.dag().position(task.as_str()) {
                        good[p] = ended_well(*state);
                    }
                }
                Self::Known(good)
            }
        }
    }

    /// Notes a change in the run before.
    pub(crate) fn set(&mut self, p: u32, state: TaskStateName) {
        if let Self::Known(good) = self {
            good[p as usize] = ended_well(state);
        }
    }

    /// Whether this task may run as far as the run before is concerned.
    pub(crate) fn allows(&self, plan: &Plan, p: u32) -> bool {
        let task = plan.task(p);
        if !depends_on_past(task) {
            return true;
        }
        match self {
            Self::Unknown => false,
            Self::First => true,
            Self::Known(good) => {
                good[p as usize]
                    && (!task.wait_for_downstream || plan.downstream.of(p).iter().all(|&d| good[d as usize]))
            }
        }
    }
}

const fn ended_well(state: TaskStateName) -> bool {
    matches!(state, TaskStateName::Success | TaskStateName::Skipped)
}
