//! One run, admission, workers and a database made of effects: everything around a machine, driven by numbers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use windrose_core::cause::Cause;
use windrose_core::dag::Dag;
use windrose_core::ids::{AttemptId, TaskId, TaskInstanceKey};
use windrose_core::outcome::{Outcome, Report, Routing, XCom};
use windrose_core::run_state::RunState;
use windrose_core::task_state::{TaskState, TaskStateName};
use windrose_core::time::Timestamp;
use windrose_engine::explain::Reason;
use windrose_engine::{
    Admission, Effect, Event, MarkedState, Plan, PreviousRun, RunMachine, RunSnapshot, Selection, TaskSnapshot,
};

pub(crate) const SLOTS: i64 = 3;

/// The rows that effects have written.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    pub(crate) snapshot: RunSnapshot,
    previous: PreviousRun,
}

impl Rows {
    fn new(plan: &Plan) -> Self {
        let dag = plan.dag();
        let fresh = |(p, map_index): (usize, i32)| fresh_row(dag.tasks[p].id.clone(), map_index, dag.tasks[p].retries);
        let tasks = plan.first_instances().map(fresh).collect();
        let snapshot = RunSnapshot { state: RunState::Queued, started_at: None, ended_at: None, tasks };
        Self { snapshot, previous: PreviousRun::None }
    }

    fn row(&mut self, key: &TaskInstanceKey) -> Option<&mut TaskSnapshot> {
        self.snapshot.tasks.iter_mut().find(|row| (&row.task, row.map_index) == (&key.task, key.map_index))
    }

    /// Rows have no order; the machine's is by position, then in the order of creation.
    pub(crate) fn sorted(mut snapshot: RunSnapshot) -> RunSnapshot {
        snapshot.tasks.sort_by(|a, b| (&a.task, a.map_index).cmp(&(&b.task, b.map_index)));
        snapshot
    }

    /// Writes what is to be written, each row at most once, guarded by the state before.
    fn write(&mut self, effects: &[Effect], dag: &Dag) {
        let retries_of = |task: &TaskId| dag.tasks[dag.position(task.as_str()).unwrap()].retries;
        let mut written = HashMap::new();
        for effect in effects {
            match effect {
                Effect::SetTask(change) => {
                    assert_eq!(written.insert(&change.key, ()), None, "one row is written once");
                    let row = self.row(&change.key).unwrap();
                    assert_eq!(row.state, change.from, "the guard of {} holds", change.key.task);
                    row.state = change.to;
                    row.columns = change.columns.clone();
                }
                Effect::Expand { key, from, length } => {
                    assert_eq!(self.row(key).unwrap().state, *from, "the guard of {} holds", key.task);
                    let retries = retries_of(&key.task);
                    self.snapshot.tasks.retain(|row| (&row.task, row.map_index) != (&key.task, key.map_index));
                    for index in 0..i32::try_from(*length).unwrap() {
                        self.snapshot.tasks.push(fresh_row(key.task.clone(), index, retries));
                    }
                }
                Effect::AddTask(key) => {
                    self.snapshot.tasks.push(fresh_row(key.task.clone(), key.map_index, retries_of(&key.task)));
                }
                Effect::SetRun(change) => {
                    assert_eq!(self.snapshot.state, change.from, "the guard of the run holds");
                    self.snapshot.state = change.to;
                    self.snapshot.started_at = change.started_at;
                    self.snapshot.ended_at = change.ended_at;
                }
                _ => {}
            }
        }
    }
}

fn fresh_row(task: TaskId, map_index: i32, retries: u32) -> TaskSnapshot {
    TaskSnapshot { map_index, ..TaskSnapshot::new(task, retries) }
}

/// A task instance as people write it.
fn name_of(task: &TaskId, map_index: i32) -> String {
    if map_index < 0 { task.to_string() } else { format!("{task}[{map_index}]") }
}

/// A machine in its world.
pub(crate) struct Harness {
    pub(crate) plan: Arc<Plan>,
    pub(crate) machine: RunMachine,
    pub(crate) admission: Admission,
    pub(crate) now: Timestamp,
    pub(crate) rows: Rows,
    /// What happened, with the rows as they were before it.
    pub(crate) history: Vec<(Timestamp, Event, Rows)>,
    pub(crate) effects: Vec<Effect>,
    attempts: u128,
}

impl Harness {
    pub(crate) fn new(dag: Dag) -> Self {
        let mut admission = Admission::new();
        for task in &dag.tasks {
            admission.set_pool(&task.pool, SLOTS, false);
        }
        let facts = super::facts_of(&dag, 1);
        let plan = Arc::new(Plan::new(Arc::new(dag)));
        let rows = Rows::new(&plan);
        Self {
            machine: RunMachine::new(Arc::clone(&plan), facts),
            plan,
            admission,
            now: Timestamp::from_micros(1_000_000),
            rows,
            history: Vec::new(),
            effects: Vec::new(),
            attempts: 0,
        }
    }

    /// A run of this DAG that has been started, and is the first one.
    pub(crate) fn started(dag: Dag) -> Self {
        let mut harness = Self::new(dag);
        harness.send(Event::PreviousRun(PreviousRun::None));
        harness.send(Event::Start);
        harness
    }

    pub(crate) fn key(&self, task: &str) -> TaskInstanceKey {
        let run = self.machine.facts().key;
        match task.strip_suffix(']').and_then(|rest| rest.rsplit_once('[')) {
            Some((task, index)) => TaskInstanceKey { run, task: task.into(), map_index: index.parse().unwrap() },
            None => TaskInstanceKey::unmapped(run, task.into()),
        }
    }

    pub(crate) fn state(&self, task: &str) -> TaskState {
        self.machine.task_instance(&self.key(task)).unwrap().state
    }

    pub(crate) fn name(&self, task: &str) -> &'static str {
        self.state(task).name().as_str()
    }

    /// Sends an event that must be taken, and checks what always holds.
    #[expect(clippy::needless_pass_by_value, reason = "tests make an event where they send it")]
    pub(crate) fn send(&mut self, event: Event) {
        self.take(&event);
        self.check();
    }

    fn take(&mut self, event: &Event) {
        let before = self.rows.clone();
        if let Event::PreviousRun(run) = event {
            self.rows.previous = run.clone();
        }
        self.history.push((self.now, event.clone(), before));
        if let Err(refused) = self.machine.handle(self.now, event.clone()) {
            panic!("{event:?} was refused: {refused}");
        }
        self.effects = std::iter::from_fn(|| self.machine.poll_effect()).collect();
        self.rows.write(&self.effects, self.plan.dag());
        for effect in &self.effects {
            self.admission.apply(effect);
        }
    }

    /// Lets time pass; what is due happens.
    pub(crate) fn pass_time(&mut self, by: Duration) {
        self.now = self.now.plus(by);
        self.send(Event::TimerDue);
    }

    /// Dispatches whatever admission lets through; returns the tasks.
    pub(crate) fn admit(&mut self) -> Vec<String> {
        let admitted = self.admission.admit(self.now, usize::MAX);
        for one in &admitted {
            let key = one.candidate.key.clone();
            if one.resumed {
                let attempt = self.machine.task_instance(&key).unwrap().state.attempt().unwrap();
                self.take(&Event::Resumed { key, attempt });
            } else {
                self.attempts += 1;
                let attempt = AttemptId(self.attempts);
                self.take(&Event::Dispatched { key, attempt });
            }
        }
        // What was admitted is dispatched in one batch; between its events machine and admission differ.
        self.check();
        admitted.iter().map(|a| name_of(&a.candidate.key.task, a.candidate.key.map_index)).collect()
    }

    /// The lease under which a task is held.
    pub(crate) fn attempt(&self, task: &str) -> AttemptId {
        self.state(task).attempt().unwrap()
    }

    pub(crate) fn start(&mut self, task: &str) {
        let (key, attempt) = (self.key(task), self.attempt(task));
        self.send(Event::Started { key, attempt });
    }

    pub(crate) fn report(&mut self, task: &str, outcome: Outcome, routing: Option<Routing>) {
        let key = self.key(task);
        let report = self.report_of(task, outcome, routing);
        self.send(Event::Ended { key, report });
    }

    pub(crate) fn report_of(&self, task: &str, outcome: Outcome, routing: Option<Routing>) -> Report {
        let attempt = self.attempt(task);
        // Of one, two or no elements, by the attempt.
        let value = serde_json::Value::Array(vec![serde_json::Value::from(1); (attempt.0 % 3) as usize]);
        let is_source = self.plan.dag().tasks.iter().any(|t| t.expansion.is_some());
        let xcoms = is_source.then(|| XCom { key: "return_value".to_owned(), value }).into_iter().collect();
        Report { attempt, outcome, xcoms, routing, assets: vec![], started_at: self.now, ended_at: self.now }
    }

    /// Dispatches what can be, starts this task and ends it.
    pub(crate) fn run(&mut self, task: &str, outcome: Outcome) {
        self.admit();
        self.start(task);
        self.report(task, outcome, None);
    }

    /// What must hold after every event.
    fn check(&self) {
        assert_eq!(
            Rows::sorted(self.rows.snapshot.clone()),
            Rows::sorted(self.machine.snapshot()),
            "the effects write what the machine is"
        );
        for row in self.machine.tasks() {
            let key = self.key(&name_of(&row.task, row.map_index));
            let waits = match row.state {
                TaskState::Scheduled => vec![true],
                // It may want to go on.
                TaskState::Deferred(_) => vec![false, true],
                _ => vec![false],
            };
            assert!(waits.contains(&self.admission.is_waiting(&key)), "{} in {:?}", row.task, row.state);
            assert!(
                self.machine.state() != RunState::Running || row.state.is_final() || self.is_woken(row),
                "nothing wakes {} in state {:?}: {:?}",
                row.task,
                row.state,
                self.machine.explain(row.task.as_str(), row.map_index)
            );
        }
        let held = self.machine.tasks().iter().filter(|row| row.state.attempt().is_some()).count();
        assert_eq!(self.admission.held(), held, "slots are held by attempts");
        for task in &self.plan.dag().tasks {
            let (used, _) = self.admission.pool_use(&task.pool).unwrap();
            assert!((0..=SLOTS).contains(&used), "pool {} has {used} slots in use", task.pool);
        }
    }

    /// Whether something that will come moves this task instance on.
    fn is_woken(&self, row: &TaskSnapshot) -> bool {
        let timer = self.machine.poll_timeout();
        self.machine.explain(row.task.as_str(), row.map_index).iter().any(|reason| match reason {
            Reason::Upstream { tasks, .. } | Reason::Setups { tasks } | Reason::InScope { tasks } => !tasks.is_empty(),
            Reason::Retry { at } | Reason::Reschedule { at } => timer.is_some_and(|t| t <= *at),
            Reason::Admission => self.admission.is_waiting(&self.key(&name_of(&row.task, row.map_index))),
            Reason::Queued { .. } | Reason::Running { .. } | Reason::Deferred { .. } => true,
            Reason::PreviousRun { .. } => true,
            Reason::RunQueued | Reason::RunEnded { .. } | Reason::Final { .. } | Reason::ToBeJudged => false,
        })
    }

    /// One step, chosen by a number among what can happen now.
    pub(crate) fn step(&mut self, choice: u32) {
        let (what, which) = (choice % 24, choice / 24);
        match what {
            0..=3 => drop(self.admit()),
            4..=5 => self.pass_time(Duration::from_secs(u64::from(which % 400))),
            6 if self.machine.state() == RunState::Queued => self.send(Event::Start),
            6 => self.send_any_past(which),
            7 if which % 4 == 0 => self.clear_any(which / 4),
            8 if which % 4 == 0 => self.mark_any(which / 4),
            9 if which % 16 == 0 && !self.machine.state().is_final() => {
                self.send(Event::Cancel { by: "ann".to_owned() });
            }
            10..=11 => self.start_any(which),
            12 => self.defer_any(which),
            13 => self.lose_any(which),
            _ => self.end_any(what, which),
        }
    }

    fn in_state(&self, name: TaskStateName, which: u32) -> Option<String> {
        let found: Vec<_> = self.machine.tasks().iter().filter(|row| row.state.name() == name).collect();
        (!found.is_empty()).then(|| {
            let row = found[which as usize % found.len()];
            name_of(&row.task, row.map_index)
        })
    }

    fn any_task(&self, which: u32) -> TaskId {
        let tasks = self.machine.tasks();
        tasks[which as usize % tasks.len()].task.clone()
    }

    fn send_any_past(&mut self, which: u32) {
        let states = [TaskStateName::Success, TaskStateName::Failed, TaskStateName::Skipped];
        let task = |(i, row): (usize, &TaskSnapshot)| {
            (row.task.clone(), row.map_index, states[(which as usize >> (i % 8)) % 3])
        };
        let tasks = self.machine.tasks().iter().enumerate().map(task).collect();
        self.send(Event::PreviousRun(PreviousRun::Tasks(tasks)));
    }

    fn clear_any(&mut self, which: u32) {
        let selection = Selection {
            tasks: vec![self.any_task(which)],
            downstream: which & 1 == 0,
            upstream: which & 6 == 6,
            only_failed: which & 24 == 24,
            only_running: which & 96 == 96,
            map_indexes: Vec::new(),
        };
        self.send(Event::Clear { selection, by: "ann".to_owned() });
    }

    fn mark_any(&mut self, which: u32) {
        let state = [MarkedState::Success, MarkedState::Failed, MarkedState::Skipped][which as usize % 3];
        let tasks = self.machine.tasks();
        let row = &tasks[(which / 3) as usize % tasks.len()];
        let key = self.key(&name_of(&row.task, row.map_index));
        self.send(Event::MarkTask { key, state, by: "ann".to_owned() });
    }

    fn start_any(&mut self, which: u32) {
        if let Some(task) = self.in_state(TaskStateName::Queued, which) {
            self.start(&task);
        }
    }

    fn defer_any(&mut self, which: u32) {
        if let Some(task) = self.in_state(TaskStateName::Deferred, which).filter(|_| which & 1 == 0) {
            let key = self.key(&task);
            self.admission.set_deferred(&key, false);
            // It goes on once admission lets it; until then it is deferred.
            self.admit();
        } else if let Some(task) = self.in_state(TaskStateName::Running, which) {
            let (key, attempt) = (self.key(&task), self.attempt(&task));
            self.send(Event::Deferred { key, attempt });
        }
    }

    fn lose_any(&mut self, which: u32) {
        let names = [TaskStateName::Queued, TaskStateName::Running, TaskStateName::Deferred];
        if let Some(task) = self.in_state(names[which as usize % 3], which / 3) {
            let (key, attempt) = (self.key(&task), self.attempt(&task));
            self.send(Event::Lost { key, attempt, detail: "gone".to_owned(), reattach: which & 1 == 0 });
        }
    }

    fn end_any(&mut self, what: u32, which: u32) {
        let Some(task) = self.in_state(TaskStateName::Running, which) else { return };
        let (outcome, routing) = self.any_end(what, which);
        self.report(&task, outcome, routing);
    }

    /// How a task may end, by numbers: well, mostly.
    pub(crate) fn any_end(&self, what: u32, which: u32) -> (Outcome, Option<Routing>) {
        let failed = |retry| Outcome::Failed { cause: Cause::Failed { message: "no".to_owned() }, retry };
        let success = (Outcome::Success, None);
        match what {
            14 | 15 => (failed(true), None),
            16 => (failed(false), None),
            17 => (Outcome::Skipped { reason: "so".to_owned() }, None),
            18 => (Outcome::Reschedule { at: self.now.plus(Duration::from_secs(u64::from(which % 60))) }, None),
            19 => (Outcome::Success, Some(Routing::SkipDownstream { ignore_trigger_rules: which & 1 == 0 })),
            20 => (Outcome::Success, Some(Routing::Follow { ids: vec![self.any_task(which)] })),
            21 => (Outcome::Success, Some(Routing::Follow { ids: vec![] })),
            _ => success,
        }
    }

    /// A machine like this one, made from its rows.
    pub(crate) fn copy_of_machine(&self) -> RunMachine {
        let (snapshot, facts) = (self.rows.snapshot.clone(), Arc::clone(self.machine.facts()));
        let plan = Arc::clone(&self.plan);
        let (started, ended) = (snapshot.started_at, snapshot.ended_at);
        let mut machine = RunMachine::restore(plan, facts, snapshot.state, started, ended, snapshot.tasks);
        machine.handle(self.now, Event::PreviousRun(self.rows.previous.clone())).unwrap();
        machine
    }

    /// Restarts from the rows before an event, sends that event and all that came after it, and returns what came of it.
    pub(crate) fn restarted_before(&self, at: usize) -> RunSnapshot {
        let (_, _, rows) = &self.history[at];
        let now = if at == 0 { Timestamp::from_micros(0) } else { self.history[at - 1].0 };
        let snapshot = rows.snapshot.clone();
        let facts = Arc::clone(self.machine.facts());
        let plan = Arc::clone(&self.plan);
        let (started, ended) = (snapshot.started_at, snapshot.ended_at);
        let mut machine = RunMachine::restore(plan, facts, snapshot.state, started, ended, snapshot.tasks);
        machine.handle(now, Event::PreviousRun(rows.previous.clone())).unwrap();
        for (now, event, _) in &self.history[at..] {
            machine.handle(*now, event.clone()).unwrap();
        }
        Rows::sorted(machine.snapshot())
    }
}
