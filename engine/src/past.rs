//! `depends_on_past` and `wait_for_downstream`: what a run knows of the run before it.
//!
//! Which run that is depends on the DAG, as in Airflow: with catchup the last run before it that was not made by hand,
//! else the last run before it of any type. The caller finds it and keeps telling how it stands.

use std::collections::BTreeSet;

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
    Tasks(Vec<(TaskId, i32, TaskStateName)>),
}

/// What happens in the run before to the instances of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PastNews {
    /// One of them is in this state now.
    State {
        /// Which.
        map_index: i32,
        /// Where it is.
        state: TaskStateName,
    },
    /// It was expanded into so many, none of which has ended.
    Expanded(u32),
}

/// Whether a run of this type can be the one before another: the latest such run with an earlier logical date is.
#[must_use]
pub fn counts_as_previous(dag: &Dag, run_type: RunType) -> bool {
    dag.catchup != Catchup::All || run_type != RunType::Manual
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
    /// By task: what its instances there are.
    Known(Vec<PastTask>),
}

/// The instances of one task in the run before.
#[derive(Debug, Default, Clone)]
pub(crate) struct PastTask {
    count: u32,
    /// Those that have not ended well, by map index.
    bad: BTreeSet<i32>,
}

impl PastTask {
    /// All of them succeeded or were skipped, and there is at least one.
    fn is_good(&self) -> bool {
        self.count > 0 && self.bad.is_empty()
    }

    fn note(&mut self, map_index: i32, state: TaskStateName) {
        if ended_well(state) {
            self.bad.remove(&map_index);
        } else {
            self.bad.insert(map_index);
        }
    }
}

impl Past {
    pub(crate) fn from_run(plan: &Plan, run: &PreviousRun) -> Self {
        match run {
            PreviousRun::None => Self::First,
            PreviousRun::Tasks(tasks) => {
                let mut known = vec![PastTask::default(); plan.len()];
                for (task, map_index, state) in tasks {
                    if let Some(p) = plan.dag().position(task.as_str()) {
                        known[p].count += 1;
                        known[p].note(*map_index, *state);
                    }
                }
                Self::Known(known)
            }
        }
    }

    /// Notes a change in the run before.
    pub(crate) fn tell(&mut self, p: u32, news: &PastNews) {
        let Self::Known(known) = self else { return };
        let task = &mut known[p as usize];
        match *news {
            PastNews::State { map_index, state } => task.note(map_index, state),
            PastNews::Expanded(count) => {
                *task = PastTask { count, bad: (0..i32::try_from(count).unwrap_or(i32::MAX)).collect() };
            }
        }
    }

    /// The tasks of the run before that keep this one waiting, as far as anything is known of them.
    pub(crate) fn blockers(&self, plan: &Plan, p: u32) -> Vec<u32> {
        let Self::Known(known) = self else { return Vec::new() };
        let below = plan.downstream.of(p).iter().filter(|_| plan.task(p).wait_for_downstream);
        std::iter::once(&p).chain(below).copied().filter(|&p| !known[p as usize].is_good()).collect()
    }

    /// Whether this task may run as far as the run before is concerned: all its instances there count, whatever the map
    /// index (Airflow's `PrevDagrunDep._count_unsuccessful_tis`).
    pub(crate) fn allows(&self, plan: &Plan, p: u32) -> bool {
        let task = plan.task(p);
        if !depends_on_past(task) {
            return true;
        }
        match self {
            Self::Unknown => false,
            Self::First => true,
            Self::Known(known) => {
                let good = |p: u32| known[p as usize].is_good();
                good(p) && (!task.wait_for_downstream || plan.downstream.of(p).iter().all(|&d| good(d)))
            }
        }
    }
}

const fn ended_well(state: TaskStateName) -> bool {
    matches!(state, TaskStateName::Success | TaskStateName::Skipped)
}
