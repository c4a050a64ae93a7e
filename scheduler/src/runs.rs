//! The runs that live: a machine for each running one, a place in the queue for each waiting one, and admission over all.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use windrose_core::claim::Claim;
use windrose_core::ids::{AttemptId, DagId, RunId, RunKey, TaskInstanceKey};
use windrose_core::run::RunFacts;
use windrose_core::run_state::{RunState, RunType};
use windrose_core::task_state::TaskState;
use windrose_core::time::Timestamp;
use windrose_engine::admission::QueuedRun;
use windrose_engine::past::PastNews;
use windrose_engine::past::PreviousRun;
use windrose_engine::{Admission, Effect, Event, Refused, RunMachine};
use windrose_store::{AttemptStart, RunWrite};

use crate::dag_set::Version;
use crate::deadlines::RunNews;
use crate::handle::Cancellation;
use crate::notices;
use crate::outbox::Outbox;

/// A running run.
pub(crate) struct Live {
    pub(crate) machine: RunMachine,
    pub(crate) folder: PathBuf,
    /// Where it stands in [`Runs::timers`].
    timeout: Option<Timestamp>,
}

/// A queued run.
pub(crate) struct Waiting {
    pub(crate) facts: Arc<RunFacts>,
    pub(crate) place: QueuedRun,
    pub(crate) tasks: Tasks,
}

/// Where a queued run's task instances stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tasks {
    /// It is new: nothing has happened to them.
    Fresh,
    /// Its rows say.
    InDatabase,
    /// It is one of [`Runs::live`]: it was cleared.
    InMemory,
}

/// A run that has ended.
#[derive(Debug, Clone)]
pub(crate) struct Over {
    pub(crate) facts: Arc<RunFacts>,
    pub(crate) failed: bool,
}

/// Attempts that outlive what memory holds of runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Survivors {
    /// A worker of this process has them.
    pub(crate) alive: BTreeSet<AttemptId>,
    /// They may be in the database, but no worker has ever heard of them.
    pub(crate) unsent: BTreeSet<AttemptId>,
}

/// Everything that is decided about runs, in memory.
#[derive(Default)]
pub(crate) struct Runs {
    pub(crate) live: HashMap<RunKey, Live>,
    pub(crate) waiting: BTreeMap<RunKey, Waiting>,
    /// By DAG, those of backfills left out: they have a limit of their own.
    pub(crate) running: HashMap<DagId, u32>,
    pub(crate) admission: Admission,
    pub(crate) outbox: Outbox,
    /// Attempts that a worker has, and their task instances.
    attempts: HashMap<AttemptId, TaskInstanceKey>,
    /// Let go of in this turn: if it does not commit, they are still alive.
    released: BTreeSet<AttemptId>,
    /// Lost in this turn before any worker had heard of them.
    never_sent: BTreeSet<AttemptId>,
    deferred: BTreeSet<AttemptId>,
    timers: BTreeSet<(Timestamp, RunKey)>,
    /// Runs that depend on how another one goes.
    dependents: HashMap<RunKey, Vec<RunKey>>,
    /// There may be a place for a waiting run that there was not before.
    pub(crate) places_changed: bool,
    /// Ended, and not yet let go.
    pub(crate) ended: Vec<(DagId, RunKey)>,
    /// Attempts that were deferred and have their slots again.
    pub(crate) resumed: Vec<AttemptId>,
    /// Runs that had begun and ended in this turn: the database does not know yet.
    pub(crate) over: Vec<Over>,
    /// What deadlines are yet to hear.
    pub(crate) run_news: Vec<RunNews>,
    /// Runs that were told to stop.
    pub(crate) cancelled: HashSet<RunKey>,
}

impl Runs {
    /// The task instance that an attempt holds.
    pub(crate) fn holder(&self, attempt: AttemptId) -> Option<TaskInstanceKey> {
        self.attempts.get(&attempt).cloned()
    }

    /// Which attempts there are in this process, for when memory is thrown away.
    pub(crate) fn survivors(&self) -> Survivors {
        let claims = self.outbox.claims.iter().map(|claim| claim.attempt);
        let unsent: BTreeSet<_> = claims.chain(self.never_sent.iter().copied()).collect();
        let all = self.attempts.keys().chain(&self.released);
        Survivors { alive: all.copied().filter(|attempt| !unsent.contains(attempt)).collect(), unsent }
    }

    /// This attempt was lost: if the turn does not commit, it is not alive all the same.
    pub(crate) fn forget_lost(&mut self, attempt: AttemptId, unsent: bool) {
        self.released.remove(&attempt);
        if unsent {
            self.never_sent.insert(attempt);
        }
    }

    /// After rows were read again: a worker whose attempt holds nothing any more is told to stop. If that was decided on in
    /// a commit whose answer was lost, nobody has told it.
    pub(crate) fn stop_the_others(&mut self, survivors: &Survivors) {
        for &attempt in survivors.alive.iter().filter(|attempt| !self.attempts.contains_key(attempt)) {
            let by = "it does not hold its task instance any more".to_owned();
            self.outbox.cancellations.push(Cancellation { attempt, by });
        }
    }

    /// Takes over a machine, with what it already wants to say.
    pub(crate) fn adopt(&mut self, now: Timestamp, machine: RunMachine, folder: PathBuf) {
        let facts = Arc::clone(machine.facts());
        if machine.state() == RunState::Running && counts(&facts) {
            *self.running.entry(facts.dag_id.clone()).or_default() += 1;
        }
        for task in machine.tasks() {
            if let Some(attempt) = task.state.attempt() {
                self.attempts.insert(attempt, task.key(facts.key));
            }
            if let TaskState::Deferred(attempt) = task.state {
                self.deferred.insert(attempt);
            }
        }
        self.live.insert(facts.key, Live { machine, folder, timeout: None });
        self.drain(now, facts.key);
    }

    /// This run depends on how the other one goes on.
    pub(crate) fn depends(&mut self, run: RunKey, on: RunKey) {
        self.dependents.entry(on).or_default().push(run);
    }

    /// How a live run stands, for a run that depends on it.
    pub(crate) fn as_previous(&self, run: RunKey) -> Option<PreviousRun> {
        let live = self.live.get(&run)?;
        Some(PreviousRun::Tasks(
            live.machine.tasks().iter().map(|t| (t.task.clone(), t.map_index, t.state.name())).collect(),
        ))
    }

    /// What is known of a run that has not ended.
    pub(crate) fn facts(&self, run: RunKey) -> Option<&Arc<RunFacts>> {
        let waiting = || self.waiting.get(&run).map(|waiting| &waiting.facts);
        self.live.get(&run).map(|live| live.machine.facts()).or_else(waiting)
    }

    /// The runs of a DAG that have not ended.
    pub(crate) fn of_dag(&self, dag_id: &DagId) -> Vec<RunKey> {
        let all = self.live.keys().chain(self.waiting.keys()).copied();
        all.filter(|run| self.facts(*run).is_some_and(|facts| facts.dag_id == *dag_id)).collect()
    }

    /// The runs of a DAG that are running, in the order of their keys.
    pub(crate) fn running_of(&self, dag_id: &DagId) -> Vec<RunKey> {
        let running = |run: &RunKey| self.live.get(run).is_some_and(|l| l.machine.state() == RunState::Running);
        let mut runs: Vec<_> = self.of_dag(dag_id).into_iter().filter(running).collect();
        runs.sort_unstable();
        runs
    }

    /// The run of this id, if it has not ended.
    pub(crate) fn named(&self, dag_id: &DagId, run_id: &RunId) -> Option<RunKey> {
        self.of_dag(dag_id).into_iter().find(|run| self.facts(*run).is_some_and(|facts| facts.run_id == *run_id))
    }

    /// Gives an event to a run's machine, and takes what follows from it.
    pub(crate) fn feed(&mut self, now: Timestamp, run: RunKey, event: Event) -> Result<(), Refused> {
        let Some(live) = self.live.get_mut(&run) else {
            return Err(Refused::UnknownTask { dag: "?".to_owned(), task: "?".to_owned() });
        };
        let outcome = live.machine.handle(now, event);
        self.drain(now, run);
        outcome
    }

    fn drain(&mut self, now: Timestamp, run: RunKey) {
        let mut told = Vec::new();
        let Some(live) = self.live.get_mut(&run) else { return };
        while let Some(effect) = live.machine.poll_effect() {
            if self.admission.apply(&effect) {
                continue;
            }
            match &effect {
                Effect::SetTask(change) => {
                    if let Some(attempt) = change.from.attempt().filter(|a| change.to.attempt() != Some(*a)) {
                        self.attempts.remove(&attempt);
                        self.released.insert(attempt);
                        self.deferred.remove(&attempt);
                    }
                    if self.dependents.contains_key(&run) {
                        let news = PastNews::State { map_index: change.key.map_index, state: change.to.name() };
                        told.push((change.key.task.clone(), news));
                    }
                }
                Effect::Expand { key, length, .. } => told.push((key.task.clone(), PastNews::Expanded(*length))),
                Effect::SetRun(change) => {
                    let facts = live.machine.facts();
                    if counts(facts) {
                        let count = self.running.entry(facts.dag_id.clone()).or_default();
                        let (was, is) = (change.from == RunState::Running, change.to == RunState::Running);
                        *count = (*count + u32::from(is)).saturating_sub(u32::from(was));
                    }
                    self.run_news.extend(RunNews::of(facts, change, now));
                    if change.from.is_final() && !change.to.is_final() {
                        self.outbox.batch.requeued.push((run, now));
                    }
                    if change.to.is_final() {
                        self.ended.push((facts.dag_id.clone(), run));
                        self.over.push(Over { facts: Arc::clone(facts), failed: change.to == RunState::Failed });
                    }
                }
                Effect::Notify { .. } | Effect::NotifyOfRun { .. } => {
                    notices::take(&mut self.outbox, live, now, &effect);
                }
                _ => {}
            }
            self.outbox.take(&live.machine, now, effect);
        }
        let timeout = live.machine.poll_timeout();
        if timeout != live.timeout {
            self.timers.extend(timeout.map(|at| (at, run)));
            if let Some(old) = std::mem::replace(&mut live.timeout, timeout) {
                self.timers.remove(&(old, run));
            }
        }
        for dependent in self.dependents.get(&run).cloned().unwrap_or_default() {
            for (task, news) in &told {
                // The dependent may have ended, or hold no such task.
                let _ = self.feed(now, dependent, Event::PreviousTask { task: task.clone(), news: news.clone() });
            }
        }
    }

    /// When the next timer of a run goes off.
    pub(crate) fn next_timer(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Lets every timer that is due go off.
    pub(crate) fn fire_timers(&mut self, now: Timestamp) {
        while let Some(&(at, run)) = self.timers.first() {
            if at > now {
                return;
            }
            self.timers.pop_first();
            if let Some(live) = self.live.get_mut(&run) {
                live.timeout = None;
            }
            // A timer is never refused; the machine sets its next one in the drain.
            let _ = self.feed(now, run, Event::TimerDue);
        }
    }

    /// An attempt was deferred, or wants its slots again.
    pub(crate) fn set_deferred(&mut self, now: Timestamp, attempt: AttemptId, deferred: bool) -> bool {
        let Some(key) = self.holder(attempt) else { return false };
        let row = self.live.get(&key.run).and_then(|live| live.machine.task_instance(&key));
        let state = row.map(|row| row.state);
        // If the answer of the commit that did it was lost, it is heard a second time.
        if !deferred && state == Some(TaskState::Running(attempt)) {
            self.resumed.push(attempt);
            return true;
        }
        if !deferred {
            self.admission.set_deferred(&key, false);
            return true;
        }
        if state == Some(TaskState::Deferred(attempt)) {
            return true;
        }
        let taken = self.feed(now, key.run, Event::Deferred { key, attempt }).is_ok();
        if taken {
            self.deferred.insert(attempt);
        }
        taken
    }

    /// Gives slots to whoever is next, as far as they go, and makes an attempt for each.
    pub(crate) fn admit(&mut self, now: Timestamp, parallelism: usize, next_attempt: &mut dyn FnMut() -> AttemptId) {
        let busy = self.attempts.len().saturating_sub(self.deferred.len());
        for admitted in self.admission.admit(now, parallelism.saturating_sub(busy)) {
            let key = admitted.candidate.key;
            if admitted.resumed {
                self.resume(now, key);
            } else {
                self.dispatch(now, key, admitted.candidate.position, next_attempt());
            }
        }
    }

    fn resume(&mut self, now: Timestamp, key: TaskInstanceKey) {
        let state = self.live.get(&key.run).and_then(|live| live.machine.task_instance(&key)).map(|t| t.state);
        let Some(attempt) = state.and_then(|s| s.attempt()) else { return };
        if self.feed(now, key.run, Event::Resumed { key, attempt }).is_ok() {
            self.deferred.remove(&attempt);
            self.resumed.push(attempt);
        }
    }

    fn dispatch(&mut self, now: Timestamp, key: TaskInstanceKey, position: usize, attempt: AttemptId) {
        if let Err(refused) = self.feed(now, key.run, Event::Dispatched { key: key.clone(), attempt }) {
            tracing::error!(task = %key.task, %refused, "admission gave slots to a task instance that does not wait");
            self.admission.release(&key);
            return;
        }
        let Some(live) = self.live.get(&key.run) else { return };
        let Some(task) = live.machine.task_instance(&key) else { return };
        self.outbox.batch.attempts_started.push(AttemptStart {
            attempt,
            key: key.clone(),
            generation: task.columns.generation,
            try_number: task.columns.try_number,
            queued_at: now,
        });
        self.outbox.claims.push(Claim {
            attempt,
            key: key.clone(),
            dag: Arc::clone(live.machine.plan().dag()),
            dag_folder: live.folder.clone(),
            position,
            run: Arc::clone(live.machine.facts()),
            run_started_at: live.machine.started_at().unwrap_or(now),
            try_number: task.columns.try_number,
            generation: task.columns.generation,
            first_poke_at: task.columns.first_poke_at,
            pokes_before: task.columns.pokes,
            mapped_at: live.machine.mapped_at(position),
            queued_at: now,
        });
        self.attempts.insert(attempt, key);
    }

    /// What was decided in this turn is durable.
    pub(crate) fn committed(&mut self) -> Outbox {
        self.released.clear();
        self.never_sent.clear();
        self.over.clear();
        std::mem::take(&mut self.outbox)
    }

    /// Lets go of the runs that ended; their rows are what is left of them.
    pub(crate) fn release_ended(&mut self) -> Vec<(DagId, RunKey)> {
        let ended = std::mem::take(&mut self.ended);
        self.places_changed |= !ended.is_empty();
        for (_, run) in &ended {
            let over = self.live.get(run).is_some_and(|live| live.machine.state().is_final());
            if over && let Some(live) = self.live.remove(run) {
                if let Some(at) = live.timeout {
                    self.timers.remove(&(at, *run));
                }
                self.dependents.remove(run);
                self.cancelled.remove(run);
            }
        }
        ended
    }

    /// A queued run ends before it has begun.
    pub(crate) fn fail_queued(&mut self, now: Timestamp, facts: &RunFacts) {
        self.outbox.batch.runs.push(RunWrite {
            key: facts.key,
            from: RunState::Queued,
            to: RunState::Failed,
            started_at: None,
            ended_at: Some(now),
            dag_version: None,
        });
        self.run_news.push(RunNews::ended(facts, now));
        self.ended.push((facts.dag_id.clone(), facts.key));
    }

    /// Takes a run out of the queue. `None` if it has a machine in memory, which then decides.
    pub(crate) fn leave_queue(&mut self, run: RunKey) -> Option<Waiting> {
        self.waiting.remove(&run).filter(|waiting| waiting.tasks != Tasks::InMemory)
    }

    /// A live run that was cleared after its end waits for a place like any other.
    pub(crate) fn enqueue_live(&mut self, run: RunKey) {
        if self.waiting.contains_key(&run) {
            return;
        }
        if let Some(live) = self.live.get(&run) {
            let (facts, limit) = (Arc::clone(live.machine.facts()), live.machine.plan().dag().max_active_runs);
            self.put_in_queue(facts, limit, Tasks::InMemory);
        }
    }

    /// A run that waits for a place under `max_active_runs`.
    pub(crate) fn enqueue(&mut self, facts: RunFacts, version: &Version, tasks: Tasks) {
        self.put_in_queue(Arc::new(facts), version.plan.dag().max_active_runs, tasks);
    }

    fn put_in_queue(&mut self, facts: Arc<RunFacts>, max_active_runs: u32, tasks: Tasks) {
        let place = QueuedRun {
            run: facts.key,
            dag_id: facts.dag_id.clone(),
            run_type: facts.run_type,
            run_after: facts.run_after,
            max_active_runs,
        };
        self.places_changed = true;
        self.waiting.insert(facts.key, Waiting { facts, place, tasks });
    }
}

/// Whether a run takes one of its DAG's `max_active_runs` places.
pub(crate) fn counts(facts: &RunFacts) -> bool {
    facts.run_type != RunType::Backfill
}
