//! Backfills: runs for dates of the past, as Airflow 3 makes them.
//!
//! A backfill is a list of dates, made once from the timetable, and worked off from the front: while fewer than its own
//! `max_active_runs` of its runs are under way, the next date gets its turn. What is done with a date that has a run
//! already is decided then, by how that run stands.

use windrose_core::backfill::{BackfillStep, NoRun, Reprocess};
use windrose_core::dag::Dag;
use windrose_core::run_state::{RunState, RunType};
use windrose_core::time::Timestamp;
use windrose_core::timetable::{Bounds, DueRun, Timetable, TimetableError, run_id};

use crate::past::depends_on_past;

/// How many dates one backfill may have.
pub const MAX_DATES: usize = 50_000;

/// What a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The first date: a logical date is not before it.
    pub from: Timestamp,
    /// The last date, included.
    pub to: Timestamp,
    /// The newest date goes first.
    pub backwards: bool,
    /// What is done with dates that have a run.
    pub reprocess: Reprocess,
    /// How many of its runs may be under way at once; the DAG's own `max_active_runs` does not count them.
    pub max_active_runs: u32,
}

/// A backfill that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing says which dates there are.
    #[error(
        "DAG '{0}' has no schedule with dates, so there is nothing to fill; start runs with 'windrose dags trigger {0}'"
    )]
    NoDates(String),
    /// `from` is later than `to`.
    #[error("--from {from} is later than --to {to}; exchange them, and say --backwards if the newest is to go first")]
    Reversed {
        /// The first date.
        from: Timestamp,
        /// The last date.
        to: Timestamp,
    },
    /// Nothing of it has been yet.
    #[error("--from {0} is in the future; a backfill is for dates that are over")]
    Future(Timestamp),
    /// The range holds no date whose data interval is over.
    #[error("the schedule of DAG '{0}' has no date in this range whose data interval is over; choose another range")]
    Empty(String),
    /// More than [`MAX_DATES`].
    #[error("the range holds more than {MAX_DATES} dates; split it into several backfills")]
    TooMany,
    /// A task looks at the run before.
    #[error("DAG '{0}' has tasks with depends_on_past, so the oldest date must go first; leave --backwards out")]
    BackwardsPast(String),
    /// The same: a run that is left as it is would hold up those after it.
    #[error(
        "DAG '{0}' has tasks with depends_on_past, so runs that failed would hold up those after them; \
         say --reprocess failed or --reprocess completed"
    )]
    ReprocessPast(String),
    /// None at all.
    #[error("a backfill needs at least one run at a time; say --max-active-runs 1 or more")]
    NoRuns,
    /// The timetable fails.
    #[error("{0}; correct the DAG's schedule")]
    Timetable(#[from] TimetableError),
}

/// The dates of a backfill, in the order in which they get their turn.
///
/// As in Airflow: the DAG's own start and end date do not count, catchup neither, and the data interval must be over.
///
/// # Errors
/// [`Refusal`].
pub fn dates(dag: &Dag, request: &Request, now: Timestamp) -> Result<Vec<DueRun>, Refusal> {
    check(dag, request, now)?;
    let timetable = Timetable::new(&dag.schedule, dag.timezone)?;
    if matches!(timetable, Timetable::Null | Timetable::Continuous) {
        return Err(Refusal::NoDates(dag.dag_id.to_string()));
    }
    let bounds = Bounds { earliest: Some(request.from), latest: Some(request.to), catchup: true };
    let mut dates: Vec<DueRun> = Vec::new();
    let mut last = None;
    while let Some(run) = timetable.next_run(last, &bounds, now)? {
        let advances = dates.last().is_none_or(|before| before.run_after < run.run_after);
        if !advances || run.run_after >= now {
            break;
        }
        if dates.len() == MAX_DATES {
            return Err(Refusal::TooMany);
        }
        last = run.data_interval;
        dates.push(run);
    }
    if dates.is_empty() {
        return Err(Refusal::Empty(dag.dag_id.to_string()));
    }
    if request.backwards {
        dates.reverse();
    }
    Ok(dates)
}

fn check(dag: &Dag, request: &Request, now: Timestamp) -> Result<(), Refusal> {
    if request.max_active_runs == 0 {
        return Err(Refusal::NoRuns);
    }
    if request.from > request.to {
        return Err(Refusal::Reversed { from: request.from, to: request.to });
    }
    if request.from >= now {
        return Err(Refusal::Future(request.from));
    }
    if dag.tasks.iter().any(depends_on_past) {
        if request.backwards {
            return Err(Refusal::BackwardsPast(dag.dag_id.to_string()));
        }
        if request.reprocess == Reprocess::None {
            return Err(Refusal::ReprocessPast(dag.dag_id.to_string()));
        }
    }
    Ok(())
}

/// Why no further date of a backfill gets its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnObstacle {
    /// A person has paused the backfill.
    Paused,
    /// As many of its runs are under way as it may have at once.
    RunsFull {
        /// The limit.
        max_active_runs: u32,
    },
}

/// What keeps the next date of a backfill from its turn; `under_way` counts its runs that have not ended.
#[must_use]
pub fn turn_obstacle(paused: bool, under_way: usize, max_active_runs: u32) -> Option<TurnObstacle> {
    if paused {
        return Some(TurnObstacle::Paused);
    }
    let limit = usize::try_from(max_active_runs).unwrap_or(usize::MAX);
    (under_way >= limit).then_some(TurnObstacle::RunsFull { max_active_runs })
}

/// What is done for a date whose run, if it has one, stands so.
#[must_use]
pub const fn step(existing: Option<RunState>, reprocess: Reprocess) -> BackfillStep {
    match (existing, reprocess) {
        (None, _) => BackfillStep::Create,
        (Some(RunState::Queued | RunState::Running), _) => BackfillStep::Skip(NoRun::InFlight),
        (Some(RunState::Failed), Reprocess::Failed | Reprocess::Completed)
        | (Some(RunState::Success), Reprocess::Completed) => BackfillStep::Reprocess,
        (Some(_), _) => BackfillStep::Skip(NoRun::AlreadyExists),
    }
}

/// The id of the run that a backfill makes for a date.
#[must_use]
pub fn run_id_of(date: &DueRun) -> windrose_core::ids::RunId {
    run_id(RunType::Backfill, date.run_after)
}
