//! The machines of a simulation, and what has been seen of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use windrose_core::attempt::AttemptOutcome;
use windrose_core::catalog::OperatorKind;
use windrose_core::cause::Cause;
use windrose_core::dag::Dag;
use windrose_core::ids::{AttemptId, RunKey};
use windrose_core::outcome::{Outcome, Report, Routing};
use windrose_core::run::RunFacts;
use windrose_core::run_state::RunType;
use windrose_core::task_instance::TaskChange;
use windrose_core::task_state::{FinalState, TaskState, TaskStateName};
use windrose_core::time::Timestamp;

use super::SimPool;
use super::outcomes::{AttemptWord, Outcomes, RunScript, Span, TaskScript};
use super::report::{SimEvent, SimReport, SimRun, SimTask};
use crate::admission::Admission;
use crate::effect::Effect;
use crate::event::Event;
use crate::past::{PreviousRun, counts_as_previous};
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
    attempts: u128,
}

/// One run and what was seen of it.
pub(super) struct Player {
    pub(super) machine: RunMachine,
    script: RunScript,
    /// The run whose `depends_on_past` looks at this one, and so on.
    previous: Option<usize>,
    pub(super) running: Vec<Attempt>,
    ready_at: HashMap<u32, u64>,
    ended_at: Option<u64>,
    events: Vec<SimEvent>,
}

/// An attempt that runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) position: u32,
    pub(super) attempt: AttemptId,
    pub(super) started: Timestamp,
    /// In the driver's own unit.
    pub(super) ends: u64,
}

impl Stage {
    pub(super) fn new(dag: Arc<Dag>, outcomes: &Outcomes, pools: &[SimPool]) -> Self {
        let mut admission = Admission::new();
        for task in &dag.tasks {
            admission.set_pool(&task.pool, -1, false);
        }
        for pool in pools {
            admission.set_pool(&pool.name, pool.slots, pool.include_deferred);
        }
        let plan = Arc::new(Plan::new(dag));
        let runs = (0..).zip(&outcomes.runs).map(|(at, script)| player(&plan, &outcomes.runs, at, script)).collect();
        Self { plan, admission, runs, attempts: 0 }
    }

    /// Starts a run and tells it about the one before.
    pub(super) fn start(&mut self, run: usize, now: Timestamp) {
        let previous = self.runs[run].previous.map_or(PreviousRun::None, |p| {
            let rows = self.runs[p].machine.tasks().iter();
            PreviousRun::Tasks(rows.map(|row| (row.task.clone(), row.state.name())).collect())
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
                    self.runs[run].ready(at, candidate.position);
                }
                continue;
            }
            match effect {
                Effect::CancelAttempt { attempt, .. } => self.runs[run].running.retain(|a| a.attempt != attempt),
                Effect::EndAttempt(end) => {
                    let word = end.outcome.as_str();
                    if end.outcome != AttemptOutcome::Cancelled {
                        self.runs[run].note(at, end.key.task.as_str(), word);
                    }
                }
                Effect::SetTask(change) => self.task_changed(run, now, at, &change),
                Effect::SetRun(change) if change.to.is_final() => self.runs[run].ended_at = Some(at),
                _ => {}
            }
        }
    }

    fn task_changed(&mut self, run: usize, now: Timestamp, at: u64, change: &TaskChange) {
        let id = change.key.task.as_str();
        let kind = self.plan.dag().position(id).map(|p| (p, self.plan.dag().tasks[p].kind));
        if let (Some((p, OperatorKind::Empty)), TaskState::Final(FinalState::Success)) = (kind, change.to) {
            self.runs[run].ready(at, p);
        }
        if change.to.is_final() && change.from.attempt().is_none() {
            self.runs[run].note(at, id, change.to.name().as_str());
        }
        for later in run + 1..self.runs.len() {
            if self.runs[later].previous == Some(run) {
                let event = Event::PreviousTask { task: change.key.task.clone(), state: change.to.name() };
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
            let span = player.script(key.task.as_str()).and_then(|s| s.duration).unwrap_or(Span::Waves(1));
            let position = u32::try_from(one.candidate.position).unwrap_or(u32::MAX);
            player.running.push(Attempt { position, attempt, started: now, ends: ends(span) });
            self.drain(run, now, at);
        }
        admitted.len()
    }

    /// Reports an attempt as its script says; false if the run did not want to hear of it any more.
    pub(super) fn report_attempt(&mut self, run: usize, now: Timestamp, at: u64, attempt: Attempt) -> bool {
        let player = &mut self.runs[run];
        let row = &player.machine.tasks()[attempt.position as usize];
        let key = windrose_core::ids::TaskInstanceKey::unmapped(player.machine.facts().key, row.task.clone());
        let (outcome, routing) = player.outcome(attempt.position, row.columns.try_number);
        let report = Report {
            attempt: attempt.attempt,
            outcome,
            xcoms: vec![],
            routing,
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
        SimReport { dag_id, by_clock, runs: self.runs.into_iter().map(Player::into_run).collect() }
    }
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
        ended_at: None,
        events: Vec::new(),
    }
}

impl Player {
    pub(super) fn run_type(&self) -> RunType {
        self.machine.facts().run_type
    }

    fn script(&self, task: &str) -> Option<&TaskScript> {
        self.script.script.get(task)
    }

    fn ready(&mut self, at: u64, position: usize) {
        let task = self.machine.tasks()[position].task.clone();
        self.ready_at.entry(u32::try_from(position).unwrap_or(u32::MAX)).or_insert(at);
        self.note(at, task.as_str(), "ready");
    }

    fn note(&mut self, at: u64, task: &str, what: &'static str) {
        self.events.push(SimEvent { at, task: task.to_owned(), what });
    }

    /// What the code of a task does in this try.
    fn outcome(&self, position: u32, try_number: u32) -> (Outcome, Option<Routing>) {
        let task = &self.machine.plan().dag().tasks[position as usize];
        let script = self.script(task.id.as_str());
        let attempts = script.map_or(&[][..], |s| &s.attempts);
        let at = (try_number.max(1) as usize - 1).min(attempts.len().saturating_sub(1));
        let failed =
            |retry| Outcome::Failed { cause: Cause::Failed { message: "The script says so.".to_owned() }, retry };
        match attempts.get(at).unwrap_or(&AttemptWord::Success) {
            AttemptWord::Fail => return (failed(true), None),
            AttemptWord::FailNoRetry => return (failed(false), None),
            AttemptWord::Skip => return (Outcome::Skipped { reason: "The script says so.".to_owned() }, None),
            AttemptWord::Success => {}
        }
        let follow = script.and_then(|s| s.follow.as_ref()).map(|f| Routing::Follow { ids: f.ids() });
        let condition = script.and_then(|s| s.condition).unwrap_or(true);
        let ignore = task.parameters.get("ignore_downstream_trigger_rules").and_then(serde_json::Value::as_bool);
        let skip = (!condition).then(|| Routing::SkipDownstream { ignore_trigger_rules: ignore.unwrap_or(true) });
        (Outcome::Success, follow.or(skip))
    }

    fn into_run(self) -> SimRun {
        let task = |(p, row): (u32, &crate::snapshot::TaskSnapshot)| {
            let name = row.state.name();
            let state = (name != TaskStateName::None).then_some(name);
            (
                row.task.to_string(),
                SimTask { state, wave: self.ready_at.get(&p).copied(), tries: row.columns.try_number },
            )
        };
        SimRun {
            run_type: self.run_type(),
            state: self.machine.state(),
            end_wave: self.ended_at,
            tis: (0..).zip(self.machine.tasks()).map(task).collect(),
            events: self.events,
        }
    }
}
