//! Deadlines: which are missed, and when to look again.
//!
//! [`Deadlines`] hears when runs begin and end; what it finds missed does not depend on how often it is asked, and each is
//! found once. What was told of before a restart is handed in again ([`WatchedRun::told`], [`WatchedDag::told`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use windrose_core::dag::Dag;
use windrose_core::deadline::{By, Condition, Deadline, Due, Reference, RunTimes};
use windrose_core::ids::{DagId, RunKey};
use windrose_core::run::RunFacts;
use windrose_core::run_state::RunType;
use windrose_core::time::Timestamp;

use crate::due::DueTimes;

/// How many missed deadlines one call of [`Deadlines::due`] names at most; the rest comes with the next one.
pub const MISSED_PER_CALL: usize = 1_000;

/// Missed is what has not happened at its instant, so this is when it is known.
const AFTER: Duration = Duration::from_micros(1);

/// A run that has not ended, with what its deadlines count from.
#[derive(Debug, Clone)]
pub struct WatchedRun {
    /// Its DAG, in the version it runs under.
    pub dag: Arc<Dag>,
    /// What is known of it from its creation on.
    pub facts: Arc<RunFacts>,
    /// When it was made, or cleared last.
    pub queued_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// It has ended before, and was cleared.
    pub cleared: bool,
    /// Since when its DAG has been at work: what was due earlier is nobody's fault.
    pub dag_since: Option<Timestamp>,
    /// For each of the DAG's deadlines, the mean that it asks for.
    pub averages: Vec<Option<Duration>>,
    /// Deadlines that were told of, with what they counted from.
    pub told: Vec<(String, Timestamp)>,
}

/// A DAG that is not paused, with what its deadlines without a run count from.
#[derive(Debug, Clone)]
pub struct WatchedDag {
    /// Its newest version.
    pub dag: Arc<Dag>,
    /// Since when it has been at work.
    pub since: Timestamp,
    /// When its last successful run ended.
    pub last_success: Option<Timestamp>,
    /// Deadlines that were told of, with what they counted from.
    pub told: Vec<(String, Timestamp)>,
}

/// A deadline that was missed.
#[derive(Debug, Clone)]
pub struct Missed {
    /// The DAG, in the version that says so.
    pub dag: Arc<Dag>,
    /// The run; none for a deadline of the DAG as a whole.
    pub run: Option<Arc<RunFacts>>,
    /// The deadline's position in the DAG.
    pub position: usize,
    /// When it was due.
    pub due: Due,
    /// When it happened after all, if it has.
    pub happened_at: Option<Timestamp>,
}

impl Missed {
    /// Which deadline.
    #[must_use]
    pub fn deadline(&self) -> &Deadline {
        &self.dag.deadlines[self.position]
    }

    /// As [`WatchedRun::told`] and [`WatchedDag::told`] have it.
    fn told(&self) -> (String, Timestamp) {
        (self.deadline().name.clone(), self.due.counted_from)
    }
}

/// The deadlines of a run or of a DAG as a whole that can still be missed, by position.
#[derive(Debug, Clone)]
struct Armed {
    dag: Arc<Dag>,
    run: Option<Arc<RunFacts>>,
    due: Vec<Option<Due>>,
}

#[derive(Debug, Clone)]
struct Run {
    watched: WatchedRun,
    armed: Armed,
}

#[derive(Debug, Clone)]
struct Whole {
    watched: WatchedDag,
    armed: Armed,
}

/// The deadlines of all runs that have not ended, and of all DAGs that are not paused.
#[derive(Debug, Clone, Default)]
pub struct Deadlines {
    runs: HashMap<RunKey, Run>,
    dags: HashMap<DagId, Whole>,
    due_runs: DueTimes<(RunKey, usize)>,
    due_dags: DueTimes<(DagId, usize)>,
    /// Found, and not named yet.
    missed: Vec<Missed>,
}

impl WatchedRun {
    /// When a deadline of the run is due, if that can be missed.
    #[must_use]
    pub fn due(&self, position: usize) -> Option<Due> {
        let deadline = self.dag.deadlines.get(position)?;
        let by = deadline.condition.by()?;
        let times = RunTimes {
            run_after: self.facts.run_after,
            logical_date: self.facts.logical_date,
            queued_at: self.queued_at,
            started_at: self.started_at,
        };
        let due = by.due(&times, self.averages.get(position).copied().flatten(), self.dag.timezone)?;
        let fixed = matches!(by, By::After { reference: Reference::At(_), .. });
        let by_itself = matches!(self.facts.run_type, RunType::Scheduled | RunType::AssetTriggered);
        // A run that a schedule owes is late whether it exists or not. Others are late for nothing that was over before.
        let from = if by_itself && !self.cleared && !fixed { self.dag_since } else { Some(self.queued_at) };
        let told = self.told.iter().any(|(name, from)| *name == deadline.name && *from == due.counted_from);
        (!told && from.is_none_or(|from| due.at >= from)).then_some(due)
    }
}

impl WatchedDag {
    /// When a deadline of the DAG as a whole is due, if that can be missed.
    #[must_use]
    pub fn due(&self, position: usize) -> Option<Due> {
        let deadline = self.dag.deadlines.get(position)?;
        let Condition::NoSuccessSince(limit) = &deadline.condition else { return None };
        let counted_from = self.since.max(self.last_success.unwrap_or(self.since));
        let counted_from = counted_from.max(self.dag.start_date.unwrap_or(counted_from));
        let due = Due { counted_from, at: counted_from.plus(*limit) };
        let told = self.told.iter().any(|(name, from)| *name == deadline.name && *from >= counted_from);
        // After its end there is nothing to wait for.
        let over = self.dag.end_date.is_some_and(|end| end < due.at);
        (!told && !over).then_some(due)
    }
}

impl Deadlines {
    /// A run is new, was loaded or cleared, or goes on under another version.
    pub fn watch_run(&mut self, watched: WatchedRun) {
        let run = watched.facts.key;
        self.forget_run(run);
        let deadlines = &watched.dag.deadlines;
        if deadlines.iter().all(|deadline| deadline.condition.by().is_none()) {
            return;
        }
        let has_begun = watched.started_at.is_some();
        let waits = |p: &usize| !(has_begun && matches!(deadlines[*p].condition, Condition::NotStartedBy(_)));
        let due: Vec<_> = (0..deadlines.len()).map(|p| Some(p).filter(waits).and_then(|p| watched.due(p))).collect();
        let armed = Armed { dag: Arc::clone(&watched.dag), run: Some(Arc::clone(&watched.facts)), due };
        for (position, due) in armed.all() {
            self.due_runs.set(&(run, position), due.at.plus(AFTER));
        }
        self.runs.insert(run, Run { watched, armed });
    }

    /// A run has begun.
    pub fn run_started(&mut self, run: RunKey, at: Timestamp) {
        let Some(Run { watched, armed }) = self.runs.get_mut(&run) else { return };
        watched.started_at = Some(at);
        for (position, deadline) in watched.dag.deadlines.iter().enumerate() {
            match &deadline.condition {
                Condition::NotStartedBy(_) => {
                    self.due_runs.remove(&(run, position));
                    self.missed.extend(armed.happened(position, at));
                }
                Condition::NotDoneBy(By::After { reference: Reference::StartedAt, .. }) => {
                    armed.due[position] = watched.due(position);
                    if let Some(due) = armed.due[position] {
                        self.due_runs.set(&(run, position), due.at.plus(AFTER));
                    }
                }
                _ => {}
            }
        }
    }

    /// A run has ended, well or not.
    pub fn run_ended(&mut self, run: RunKey, at: Timestamp) {
        let Some(Run { mut armed, .. }) = self.forget_run(run) else { return };
        self.missed.extend((0..armed.due.len()).filter_map(|position| armed.happened(position, at)));
    }

    fn forget_run(&mut self, run: RunKey) -> Option<Run> {
        let entry = self.runs.remove(&run)?;
        entry.armed.all().into_iter().for_each(|(position, _)| self.due_runs.remove(&(run, position)));
        Some(entry)
    }

    /// A DAG is new, has changed, or is not paused any more.
    pub fn watch_dag(&mut self, dag_id: &DagId, watched: WatchedDag) {
        self.forget_dag(dag_id);
        if watched.dag.deadlines.iter().all(|deadline| deadline.condition.by().is_some()) {
            return;
        }
        let due = vec![None; watched.dag.deadlines.len()];
        let armed = Armed { dag: Arc::clone(&watched.dag), run: None, due };
        self.dags.insert(dag_id.clone(), Whole { watched, armed });
        self.arm_dag(dag_id);
    }

    fn arm_dag(&mut self, dag_id: &DagId) {
        let Some(Whole { watched, armed }) = self.dags.get_mut(dag_id) else { return };
        for position in 0..armed.due.len() {
            let key = (dag_id.clone(), position);
            armed.due[position] = watched.due(position);
            match armed.due[position] {
                Some(due) => self.due_dags.set(&key, due.at.plus(AFTER)),
                None => self.due_dags.remove(&key),
            }
        }
    }

    /// A DAG is paused or gone. Its runs go on, and so do their deadlines.
    pub fn forget_dag(&mut self, dag_id: &DagId) {
        let Some(entry) = self.dags.remove(dag_id) else { return };
        entry.armed.all().into_iter().for_each(|(position, _)| self.due_dags.remove(&(dag_id.clone(), position)));
    }

    /// A run of this DAG has ended well.
    pub fn dag_succeeded(&mut self, dag_id: &DagId, at: Timestamp) {
        let Some(Whole { watched, armed }) = self.dags.get_mut(dag_id) else { return };
        for position in 0..armed.due.len() {
            let missed = armed.happened(position, at);
            watched.told.extend(missed.iter().map(Missed::told));
            self.missed.extend(missed);
        }
        watched.last_success = watched.last_success.max(Some(at));
        self.arm_dag(dag_id);
    }

    /// When [`Self::due`] has something to say; in the past if it has so now.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        if !self.missed.is_empty() {
            return Some(Timestamp::from_micros(i64::MIN));
        }
        self.due_runs.first().into_iter().chain(self.due_dags.first()).min()
    }

    /// What is missed by now and was not named before. Call it again as long as [`Self::poll_timeout`] is not later.
    pub fn due(&mut self, now: Timestamp) -> Vec<Missed> {
        while self.missed.len() < MISSED_PER_CALL
            && let Some((run, position)) = self.due_runs.pop(now)
        {
            let entry = self.runs.get_mut(&run);
            self.missed.extend(entry.and_then(|entry| entry.armed.over(position)));
        }
        while self.missed.len() < MISSED_PER_CALL
            && let Some((dag_id, position)) = self.due_dags.pop(now)
        {
            let Some(Whole { watched, armed }) = self.dags.get_mut(&dag_id) else { continue };
            let missed = armed.over(position);
            watched.told.extend(missed.iter().map(Missed::told));
            self.missed.extend(missed);
        }
        let rest = self.missed.split_off(self.missed.len().min(MISSED_PER_CALL));
        std::mem::replace(&mut self.missed, rest)
    }

    /// When a run's deadlines are due that can still be missed, by name.
    #[must_use]
    pub fn of_run(&self, run: RunKey) -> Vec<(String, Due)> {
        self.runs.get(&run).map(|entry| entry.armed.named()).unwrap_or_default()
    }

    /// The same for those of a DAG as a whole.
    #[must_use]
    pub fn of_dag(&self, dag_id: &DagId) -> Vec<(String, Due)> {
        self.dags.get(dag_id).map(|entry| entry.armed.named()).unwrap_or_default()
    }
}

impl Armed {
    fn all(&self) -> Vec<(usize, Due)> {
        self.due.iter().enumerate().filter_map(|(position, due)| due.map(|due| (position, due))).collect()
    }

    fn named(&self) -> Vec<(String, Due)> {
        let name = |position: usize| self.dag.deadlines[position].name.clone();
        self.all().into_iter().map(|(position, due)| (name(position), due)).collect()
    }

    /// What the deadline waits for has happened: too late, if it is returned.
    fn happened(&mut self, position: usize, at: Timestamp) -> Option<Missed> {
        let due = self.due[position].take()?;
        (due.at < at).then(|| self.missed(position, due, Some(at)))
    }

    /// Its time is over.
    fn over(&mut self, position: usize) -> Option<Missed> {
        let due = self.due[position].take()?;
        Some(self.missed(position, due, None))
    }

    fn missed(&self, position: usize, due: Due, happened_at: Option<Timestamp>) -> Missed {
        Missed { dag: Arc::clone(&self.dag), run: self.run.clone(), position, due, happened_at }
    }
}
