//! Trying a DAG in simulated time: the real [`crate::RunMachine`] and [`crate::Admission`] with made-up outcomes, without a
//! database and without running an operator.
//!
//! Time passes in waves, as in Airflow's scheduler loop: (1) every active run gets one pass; (2) what is ready starts, as
//! far as there are slots; (3) what has run for its duration reports, run by run in the order of the DAG file. In waves,
//! retry delays and `dagrun_timeout` do not count. If a duration is given in units of time (`"90s"`), the clock orders
//! events instead, and both count.

mod attempts;
mod chart;
mod clock;
mod critical_path;
mod outcomes;
mod pool_use;
mod report;
mod stage;
mod story;
mod waves;

use std::sync::Arc;

use windrose_core::dag::Dag;

use crate::plan::Plan;

pub use attempts::SimAttempt;
pub use outcomes::{AttemptWord, Follow, Mode, Outcomes, Returns, RunScript, Span, TaskScript};
pub use pool_use::SimPoolUse;
pub use report::{SimEvent, SimReport, SimRun, SimTask, SimTimeline};

use stage::Stage;

/// A pool in a simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimPool {
    /// Its name.
    pub name: String,
    /// Its slots; −1 is unlimited.
    pub slots: i64,
    /// Deferred task instances count.
    pub include_deferred: bool,
}

/// The outcomes do not fit the DAG.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SimError {
    /// A script names a task that the DAG does not hold.
    #[error(
        "the outcomes name the task '{task}', which DAG '{dag}' does not hold; use one of its task ids, with an index \
         like load[0] only for a mapped task"
    )]
    UnknownTask {
        /// The task.
        task: String,
        /// The DAG.
        dag: String,
    },
    /// A pool is given slots that no task takes any of.
    #[error("no task of DAG '{dag}' uses the pool '{pool}'; its tasks use {used}")]
    UnknownPool {
        /// The pool.
        pool: String,
        /// The DAG.
        dag: String,
        /// The pools that are used.
        used: String,
    },
    /// A script says which way a task goes that is no branch, or the like.
    #[error("the outcomes give '{field}' for the task '{task}', which is no {expected}; remove '{field}'")]
    Misplaced {
        /// The task.
        task: String,
        /// The field.
        field: &'static str,
        /// What kind of task the field is for.
        expected: &'static str,
    },
}

/// Runs a DAG with these outcomes. Pools of the DAG that are listed neither here nor in the outcomes are unlimited.
///
/// # Errors
/// If the outcomes do not fit the DAG.
pub fn simulate(dag: &Arc<Dag>, outcomes: &Outcomes, pools: &[SimPool]) -> Result<SimReport, SimError> {
    simulate_plan(&Arc::new(Plan::new(Arc::clone(dag))), outcomes, pools)
}

/// The same for a plan with settings of its own.
///
/// # Errors
/// If the outcomes do not fit the DAG.
pub fn simulate_plan(plan: &Arc<Plan>, outcomes: &Outcomes, pools: &[SimPool]) -> Result<SimReport, SimError> {
    outcomes.check(plan.dag())?;
    let by_clock = outcomes.by_clock();
    let timeless = || Plan::new(Arc::new(without_clock(plan.dag()))).with_max_map_length(plan.max_map_length());
    let plan = if by_clock { Arc::clone(plan) } else { Arc::new(timeless()) };
    let mut stage = Stage::new(plan, outcomes, pools);
    match outcomes.mode {
        Mode::Lockstep => play(&mut stage, 0..outcomes.runs.len(), by_clock),
        Mode::Sequential => (0..outcomes.runs.len()).for_each(|run| play(&mut stage, run..run + 1, by_clock)),
    }
    Ok(stage.report(by_clock))
}

fn play(stage: &mut Stage, runs: std::ops::Range<usize>, by_clock: bool) {
    if by_clock {
        clock::play(stage, runs);
    } else {
        waves::play(stage, runs);
    }
}

/// In waves there is no time to wait for.
fn without_clock(dag: &Dag) -> Dag {
    let mut dag = dag.clone();
    dag.dagrun_timeout = None;
    for task in &mut dag.tasks {
        task.retry_delay = std::time::Duration::ZERO;
        task.retry_exponential_backoff = None;
    }
    dag
}
