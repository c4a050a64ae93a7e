//! A scheduler process, its workers and its database in one place, with everything that can happen to them.
//!
//! What decides is the real thing: [`Runs`] with its machines, admission and outbox, and how messages are heard and
//! answered. The world around them is a model: rows in memory, workers that throw dice, and crashes between any two steps.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;
use windrose_core::claim::Claim;
use windrose_core::dag::Dag;
use windrose_core::ids::{AttemptId, RunKey};
use windrose_core::run::RunFacts;
use windrose_core::run_state::RunState;
use windrose_core::time::Timestamp;
use windrose_engine::admission::runs_to_start;
use windrose_engine::past::{PreviousRun, counts_as_previous};
use windrose_engine::{Event, Plan, RunMachine};
use windrose_store::{CommandDone, StoreError};

use super::database::Database;
use super::dice::Dice;
use super::people::Want;
use super::random_dag::{Shape, dag_of};
use super::worker::{Stage, Step, Worker};
use crate::dag_set::Version;
use crate::handle::{Cancellation, Desk, Message, Taken};
use crate::runs::{Runs, Tasks};
use crate::turn::{Resuming, Work};

pub(super) const POOLS: [(&str, i64, bool); 2] = [("default_pool", 3, false), ("narrow", 2, true)];
const PARALLELISM: usize = 4;

/// A process: everything in it is gone when it crashes.
pub(super) struct Process {
    pub(super) runs: Runs,
    pub(super) desk: Desk,
    inbox: mpsc::UnboundedSender<Message>,
    claims: mpsc::UnboundedReceiver<Claim>,
    cancellations: mpsc::UnboundedReceiver<Cancellation>,
    resuming: Vec<Resuming>,
    pub(super) workers: Vec<Worker>,
}

/// Where a crash or a fault of the database strikes in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    CrashBeforeCommit,
    CrashAfterCommit,
    /// The commit happens, but its answer is lost: repeating it finds everything changed already.
    AnswerLost,
}

pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) now: Timestamp,
    pub(super) versions: Vec<Version>,
    pub(super) database: Database,
    pub(super) process: Option<Process>,
    /// With ids; those of the database that are done are done.
    pub(super) wants: Vec<(String, Want)>,
    /// How often a run was reopened by a clear or a mark that was carried out.
    pub(super) reopened: std::collections::BTreeMap<RunKey, u32>,
    attempts: u128,
    pub(super) runs_made: i64,
    pub(super) wanted: u32,
    pub(super) story: Vec<String>,
    pub(super) faults: bool,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let versions = (0..1 + dice.below(2)).map(|number| random_version(&mut dice, number)).collect();
        Self {
            dice,
            now: Timestamp::from_micros(1_000_000),
            versions,
            database: Database::default(),
            process: None,
            wants: Vec::new(),
            reopened: std::collections::BTreeMap::new(),
            attempts: 0,
            runs_made: 0,
            wanted: 0,
            story: Vec::new(),
            faults: true,
        }
    }

    pub(super) fn tell(&mut self, what: impl FnOnce() -> String) {
        let line = format!("{} {}", self.now, what());
        self.story.push(line);
    }

    /// One step of whoever the dice choose.
    pub(super) fn step(&mut self) {
        if self.process.is_none() {
            self.start();
            return;
        }
        match self.dice.below(100) {
            0..=44 => self.turn(),
            45..=84 => self.work(),
            85..=93 => self.pass_time(),
            94..=97 if self.faults => self.want_something(),
            98..=99 if self.faults && self.dice.percent(40) => self.crash("between two steps"),
            _ => self.work(),
        }
    }

    /// Nothing is left that could happen by itself.
    pub(super) fn is_over(&self) -> bool {
        let Some(process) = &self.process else { return false };
        let runs = &process.runs;
        let nothing_moves = self.wants.is_empty()
            && process.workers.is_empty()
            && process.desk.inbox.is_empty()
            && runs.outbox.batch.is_empty()
            && !runs.places_changed
            && runs.next_timer().is_none();
        nothing_moves && self.only_the_past_is_waited_for()
    }

    pub(super) fn pass_time(&mut self) {
        let seconds = [1, 10, 60, 300][self.dice.below(4)];
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    fn crash(&mut self, when: &str) {
        self.tell(|| format!("CRASH {when}"));
        self.process = None;
    }

    /// A new process, which loads what is stored.
    fn start(&mut self) {
        let (inbox, from_inbox) = mpsc::unbounded_channel();
        let (to_claims, claims) = mpsc::unbounded_channel();
        let (to_cancellations, cancellations) = mpsc::unbounded_channel();
        // Nobody is told of anything here.
        let (notifications, _) = tokio::sync::mpsc::unbounded_channel();
        let (answered, _) = mpsc::unbounded_channel();
        let (claims_out, cancellations_out) = (to_claims, to_cancellations);
        let desk =
            Desk { inbox: from_inbox, claims: claims_out, cancellations: cancellations_out, notifications, answered };
        let (runs, workers, resuming) = (Runs::default(), Vec::new(), Vec::new());
        self.process = Some(Process { runs, desk, inbox, claims, cancellations, resuming, workers });
        self.tell(|| "a process starts".to_owned());
        self.restore();
    }

    /// As `Driver::restore`.
    fn restore(&mut self) {
        let Some(process) = &mut self.process else { return };
        let survivors = process.runs.survivors();
        process.runs = Runs::default();
        for (name, slots, include_deferred) in POOLS {
            process.runs.admission.set_pool(name, slots, include_deferred);
        }
        let mut active: Vec<_> = self.database.runs.values().filter(|run| !run.state.is_final()).cloned().collect();
        active.sort_by_key(|run| (run.facts.logical_date, run.facts.key));
        for run in active {
            let key = run.facts.key;
            let version = self.version_of(&run.facts);
            let rows = self.database.snapshots(key);
            let facts = Arc::new(run.facts);
            let process = self.process.as_mut().unwrap();
            if run.state == RunState::Queued {
                process.runs.enqueue(facts.as_ref().clone(), &version, Tasks::InDatabase);
                continue;
            }
            let machine = RunMachine::restore(version.plan, facts, run.state, run.started_at, run.ended_at, rows);
            let held: Vec<_> = machine
                .tasks()
                .iter()
                .filter_map(|row| Some((row.key(key), row.state.attempt()?, row.columns.generation)))
                .filter(|(_, attempt, _)| !survivors.alive.contains(attempt))
                .collect();
            process.runs.adopt(self.now, machine, PathBuf::new());
            self.tell_previous(key);
            for (task, attempt, generation) in held {
                let unsent = survivors.unsent.contains(&attempt);
                let reattach = unsent || self.database.checkpoints.contains(&(task.clone(), generation));
                let lost = Event::Lost { key: task, attempt, detail: "it was killed".to_owned(), reattach };
                self.feed(key, lost);
                self.process.as_mut().unwrap().runs.forget_lost(attempt, unsent);
            }
            self.feed(key, Event::TimerDue);
        }
        let now = self.now;
        if let Some(process) = &mut self.process {
            process.runs.stop_the_others(&survivors);
            for waiting in &process.resuming {
                process.runs.set_deferred(now, waiting.attempt, false);
            }
        }
    }

    pub(super) fn feed(&mut self, run: RunKey, event: Event) {
        let told = format!("{event:?}");
        if let Err(refused) = self.process.as_mut().unwrap().runs.feed(self.now, run, event) {
            self.tell(|| format!("refused: {refused}: {told}"));
        }
    }

    pub(super) fn version_of(&self, facts: &RunFacts) -> Version {
        self.versions.iter().find(|version| version.hash == facts.dag_version).cloned().unwrap()
    }

    /// As `Driver::tell_previous`.
    pub(super) fn tell_previous(&mut self, run: RunKey) {
        let process = self.process.as_mut().unwrap();
        let Some(live) = process.runs.live.get(&run) else { return };
        if !live.machine.plan().depends_on_past() {
            return;
        }
        let (facts, dag) = (Arc::clone(live.machine.facts()), Arc::clone(live.machine.plan().dag()));
        let before = |other: &RunFacts| {
            let counts = other.dag_id == facts.dag_id && counts_as_previous(&dag, other.run_type);
            other.logical_date.filter(|at| counts && Some(*at) < facts.logical_date).map(|at| (at, other.key))
        };
        let stored = self.database.runs.values().map(|run| &run.facts);
        let living = process.runs.live.values().map(|live| live.machine.facts().as_ref());
        let waiting = process.runs.waiting.values().map(|waiting| waiting.facts.as_ref());
        let previous = match stored.chain(living).chain(waiting).filter_map(before).max() {
            None => PreviousRun::None,
            Some((_, key)) => {
                if process.runs.live.contains_key(&key) || process.runs.waiting.contains_key(&key) {
                    process.runs.depends(run, key);
                }
                process.runs.as_previous(key).unwrap_or_else(|| {
                    let rows = self.database.snapshots(key).into_iter();
                    PreviousRun::Tasks(rows.map(|row| (row.task, row.map_index, row.state.name())).collect())
                })
            }
        };
        self.feed(run, Event::PreviousRun(previous));
    }

    /// As `Driver::turn`, with faults.
    pub(super) fn turn(&mut self) {
        let fault = match (self.faults, self.dice.below(100)) {
            (true, 0..=1) => Fault::CrashBeforeCommit,
            (true, 2..=3) => Fault::CrashAfterCommit,
            (true, 4..=5) => Fault::AnswerLost,
            _ => Fault::None,
        };
        let mut work = Work::default();
        let most = self.dice.below(6);
        let process = self.process.as_mut().unwrap();
        while work.messages.len() <= most
            && let Ok(message) = process.desk.inbox.try_recv()
        {
            work.messages.push(message);
        }
        let mut lost = fault == Fault::AnswerLost;
        loop {
            let answers = self.decide(&work);
            if fault == Fault::CrashBeforeCommit {
                return self.crash("before a commit");
            }
            let process = self.process.as_mut().unwrap();
            let outcome = self.database.commit(&process.runs.outbox.batch);
            let stale = match outcome {
                Ok(()) if lost && !process.runs.outbox.batch.is_empty() => {
                    self.tell(|| "the answer of a commit is lost".to_owned());
                    true
                }
                Ok(()) => false,
                Err(StoreError::RunExists { .. }) => true,
                Err(error) => panic!("nobody else writes, so no row may have changed: {error}"),
            };
            if stale {
                lost = false;
                self.restore();
                self.forget_done();
                continue;
            }
            if fault == Fault::CrashAfterCommit {
                self.forget_done();
                return self.crash("after a commit");
            }
            let process = self.process.as_mut().unwrap();
            process.runs.publish(&mut process.resuming, &process.desk, work, &answers);
            self.forget_done();
            self.hand_out();
            return;
        }
    }

    /// Commands whose row says that they are done are not carried out again.
    fn forget_done(&mut self) {
        let done = &self.database.commands_done;
        self.wants.retain(|(id, _)| !done.contains(id));
    }

    /// As `Driver::decide`.
    fn decide(&mut self, work: &Work) -> Vec<crate::turn::Answer> {
        let now = self.now;
        let process = self.process.as_mut().unwrap();
        let answers = work.messages.iter().map(|message| process.runs.hear(now, message)).collect();
        process.runs.fire_timers(now);
        for (id, want) in self.wants.clone() {
            self.carry_out(want);
            let done = CommandDone { id, done_at: now, result: json!({}) };
            self.process.as_mut().unwrap().runs.outbox.batch.commands_done.push(done);
        }
        for _ in 0..50 {
            self.process.as_mut().unwrap().runs.release_ended();
            self.start_waiting_runs();
            if self.process.as_mut().unwrap().runs.ended.is_empty() {
                break;
            }
        }
        let attempts = &mut self.attempts;
        let mut next = || {
            *attempts += 1;
            AttemptId(*attempts)
        };
        self.process.as_mut().unwrap().runs.admit(now, PARALLELISM, &mut next);
        answers
    }

    fn start_waiting_runs(&mut self) {
        let process = self.process.as_mut().unwrap();
        process.runs.places_changed = false;
        let queued: Vec<_> = process.runs.waiting.values().map(|waiting| waiting.place.clone()).collect();
        for run in runs_to_start(self.now, &queued, &process.runs.running) {
            let process = self.process.as_mut().unwrap();
            let Some(waiting) = process.runs.waiting.remove(&run) else { continue };
            if waiting.tasks == Tasks::InMemory {
                self.tell_previous(run);
                self.feed(run, Event::Start);
                continue;
            }
            let rows = match waiting.tasks {
                Tasks::Fresh | Tasks::InMemory => Vec::new(),
                Tasks::InDatabase => self.database.snapshots(run),
            };
            let plan = self.version_of(&waiting.facts).plan;
            let machine = RunMachine::restore(plan, Arc::clone(&waiting.facts), RunState::Queued, None, None, rows);
            self.process.as_mut().unwrap().runs.adopt(self.now, machine, PathBuf::new());
            self.tell_previous(run);
            self.feed(run, Event::Start);
        }
    }

    /// Claims go to workers, and cancelled attempts stop.
    fn hand_out(&mut self) {
        let process = self.process.as_mut().unwrap();
        while let Ok(claim) = process.claims.try_recv() {
            let known = self.database.attempts.get(&claim.attempt);
            assert!(known.is_some(), "attempt {} was handed out before it was durable", claim.attempt);
            process.workers.push(Worker { claim, stage: Stage::Claimed });
        }
        while let Ok(cancelled) = process.cancellations.try_recv() {
            process.workers.retain(|worker| worker.claim.attempt != cancelled.attempt);
        }
        process.workers.retain(|worker| !matches!(worker.stage, Stage::Over));
    }

    /// One worker does one thing.
    pub(super) fn work(&mut self) {
        let process = self.process.as_mut().unwrap();
        if process.workers.is_empty() {
            return;
        }
        let at = self.dice.below(process.workers.len());
        let worker = &mut process.workers[at];
        let database = &mut self.database;
        let mut save = |claim: &Claim| database.save_checkpoint(claim.attempt, &claim.key, claim.generation);
        let step = worker.step(&mut self.dice, self.now, &mut save);
        let name = format!("{} {}[{}]", worker.claim.attempt, worker.claim.key.task, worker.claim.key.map_index);
        match step {
            Step::Waits => {}
            Step::Did(message) => {
                let told = format!("{name}: {message:?}");
                if let Some(message) = message {
                    let _ = process.inbox.send(message);
                }
                self.tell(|| told);
            }
            Step::Acknowledged(report, taken) => {
                let outcome = self.database.attempts.get(&report.attempt).and_then(|attempt| attempt.outcome);
                assert!(
                    taken == Taken::Fenced || outcome.is_some(),
                    "the report of {name} was acknowledged and is not durable"
                );
                self.tell(|| format!("{name}: {taken:?}"));
            }
        }
    }
}

/// A DAG of up to six tasks.
pub(super) fn random_dag(dice: &mut Dice, number: usize) -> Dag {
    let shape = |dice: &mut Dice| -> Shape {
        (dice.next(), dice.below(26), u32::try_from(dice.below(3)).unwrap(), u32::try_from(dice.next() >> 32).unwrap())
    };
    let count = 1 + dice.below(6);
    let shapes: Vec<Shape> = (0..count).map(|_| shape(dice)).collect();
    let mut dag = dag_of(&shapes, u32::try_from(dice.below(10)).unwrap());
    dag.dag_id = format!("d{number}").into();
    dag.max_active_runs = u32::try_from(1 + dice.below(2)).unwrap();
    for task in &mut dag.tasks {
        if dice.percent(30) {
            "narrow".clone_into(&mut task.pool);
        }
    }
    dag
}

fn random_version(dice: &mut Dice, number: usize) -> Version {
    let plan = Plan::new(Arc::new(random_dag(dice, number)));
    Version { plan: Arc::new(plan), hash: format!("v{number}"), file: PathBuf::new() }
}
