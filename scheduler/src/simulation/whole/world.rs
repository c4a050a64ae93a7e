//! A scheduler process with its workers, and the database and the DAG files that outlive it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use windrose_core::catalog::{Catalog, OperatorKind, ParameterProblem};
use windrose_core::claim::Claim;
use windrose_core::dag_file::{DagSource, Defaults, parse};
use windrose_core::ids::DagId;
use windrose_core::time::{Clock, Timestamp};
use windrose_store::{EncryptionKey, PoolRow, Store, Topic};

use super::super::dice::Dice;
use super::super::worker::{Stage, Step, Worker};
use super::super::world::random_dag;
use super::dag_text::dag_text;
use crate::drive::Driver;
use crate::handle::{Handle, Taken, connect};
use crate::turn::Work;
use crate::{BundleOptions, Options};

/// 2026-01-01 at noon.
pub(super) const BEGIN: i64 = 1_767_268_800_000_000;
const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
/// Some DAGs have runs of their own, which end.
const SCHEDULE: &str = "schedule = { every = \"5m\" }\nstart_date = 2026-01-01T12:00:00Z\n\
                        end_date = 2026-01-01T12:10:00Z\ncatchup = true";

struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

struct OneOperator;

impl Catalog for OneOperator {
    fn kind(&self, operator: &str) -> Option<OperatorKind> {
        (operator == "work").then_some(OperatorKind::Work)
    }

    fn names(&self) -> Vec<&'static str> {
        vec!["work"]
    }

    fn check(&self, _: &str, _: &Map<String, Value>) -> Vec<ParameterProblem> {
        Vec::new()
    }

    fn template_fields(&self, _: &str) -> &'static [&'static str] {
        &[]
    }
}

/// Everything in it is gone when it crashes.
pub(super) struct Process {
    pub(super) driver: Driver,
    handle: Handle,
    pub(super) workers: Vec<Worker>,
}

pub(super) struct World {
    pub(super) dice: Dice,
    clock: Arc<TestClock>,
    pub(super) runtime: Arc<Runtime>,
    pub(super) store: Store,
    folder: TempDir,
    pub(super) dags: Vec<DagId>,
    pub(super) process: Option<Process>,
    pub(super) wanted: u32,
    pub(super) story: Vec<String>,
    faults: bool,
    /// Turns in a row in which nothing happened.
    idle: u32,
    /// Somebody has changed pools or paused DAGs, and nobody has told the scheduler yet.
    pub(super) settings_changed: bool,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::Builder::new().prefix("windrose-history-").tempdir().unwrap();
        std::fs::create_dir(folder.path().join("dags")).unwrap();
        let count = 1 + dice.below(2);
        let dags: Vec<DagId> = (0..count).map(|number| write_dag(&mut dice, folder.path(), number)).collect();
        let url = format!("sqlite:{}", folder.path().join("windrose.db").display());
        let key = EncryptionKey::from_base64(KEY).unwrap();
        let store = runtime.block_on(Store::open(&url, key)).unwrap();
        let mut world = Self {
            dice,
            clock: Arc::new(TestClock(AtomicI64::new(BEGIN))),
            runtime: Arc::new(runtime),
            store,
            folder,
            dags,
            process: None,
            wanted: 0,
            story: Vec::new(),
            faults: true,
            idle: 0,
            settings_changed: false,
        };
        world.set_pools(3, 2);
        world
    }

    pub(super) fn set_pools(&mut self, default: i32, narrow: i32) {
        for (name, slots, include_deferred) in [("default_pool", default, false), ("narrow", narrow, true)] {
            let pool = PoolRow { name: name.to_owned(), slots, description: None, include_deferred };
            self.runtime.block_on(self.store.put_pool(&pool)).unwrap();
        }
        self.settings_changed = true;
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn tell(&mut self, what: &str) {
        let line = format!("{} {what}", self.now());
        self.story.push(line);
    }

    /// One step of whoever the dice choose.
    pub(super) fn step(&mut self) {
        if self.process.is_none() {
            return self.start();
        }
        match self.dice.below(100) {
            0..=44 => self.turn(),
            45..=84 => self.work(),
            85..=92 => self.pass_time(),
            93..=97 if self.faults => self.want_something(),
            98..=99 if self.faults && self.dice.percent(40) => self.crash("between two steps"),
            _ => self.work(),
        }
    }

    fn pass_time(&mut self) {
        let seconds = [1, 10, 60, 300][self.dice.below(4)];
        self.clock.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
        self.idle = 0;
    }

    fn crash(&mut self, when: &str) {
        self.tell(&format!("CRASH {when}"));
        self.process = None;
    }

    fn start(&mut self) {
        let (handle, desk) = connect();
        let options = Options {
            bundles: vec![BundleOptions::Folder { name: "dags".into(), root: self.folder.path().join("dags") }],
            catalog: Arc::new(OneOperator),
            defaults: defaults(),
            parallelism: 4,
            queues: None,
            sweep_every: Duration::from_secs(30),
            sweep_caught: Arc::new(AtomicU64::new(0)),
        };
        let loaded = Driver::load(self.store.clone(), Arc::clone(&self.clock) as Arc<dyn Clock>, options, desk);
        let driver = Arc::clone(&self.runtime).block_on(loaded).unwrap();
        self.process = Some(Process { driver, handle, workers: Vec::new() });
        self.tell("a process starts");
        self.idle = 0;
    }

    /// A turn of the loop with what has arrived, or with a part of it, and with faults.
    pub(super) fn turn(&mut self) {
        let fault = if self.faults { self.dice.below(100) } else { 100 };
        let most = self.dice.below(6);
        let runtime = Arc::clone(&self.runtime);
        let Some(process) = &mut self.process else { return };
        let mut work = Work::default();
        while work.messages.len() <= most
            && let Ok(message) = process.driver.desk.inbox.try_recv()
        {
            work.messages.push(message);
        }
        work.commands = runtime.block_on(self.store.pending_commands()).unwrap();
        if std::mem::take(&mut self.settings_changed) {
            for topic in [Topic::Settings, Topic::Dags] {
                runtime.block_on(process.driver.woken(topic, &mut work)).unwrap();
            }
        }
        let busy = !work.messages.is_empty() || !work.commands.is_empty();
        if fault <= 1 {
            return self.crash("before a commit");
        }
        process.driver.loses_answer = (4..=5).contains(&fault);
        runtime.block_on(process.driver.turn(work)).unwrap();
        if fault > 3 && fault <= 5 && !process.driver.loses_answer {
            self.tell("the answer of a commit is lost");
        }
        if (2..=3).contains(&fault) {
            return self.crash("after a commit");
        }
        let handed_out = self.hand_out();
        self.idle = if busy || handed_out { 0 } else { self.idle + 1 };
        self.check();
    }

    /// Claims go to workers, and cancelled attempts stop. False if there was nothing.
    fn hand_out(&mut self) -> bool {
        let (runtime, store) = (Arc::clone(&self.runtime), self.store.clone());
        let Some(process) = &mut self.process else { return false };
        let mut any = false;
        let mut told = Vec::new();
        while let Ok(claim) = process.handle.claims.try_lock().unwrap().try_recv() {
            let attempts = runtime.block_on(store.attempts(&claim.key)).unwrap();
            let durable = attempts.iter().any(|row| row.attempt == claim.attempt && row.outcome.is_none());
            assert!(durable, "an attempt of {:?} was handed out before it was durable", claim.key);
            told.push(format!("{} is claimed", name_of(&claim)));
            process.workers.push(Worker { claim, stage: Stage::Claimed });
            any = true;
        }
        while let Ok(cancelled) = process.handle.cancellations.try_lock().unwrap().try_recv() {
            process.workers.retain(|worker| worker.claim.attempt != cancelled.attempt);
            any = true;
        }
        process.workers.retain(|worker| !matches!(worker.stage, Stage::Over));
        told.iter().for_each(|line| self.tell(line));
        any
    }

    /// One worker does one thing.
    fn work(&mut self) {
        let (runtime, store, now) = (Arc::clone(&self.runtime), self.store.clone(), self.now());
        let Some(process) = self.process.as_mut().filter(|process| !process.workers.is_empty()) else { return };
        let at = self.dice.below(process.workers.len());
        let worker = &mut process.workers[at];
        let mut save = |claim: &Claim| {
            let checkpoint = json!({});
            let saved = store.save_checkpoint(claim.attempt, &claim.key, claim.generation, &checkpoint, now);
            runtime.block_on(saved).is_ok()
        };
        let step = worker.step(&mut self.dice, now, &mut save);
        let name = name_of(&worker.claim);
        match step {
            Step::Waits => {}
            Step::Did(message) => {
                let said = message.is_some();
                if let Some(message) = message {
                    process.handle.tell(message);
                }
                self.tell(&format!("{name} {}", if said { "says something" } else { "goes on" }));
            }
            Step::Acknowledged(report, taken) => {
                let attempts = runtime.block_on(store.attempts(&worker.claim.key)).unwrap();
                let ended = attempts.iter().any(|row| row.attempt == report.attempt && row.outcome.is_some());
                assert!(taken == Taken::Fenced || ended, "the report of {name} was acknowledged and is not durable");
                self.tell(&format!("{name} is answered {taken:?}"));
            }
        }
    }

    /// No more faults, and nothing that keeps others waiting.
    pub(super) fn leave_in_peace(&mut self) {
        self.faults = false;
        self.set_pools(3, 2);
        for dag in self.dags.clone() {
            self.runtime.block_on(self.store.set_paused(&dag, false)).unwrap();
        }
        self.go_on_with_backfills();
    }

    /// Nothing is left that could happen by itself.
    pub(super) fn is_over(&mut self) -> bool {
        let nothing_waits = self.idle >= 3
            && self.runtime.block_on(self.store.pending_commands()).unwrap().is_empty()
            && self.process.as_ref().is_some_and(|process| {
                let driver = &process.driver;
                process.workers.is_empty() && driver.desk.inbox.is_empty() && driver.runs.next_timer().is_none()
            });
        nothing_waits && self.now().as_micros() > BEGIN + 3_600_000_000
    }
}

fn name_of(claim: &Claim) -> String {
    format!("{}[{}] of {} try {}", claim.key.task, claim.key.map_index, claim.run.run_id, claim.try_number)
}

fn defaults() -> Defaults {
    Defaults { dags_are_paused_at_creation: false, ..Defaults::default() }
}

/// The first random DAG that is one.
fn write_dag(dice: &mut Dice, folder: &std::path::Path, number: usize) -> DagId {
    loop {
        let dag = random_dag(dice, number);
        let schedule = if dice.percent(50) { SCHEDULE } else { "" };
        let text = dag_text(&dag, schedule);
        let path = format!("d{number}.toml");
        let source = DagSource { path: path.clone().into(), text: text.clone() };
        if parse(&source, &OneOperator, &defaults()).is_ok() {
            std::fs::write(folder.join("dags").join(path), text).unwrap();
            return dag.dag_id;
        }
    }
}
