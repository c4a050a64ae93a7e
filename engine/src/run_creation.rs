//! Creation of scheduled runs: which runs are due, and when the next one will be.
//!
//! [`RunCreation`] proposes runs and moves on; it does not know whether they were stored. The store's unique keys (DAG
//! and logical date, DAG and run id) make sure that a run exists once, so a proposal may be one that exists already:
//! the caller then says [`RunCreation::already_exists`]. If storing fails, or the process starts again, the caller hands
//! in the DAG anew with what the store knows, by [`RunCreation::upsert_dag`]; there is no other path.
//!
//! The order of calls: any number of changes (`upsert_dag`, `set_paused`, `active_runs`, `run_ended`, …), then
//! [`RunCreation::poll_timeout`] says when to call [`RunCreation::due`], which may be at once. Changes cost nothing; the
//! timetables are asked in `due`, which does a bounded amount of work in each call and treats DAGs in turn, so that
//! neither 10,000 missed runs nor 10,000 other DAGs hold up a run that is due.

use std::collections::HashMap;
use std::time::Duration;

use windrose_core::dag::{Catchup, Overlap};
use windrose_core::ids::DagId;
use windrose_core::run::DataInterval;
use windrose_core::time::Timestamp;
use windrose_core::timetable::{Bounds, DueRun, Timetable, TimetableError};

use crate::due::DueTimes;

/// How many runs of one DAG a call of [`RunCreation::due`] proposes at most; the rest comes in its turn.
pub const RUNS_PER_DAG: usize = 10;

/// How many DAGs a call of [`RunCreation::due`] looks at, at most.
pub const DAGS_PER_CALL: usize = 500;

/// "At once": earlier than any time that `due` is called with.
const NOW: Timestamp = Timestamp::from_micros(i64::MIN);

/// What the creation of a DAG's runs depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledDag {
    /// Which runs its schedule means.
    pub timetable: Timetable,
    /// Its start date, end date and catchup.
    pub bounds: Bounds,
    /// What becomes of several runs that were missed.
    pub missed: Catchup,
    /// What becomes of a run that is due while there is no place for it.
    pub overlap: Overlap,
    /// How much later than due its runs are made (see [`windrose_core::jitter::start_delay`]).
    pub delay: Duration,
    /// No run is created while so many are queued or running; for `@continuous` it is one at most.
    pub max_active_runs: u32,
    /// The data interval of its newest automated (scheduled or backfill) run.
    pub last_automated_run: Option<DataInterval>,
    /// How many of its runs are queued or running, those of backfills left out.
    pub active_runs: u32,
    /// A paused DAG gets no runs.
    pub paused: bool,
}

impl ScheduledDag {
    fn is_full(&self) -> bool {
        let limit = if self.timetable == Timetable::Continuous { 1 } else { u32::MAX };
        self.active_runs >= self.max_active_runs.min(limit)
    }

    /// Whether nothing happens to it before one of its runs has ended.
    fn waits(&self) -> bool {
        self.is_full() && (self.overlap == Overlap::Queue || self.timetable == Timetable::Continuous)
    }

    fn room(&self) -> Room {
        match self.overlap {
            _ if !self.is_full() => Room::Free,
            Overlap::Queue => Room::Free,
            Overlap::Skip => Room::PassOver,
            Overlap::CancelOld => Room::CancelOldest,
            Overlap::CancelNew => Room::CancelThis,
        }
    }
}

/// A run that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The DAG.
    pub dag_id: DagId,
    /// The run.
    pub run: DueRun,
    /// How it gets a place.
    pub room: Room,
}

/// What is to be done with a run that is due, by [`Overlap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Create it.
    Free,
    /// Cancel the oldest scheduled run, and create this one.
    CancelOldest,
    /// Create this one and cancel it.
    CancelThis,
    /// Create nothing, and remember that this run was passed over.
    PassOver,
}

impl Room {
    /// Whether the run counts as active from here on.
    const fn is_taken(self) -> bool {
        matches!(self, Self::Free | Self::CancelOldest)
    }
}

/// Where a DAG is on its way to the next run.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Next {
    /// The timetable is yet to be asked.
    Unknown,
    /// This run comes next.
    Run(DueRun),
    /// The timetable has no further run.
    Never,
    /// The timetable cannot say.
    Failed(TimetableError),
}

#[derive(Debug, Clone)]
struct Entry {
    dag: ScheduledDag,
    next: Next,
}

/// Decides on the creation of all DAGs' scheduled runs.
#[derive(Debug, Clone, Default)]
pub struct RunCreation {
    dags: HashMap<DagId, Entry>,
    /// Holds each DAG that a passing of time can move. Paused and full DAGs, and such without a next run, are not in it.
    due: DueTimes<DagId>,
}

/// What is to happen to a DAG after it was looked at.
enum Turn {
    /// Nothing until this time.
    Until(Timestamp),
    /// It has more to propose.
    Again,
    /// Nothing, until someone reports a change.
    Asleep,
}

impl RunCreation {
    /// A DAG is new, has changed, or is to be decided on again from what the store holds.
    pub fn upsert_dag(&mut self, dag_id: &DagId, dag: ScheduledDag) {
        self.dags.insert(dag_id.clone(), Entry { dag, next: Next::Unknown });
        self.ask_again(dag_id);
    }

    /// A DAG is gone.
    pub fn remove_dag(&mut self, dag_id: &DagId) {
        self.dags.remove(dag_id);
        self.due.remove(dag_id);
    }

    /// A DAG is paused or unpaused. What was missed in between is made only with catchup; without, the newest of it is.
    pub fn set_paused(&mut self, dag_id: &DagId, paused: bool) {
        let Some(entry) = self.dags.get_mut(dag_id) else { return };
        if entry.dag.paused != paused {
            entry.dag.paused = paused;
            self.ask_again(dag_id);
        }
    }

    /// So many of the DAG's runs are queued or running now, those of backfills left out.
    pub fn active_runs(&mut self, dag_id: &DagId, count: u32) {
        let Some(entry) = self.dags.get_mut(dag_id) else { return };
        let was_full = entry.dag.is_full();
        entry.dag.active_runs = count;
        if was_full && !entry.dag.is_full() {
            self.ask_again(dag_id);
        }
    }

    /// One of the DAG's runs that counted as active has ended.
    pub fn run_ended(&mut self, dag_id: &DagId) {
        if let Some(entry) = self.dags.get(dag_id) {
            self.active_runs(dag_id, entry.dag.active_runs.saturating_sub(1));
        }
    }

    /// The store has had this proposed run before: it is not one more active run, and what comes after it is next.
    pub fn already_exists(&mut self, dag_id: &DagId, _run: &DueRun) {
        self.run_ended(dag_id);
    }

    /// When [`Self::due`] has something to do; in the past if it has so now.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.due.first()
    }

    /// The DAG's next run as far as it is known: not before `due` has looked at the DAG.
    #[must_use]
    pub fn next_run(&self, dag_id: &DagId) -> Option<&DueRun> {
        match &self.dags.get(dag_id)?.next {
            Next::Run(run) => Some(run),
            _ => None,
        }
    }

    /// Why the DAG gets no runs, if its timetable cannot say when they are.
    #[must_use]
    pub fn problem(&self, dag_id: &DagId) -> Option<&TimetableError> {
        match &self.dags.get(dag_id)?.next {
            Next::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// Runs that are due now, those of one DAG in order. Each that is to be created counts as active from here on, unless it is cancelled at once. Call it again as long as
    /// [`Self::poll_timeout`] is not later than `now`: one call proposes at most [`RUNS_PER_DAG`] runs of a DAG and looks
    /// at [`DAGS_PER_CALL`] DAGs.
    pub fn due(&mut self, now: Timestamp) -> Vec<Proposal> {
        let mut runs = Vec::new();
        let mut again = Vec::new();
        for _ in 0..DAGS_PER_CALL {
            let Some(dag_id) = self.due.pop(now) else { break };
            let Some(entry) = self.dags.get_mut(&dag_id) else { continue };
            match entry.propose(now, |run, room| runs.push(Proposal { dag_id: dag_id.clone(), run, room })) {
                Turn::Until(at) => self.due.set(&dag_id, at),
                Turn::Again => again.push(dag_id),
                Turn::Asleep => {}
            }
        }
        for dag_id in again {
            // Behind all that became due before now.
            self.due.set(&dag_id, now);
        }
        runs
    }

    fn ask_again(&mut self, dag_id: &DagId) {
        let Some(entry) = self.dags.get_mut(dag_id) else { return };
        entry.next = Next::Unknown;
        if entry.dag.paused || entry.dag.waits() {
            self.due.remove(dag_id);
        } else {
            self.due.set(dag_id, NOW);
        }
    }
}

impl Entry {
    fn propose(&mut self, now: Timestamp, mut propose: impl FnMut(DueRun, Room)) -> Turn {
        for _ in 0..RUNS_PER_DAG {
            if self.dag.waits() {
                // Whatever frees a place asks the timetable again: without catchup a newer run may be due by then.
                self.next = Next::Unknown;
                return Turn::Asleep;
            }
            if self.next == Next::Unknown || self.may_have_missed_more(now) {
                self.next = self.ask(now);
            }
            let Next::Run(run) = self.next else { return Turn::Asleep };
            let at = run.run_after.plus(self.dag.delay);
            if at > now {
                return Turn::Until(at);
            }
            let room = self.dag.room();
            propose(run, room);
            self.dag.active_runs = self.dag.active_runs.saturating_add(u32::from(room.is_taken()));
            self.dag.last_automated_run = run.data_interval;
            self.next = Next::Unknown;
        }
        Turn::Again
    }

    /// The run that was found earlier is due, and perhaps others after it, which become one with it.
    fn may_have_missed_more(&self, now: Timestamp) -> bool {
        let due = matches!(self.next, Next::Run(run) if run.run_after.plus(self.dag.delay) <= now);
        due && matches!(self.dag.missed, Catchup::Latest | Catchup::Collapse)
    }

    fn ask(&self, now: Timestamp) -> Next {
        let last = self.dag.last_automated_run;
        // A delayed DAG lives that much in the past. A schedule without a beginning begins now.
        let begins = last.is_none() && self.dag.bounds.earliest.is_none();
        let now = if begins { now } else { now.minus(self.dag.delay) };
        let ask = |now| self.dag.timetable.next_run_after_pause(last, &self.dag.bounds, self.dag.missed, now);
        // The id of a run is made of this instant.
        let repeats = |run: &DueRun| last.is_some_and(|last| run.run_after == last.end);
        let found = match (ask(now), last) {
            // A continuous DAG's run ended in the microsecond in which it was made, or the clock went back behind it.
            (Ok(Some(run)), Some(last)) if repeats(&run) => ask(now.max(last.end).plus(Duration::from_micros(1))),
            (found, _) => found,
        };
        match (found, last) {
            (Ok(Some(run)), Some(last)) if repeats(&run) => {
                Next::Failed(TimetableError::DidNotAdvance { after: last.start })
            }
            (Ok(Some(run)), Some(last)) => Next::Run(apart(run, last)),
            (Ok(Some(run)), None) => Next::Run(run),
            (Ok(None), _) => Next::Never,
            (Err(error), _) => Next::Failed(error),
        }
    }
}

/// A continuous DAG's run stands for the time since the last one, and so begins where a last run without any length did.
/// Two runs cannot have the same logical date.
fn apart(mut run: DueRun, last: DataInterval) -> DueRun {
    if let Some(interval) = run.data_interval.as_mut().filter(|interval| interval.start == last.start) {
        interval.start = interval.start.plus(Duration::from_micros(1)).min(interval.end);
        run.logical_date = Some(interval.start);
    }
    run
}
