//! The machines of a simulation, and what has been seen of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;
use serde_json::{Map, Value};
use windrose_core::asset::Outlet;
use windrose_core::attempt::AttemptOutcome;
use windrose_core::catalog::OperatorKind;
use windrose_core::cause::Cause;
use windrose_core::ids::{AttemptId, RunKey, TaskId, TaskInstanceKey};
use windrose_core::mapping::MappingError;
use windrose_core::outcome::{Outcome, Report, Routing, XCom};
use windrose_core::run::RunFacts;
use windrose_core::run_state::RunType;
use windrose_core::task_instance::TaskChange;
use windrose_core::task_state::{FinalState, TaskState, TaskStateName};
use windrose_core::time::Timestamp;

use super::SimPool;
use super::attempts::{SimAttempt, Watch};
use super::critical_path::critical_path;
use super::outcomes::{AttemptWord, Mode, Outcomes, Returns, RunScript, Span, TaskScript};
use super::pool_use::pool_use;
use super::report::{SimEvent, SimReport, SimRun, SimTask, SimTimeline};
use crate::admission::Admission;
use crate::effect::Effect;
use crate::event::Event;
use crate::past::{PastNews, PreviousRun, counts_as_previous};
use crate::plan::Plan;
use crate::run_machine::RunMachine;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// 2024-01-01T00:00:00Z: the first run's logical date. Any other would do.
const FIRST_DATE: Timestamp = Timestamp::from_micros(1_704_067_200_000_000);

/// All runs of a simulation.
pub(super) struct Stage {
    pub(super) plan: Arc<Plan>,
    pub(super) admission: Admission,
    pub(super) runs: Vec<Player>,
    outcomes: Outcomes,
    pools: IndexMap<String, i64>,
    watch: Watch,
    attempts: u128,
}

/// One run and what was seen of it.
pub(super) struct Player {
    pub(super) machine: RunMachine,
    script: RunScript,
    /// The run whose `depends_on_past` looks at this one, and so on.
    previous: Option<usize>,
    pub(super) running: Vec<Attempt>,
    ready_at: HashMap<TaskInstanceKey, u64>,
    received: HashMap<TaskInstanceKey, Map<String, Value>>,
    returned: HashMap<TaskInstanceKey, Value>,
    /// What mapped tasks read of it: what a task returned, or the list of what its instances returned.
    values: HashMap<TaskId, Value>,
    ended_at: Option<u64>,
    events: Vec<SimEvent>,
}

/// An attempt that runs.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) key: TaskInstanceKey,
    /// In the DAG file; attempts report in this order, and by map index.
    pub(super) position: usize,
    pub(super) attempt: AttemptId,
    pub(super) started: Timestamp,
    /// In the driver's own unit.
    pub(super) ends: u64,
}

impl Stage {
    pub(super) fn new(plan: Arc<Plan>, outcomes: &Outcomes, pools: &[SimPool]) -> Self {
        let mut slots: IndexMap<String, i64> = plan.dag().tasks.iter().map(|task| (task.pool.clone(), -1)).collect();
        slots.extend(outcomes.pools.clone());
        let mut admission = Admission::new();
        for (pool, slots) in &slots {
            admission.set_pool(pool, *slots, false);
        }
        for pool in pools {
            admission.set_pool(&pool.name, pool.slots, pool.include_deferred);
            slots.insert(pool.name.clone(), pool.slots);
        }
        let runs = (0..).zip(&outcomes.runs).map(|(at, script)| player(&plan, &outcomes.runs, at, script)).collect();
        let outcomes = outcomes.clone();
        Self { plan, admission, runs, outcomes, pools: slots, watch: Watch::default(), attempts: 0 }
    }

    /// Starts a run and tells it about the one before.
    pub(super) fn start(&mut self, run: usize, now: Timestamp) {
        let previous = self.runs[run].previous.map_or(PreviousRun::None, |p| {
            let rows = self.runs[p].machine.tasks().iter();
            PreviousRun::Tasks(rows.map(|row| (row.task.clone(), row.map_index, row.state.name())).collect())
        });
        let machine = &mut self.runs[run].machine;
        for event in [Event::PreviousRun(previous), Event::Start] {
            let taken = machine.apply(now, event);
            debug_assert!(taken.is_ok(), "a new run can be started");
        }
    }

    /// Carries out what a run wants, and tells the runs after it. `at` is the present in the driver's own unit.
    pub(super) fn drain(&mut self, run: usize, now: Timestamp, at: u64) {
        while let Some(effect) = self.runs[run].machine.poll_effect() {
            if self.admission.apply(&effect) {
                if let Effect::Offer(candidate) = &effect {
                    self.runs[run].ready(at, &candidate.key);
                    self.watch.offered(now, candidate);
                }
                continue;
            }
            match effect {
                Effect::CancelAttempt { attempt, .. } => self.runs[run].running.retain(|a| a.attempt != attempt),
                Effect::EndAttempt(end) => {
                    self.watch.ended(now, &end);
                    let word = end.outcome.as_str();
                    if end.outcome != AttemptOutcome::Cancelled {
                        self.runs[run].note(at, name_of(&end.key), word);
                    }
                }
                Effect::SetTask(change) => self.task_changed(run, now, at, &change),
                Effect::Expand { key, length, .. } => {
                    self.tell_later(run, now, &key.task, &PastNews::Expanded(length));
                }
                Effect::SetRun(change) if change.to.is_final() => self.runs[run].ended_at = Some(at),
                _ => {}
            }
        }
    }

    fn task_changed(&mut self, run: usize, now: Timestamp, at: u64, change: &TaskChange) {
        let id = change.key.task.as_str();
        let kind = self.plan.dag().position(id).map(|p| self.plan.dag().tasks[p].kind);
        if let (Some(OperatorKind::Empty), TaskState::Final(FinalState::Success)) = (kind, change.to) {
            self.runs[run].ready(at, &change.key);
        }
        if change.to.is_final() && change.from.attempt().is_none() {
            self.runs[run].note(at, name_of(&change.key), change.to.name().as_str());
        }
        let news = PastNews::State { map_index: change.key.map_index, state: change.to.name() };
        self.tell_later(run, now, &change.key.task, &news);
    }

    /// Tells the runs that look back at this one.
    fn tell_later(&mut self, run: usize, now: Timestamp, task: &TaskId, news: &PastNews) {
        for later in run + 1..self.runs.len() {
            if self.runs[later].previous == Some(run) {
                let event = Event::PreviousTask { task: task.clone(), news: news.clone() };
                let taken = self.runs[later].machine.apply(now, event);
                debug_assert!(taken.is_ok(), "news of the previous run is always taken");
            }
        }
    }

    /// Starts what admission lets through; returns how much that was.
    pub(super) fn admit(&mut self, now: Timestamp, at: u64, ends: impl Fn(Span) -> u64) -> usize {
        let admitted = self.admission.admit(now, usize::MAX);
        for one in &admitted {
            let Some(run) = self.runs.iter().position(|r| r.machine.facts().key == one.candidate.key.run) else {
                continue;
            };
            self.attempts += 1;
            let attempt = AttemptId(self.attempts);
            let key = one.candidate.key.clone();
            let player = &mut self.runs[run];
            for event in [Event::Dispatched { key: key.clone(), attempt }, Event::Started { key: key.clone(), attempt }]
            {
                let taken = player.machine.apply(now, event);
                debug_assert!(taken.is_ok(), "what was admitted can be dispatched");
            }
            self.watch.begun(now, &one.candidate, attempt);
            let span = self.outcomes.span(player.script(&key), &key);
            let position = one.candidate.position;
            player.running.push(Attempt { key, position, attempt, started: now, ends: ends(span) });
            self.drain(run, now, at);
        }
        self.watch.note_obstacles(&self.admission);
        admitted.len()
    }

    /// Reports an attempt as its script says; false if the run did not want to hear of it any more.
    pub(super) fn report_attempt(&mut self, run: usize, now: Timestamp, at: u64, attempt: Attempt) -> bool {
        let player = &mut self.runs[run];
        let (outcome, routing) = player.outcome(&attempt);
        let value = player.returned.get(&attempt.key).filter(|_| outcome == Outcome::Success);
        let xcoms = value.map(|value| XCom { key: "return_value".to_owned(), value: value.clone() });
        let key = attempt.key;
        let report = Report {
            attempt: attempt.attempt,
            outcome,
            xcoms: xcoms.into_iter().collect(),
            routing,
            assets: Vec::new(),
            started_at: attempt.started,
            ended_at: now,
        };
        player.running.retain(|a| a.attempt != attempt.attempt);
        let taken = player.machine.apply(now, Event::Ended { key, report }).is_ok();
        self.drain(run, now, at);
        taken
    }

    pub(super) fn report(self, by_clock: bool) -> SimReport {
        let dag_id = self.plan.dag().dag_id.clone();
        let timeline = |player: &Player| SimTimeline {
            attempts: Vec::new(),
            critical_path: Vec::new(),
            stuck: player.stuck(&self.watch),
            assets: player.assets(),
        };
        let mut timelines: Vec<_> = self.runs.iter().map(timeline).collect();
        for attempt in self.watch.into_attempts() {
            // Keys of runs count from 1.
            let run = usize::try_from(attempt.key.run.0 - 1).unwrap_or(0);
            timelines[run].attempts.push(attempt);
        }
        for timeline in &mut timelines {
            timeline.critical_path = critical_path(&self.plan, &timeline.attempts);
        }
        let attempts = one_after_another(&timelines, self.outcomes.mode);
        let pools = self.pools.iter().map(|(pool, slots)| pool_use(pool, *slots, &attempts, by_clock)).collect();
        SimReport { dag_id, by_clock, runs: self.runs.into_iter().map(Player::into_run).collect(), timelines, pools }
    }
}

/// The attempts of all runs on one clock: each of several sequential runs begins where the one before it ended.
fn one_after_another(timelines: &[SimTimeline], mode: Mode) -> Vec<SimAttempt> {
    let (mut all, mut shift) = (Vec::new(), Duration::ZERO);
    for timeline in timelines {
        let shifted = timeline.attempts.iter().cloned().map(|attempt| attempt.later(shift));
        all.extend(shifted);
        if mode == Mode::Sequential {
            let last = timeline.attempts.iter().map(|attempt| attempt.ended).max();
            shift += last.map_or(Duration::ZERO, |last| last.since(Timestamp::from_micros(0)));
        }
    }
    all
}

fn player(plan: &Arc<Plan>, scripts: &[RunScript], at: u32, script: &RunScript) -> Player {
    let date = FIRST_DATE.plus(DAY * at);
    let counts = |&earlier: &usize| counts_as_previous(plan.dag(), scripts[earlier].run_type);
    let facts = RunFacts {
        key: RunKey(i64::from(at) + 1),
        dag_id: plan.dag().dag_id.clone(),
        run_id: format!("{}__{date}", script.run_type.as_str()).into(),
        run_type: script.run_type,
        logical_date: Some(date),
        data_interval: None,
        run_after: date,
        conf: serde_json::Map::new(),
        dag_version: String::new(),
        triggered_by: "simulation".to_owned(),
    };
    Player {
        machine: RunMachine::new(Arc::clone(plan), Arc::new(facts)),
        script: script.clone(),
        previous: (0..at as usize).rev().find(counts),
        running: Vec::new(),
        ready_at: HashMap::new(),
        received: HashMap::new(),
        returned: HashMap::new(),
        values: HashMap::new(),
        ended_at: None,
        events: Vec::new(),
    }
}

impl Player {
    pub(super) fn run_type(&self) -> RunType {
        self.machine.facts().run_type
    }

    /// What is written for one instance goes before what is written for all.
    fn script(&self, key: &TaskInstanceKey) -> Option<&TaskScript> {
        self.script.script.get(&name_of(key)).or_else(|| self.script.script.get(key.task.as_str()))
    }

    fn ready(&mut self, at: u64, key: &TaskInstanceKey) {
        self.ready_at.entry(key.clone()).or_insert(at);
        self.note(at, name_of(key), "ready");
    }

    fn note(&mut self, at: u64, task: String, what: &'static str) {
        self.events.push(SimEvent { at, task, what });
    }

    /// What never began, and why.
    fn stuck(&self, watch: &Watch) -> IndexMap<String, String> {
        let run = self.machine.facts().key;
        let waiting = self.machine.tasks().iter().map(|row| row.key(run));
        waiting.filter_map(|key| Some((name_of(&key), watch.obstacle_of(&key)?.clone()))).collect()
    }

    /// What its successful tasks change, and the first that does.
    fn assets(&self) -> IndexMap<String, String> {
        let run = self.machine.facts().key;
        let mut assets = IndexMap::new();
        for row in self.machine.tasks().iter().filter(|row| row.state == TaskState::Final(FinalState::Success)) {
            let task =
                self.machine.plan().dag().position(row.task.as_str()).map(|p| &self.machine.plan().dag().tasks[p]);
            for outlet in task.into_iter().flat_map(|task| &task.outlets) {
                let asset = match outlet {
                    Outlet::Asset { uri, .. } => uri.to_string(),
                    Outlet::Alias { alias, uri: None, .. } => format!("alias {alias}"),
                    Outlet::Alias { uri: Some(uri), .. } => uri.clone(),
                };
                assets.entry(asset).or_insert_with(|| name_of(&row.key(run)));
            }
        }
        assets
    }

    /// What a task returned so far: for a mapped one, the list of what its instances returned.
    fn value_of(&self, task: &TaskId) -> Value {
        let mut values: Vec<(i32, &Value)> = self
            .returned
            .iter()
            .filter(|(key, _)| key.task == *task)
            .map(|(key, value)| (key.map_index, value))
            .collect();
        values.sort_by_key(|(index, _)| *index);
        match values.as_slice() {
            [(-1, value)] => (*value).clone(),
            _ => values.into_iter().map(|(_, value)| value.clone()).collect(),
        }
    }

    fn forget(&mut self, key: &TaskInstanceKey) {
        self.returned.remove(key);
        self.values.remove(&key.task);
    }

    /// The arguments of an instance.
    fn receive(&mut self, attempt: &Attempt) -> Result<(), MappingError> {
        let dag = Arc::clone(self.machine.plan().dag());
        let mut received = dag.tasks[attempt.position].parameters.clone();
        if let (Some(expansion), Ok(index)) =
            (&dag.tasks[attempt.position].expansion, usize::try_from(attempt.key.map_index))
        {
            for source in expansion.tasks() {
                if !self.values.contains_key(source) {
                    let value = self.value_of(source);
                    self.values.insert(source.clone(), value);
                }
            }
            let mapped = expansion.arguments(index, &|task| self.values.get(task).unwrap_or(&Value::Null))?;
            received.extend(mapped.into_iter().map(|argument| (argument.name, argument.value)));
        }
        let value = match self.script(&attempt.key).and_then(|script| script.returns.as_ref()) {
            None => Value::Array(vec![Value::from(1)]),
            Some(Returns::Value { value }) => value.clone(),
            Some(Returns::Argument(echo)) if echo == "echo" => Value::Object(received.clone()),
            Some(Returns::Argument(name)) => received.get(name).cloned().unwrap_or(Value::Null),
        };
        self.forget(&attempt.key);
        if !value.is_null() {
            self.returned.insert(attempt.key.clone(), value);
        }
        self.received.insert(attempt.key.clone(), received);
        Ok(())
    }

    /// What the code of a task does in this try.
    fn outcome(&mut self, attempt: &Attempt) -> (Outcome, Option<Routing>) {
        let failed = |message: String, retry| (Outcome::Failed { cause: Cause::Failed { message }, retry }, None);
        let dag = Arc::clone(self.machine.plan().dag());
        let task = &dag.tasks[attempt.position];
        let try_number = self.machine.task_instance(&attempt.key).map_or(1, |row| row.columns.try_number);
        let script = self.script(&attempt.key).cloned();
        let attempts = script.as_ref().map_or(&[][..], |s| &s.attempts);
        let at = (try_number.max(1) as usize - 1).min(attempts.len().saturating_sub(1));
        let says_so = || "The script says so.".to_owned();
        let word = attempts.get(at).unwrap_or(&AttemptWord::Success);
        if *word != AttemptWord::Success {
            self.forget(&attempt.key);
        }
        match word {
            AttemptWord::Fail => return failed(says_so(), true),
            AttemptWord::FailNoRetry => return failed(says_so(), false),
            AttemptWord::Skip => return (Outcome::Skipped { reason: says_so() }, None),
            AttemptWord::Success => {}
        }
        if let Err(error) = self.receive(attempt) {
            return failed(error.to_string(), true);
        }
        let follow = script.as_ref().and_then(|s| s.follow.as_ref()).map(|f| Routing::Follow { ids: f.ids() });
        let condition = script.as_ref().and_then(|s| s.condition).unwrap_or(true);
        let ignore = task.parameters.get("ignore_downstream_trigger_rules").and_then(Value::as_bool);
        let skip = (!condition).then(|| Routing::SkipDownstream { ignore_trigger_rules: ignore.unwrap_or(true) });
        (Outcome::Success, follow.or(skip))
    }

    fn into_run(self) -> SimRun {
        let task = |i: u32| {
            let key = self.machine.key(i);
            let row = &self.machine.tasks()[i as usize];
            let name = row.state.name();
            let task = SimTask {
                state: (name != TaskStateName::None).then_some(name),
                wave: self.ready_at.get(&key).copied(),
                tries: row.columns.try_number,
                received: self.received.get(&key).cloned(),
                returned: self.returned.get(&key).cloned(),
            };
            (name_of(&key), task)
        };
        let positions = 0..u32::try_from(self.machine.plan().dag().tasks.len()).unwrap_or(u32::MAX);
        SimRun {
            run_type: self.run_type(),
            state: self.machine.state(),
            end_wave: self.ended_at,
            tis: positions.flat_map(|p| self.machine.instances_of(p)).map(task).collect(),
            events: self.events,
        }
    }
}

/// A task instance as people write it: `load`, `load[3]`.
pub(super) fn name_of(key: &TaskInstanceKey) -> String {
    if key.map_index < 0 { key.task.to_string() } else { format!("{}[{}]", key.task, key.map_index) }
}
