//! One DAG run as a state machine. The contract is in the crate's documentation.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use indexmap::IndexMap;
use windrose_core::cause::Cause;
use windrose_core::ids::TaskInstanceKey;
use windrose_core::run::RunFacts;
use windrose_core::run_state::{RunEvent, RunState, RunType};
use windrose_core::task_instance::TaskChange;
use windrose_core::task_state::{FinalState, TaskState};
use windrose_core::time::Timestamp;

use crate::counters::UpstreamCounts;
use crate::effect::{BACKFILL_BEHIND, Candidate, Effect, RunChange};
use crate::event::{Event, Refused};
use crate::instances::Mapped;
use crate::past::Past;
use crate::plan::Plan;
use crate::snapshot::{RunSnapshot, TaskSnapshot};
use crate::timers::{Timer, Timers};

/// One DAG run.
///
/// It owns the states of the run's task instances; the database holds what [`RunMachine::poll_effect`] said. Every change
/// of state goes through [`windrose_core::task_state::next`] or [`windrose_core::run_state::next`].
#[derive(Debug)]
pub struct RunMachine {
    pub(crate) plan: Arc<Plan>,
    pub(crate) facts: Arc<RunFacts>,
    pub(crate) state: RunState,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    /// By instance.
    pub(crate) tasks: Vec<TaskSnapshot>,
    /// The position of each instance's task.
    pub(crate) positions: Vec<u32>,
    /// Mapped tasks by position.
    pub(crate) mapped: HashMap<u32, Mapped>,
    /// By position: when a task that others are mapped over last returned something.
    pub(crate) returned_at: HashMap<u32, Timestamp>,
    /// By position: all instances of a task wait for the same, but for what is mapped together with them.
    pub(crate) counts: Vec<UpstreamCounts>,
    /// What a task waits for because of a setup's scope; only tasks that do.
    pub(crate) scope_counts: HashMap<u32, UpstreamCounts>,
    /// By instance: the partners in its mapped group.
    pub(crate) group_counts: HashMap<u32, UpstreamCounts>,
    /// The same for what it waits for because of a setup's scope.
    pub(crate) group_scope_counts: HashMap<u32, UpstreamCounts>,
    /// How many branches directly above have decided against an instance.
    pub(crate) routed_away: Vec<u32>,
    /// How many task instances are not final.
    pub(crate) open: u32,
    /// How many of those are past state None: something outside moves them.
    pub(crate) moving: u32,
    /// To be judged in the next pass.
    pub(crate) dirty: Vec<u32>,
    pub(crate) is_dirty: Vec<bool>,
    /// Mapped tasks of which all instances are to be judged in the next pass.
    pub(crate) dirty_mapped: BTreeSet<u32>,
    pub(crate) past: Past,
    /// Ready but for the run before.
    pub(crate) blocked_by_past: BTreeSet<u32>,
    pub(crate) timers: Timers,
    pub(crate) effects: VecDeque<Effect>,
    /// Changed since the last drain.
    pub(crate) touched: IndexMap<u32, Touched>,
    pub(crate) run_before: Option<RunState>,
    pub(crate) work: u64,
}

/// What a task instance was before the changes that have not been drained yet.
#[derive(Debug)]
pub(crate) struct Touched {
    pub(crate) from: TaskState,
    pub(crate) cause: Option<Cause>,
}

impl RunMachine {
    /// A new run: queued, and every task instance in state None.
    #[must_use]
    pub fn new(plan: Arc<Plan>, facts: Arc<RunFacts>) -> Self {
        Self::restore(plan, facts, RunState::Queued, None, None, Vec::new())
    }

    /// A run as its rows say. Tasks without a row are in state None; rows of tasks that the DAG does not hold are left
    /// alone. What is ready or holds slots is reported to admission again by the first drain. Follow up with
    /// [`Event::PreviousRun`] if [`Plan::depends_on_past`], then with [`Event::TimerDue`].
    #[must_use]
    pub fn restore(
        plan: Arc<Plan>,
        facts: Arc<RunFacts>,
        state: RunState,
        started_at: Option<Timestamp>,
        ended_at: Option<Timestamp>,
        rows: Vec<TaskSnapshot>,
    ) -> Self {
        let count = plan.len();
        let mut machine = Self {
            tasks: plan.dag().tasks.iter().map(|t| TaskSnapshot::new(t.id.clone(), t.retries)).collect(),
            counts: plan.fresh_counts.clone(),
            positions: (0..u32::try_from(count).unwrap_or(u32::MAX)).collect(),
            mapped: HashMap::new(),
            scope_counts: plan.fresh_scope_counts.clone(),
            group_counts: HashMap::new(),
            returned_at: HashMap::new(),
            group_scope_counts: HashMap::new(),
            routed_away: vec![0; count],
            open: u32::try_from(count).unwrap_or(u32::MAX),
            moving: 0,
            dirty: Vec::new(),
            is_dirty: vec![false; count],
            dirty_mapped: BTreeSet::new(),
            past: Past::Unknown,
            blocked_by_past: BTreeSet::new(),
            timers: Timers::default(),
            effects: VecDeque::new(),
            touched: IndexMap::new(),
            run_before: None,
            work: 0,
            plan,
            facts,
            state,
            started_at,
            ended_at,
        };
        machine.make_instances(&rows);
        for row in rows {
            machine.load(row);
        }
        if machine.state == RunState::Running {
            machine.look_at_everything();
            machine.set_run_timer();
        }
        machine
    }

    /// Makes the instances of mapped tasks that the DAG file or the rows name.
    fn make_instances(&mut self, rows: &[TaskSnapshot]) {
        let plan = Arc::clone(&self.plan);
        for p in (0..self.count()).filter(|&p| plan.expansion(p).is_some()) {
            let mapped = Mapped { instances: vec![p], expanded: false, open: 1, pushed: 0, stale: true };
            self.mapped.insert(p, mapped);
            if let Some(length) = plan.literal_length(p) {
                self.grow(p, length);
            }
        }
        let mut lengths: HashMap<u32, u32> = HashMap::new();
        for row in rows {
            let position = plan.dag().position(row.task.as_str()).and_then(|p| u32::try_from(p).ok());
            if let (Some(p), Ok(index)) = (position, u32::try_from(row.map_index)) {
                let length = lengths.entry(p).or_default();
                *length = (*length).max(index + 1);
            }
        }
        for (p, length) in lengths.into_iter().filter(|(p, _)| plan.expansion(*p).is_some()) {
            let have = u32::try_from(self.instances_of(p).len()).unwrap_or(u32::MAX);
            self.grow(p, length);
            self.expect_below(p, length.saturating_sub(have));
        }
        for i in 0..self.count() {
            self.recount_instance(self.position_of(i), i);
        }
    }

    fn load(&mut self, row: TaskSnapshot) {
        let Some(p) = self.find(row.task.as_str(), row.map_index) else { return };
        let state = row.state;
        let length = row.columns.mapped_length;
        if let Some(at) = row.columns.ended_at.filter(|_| length.is_some()) {
            let newest = self.returned_at.entry(self.position_of(p)).or_insert(at);
            *newest = at.max(*newest);
        }
        self.tasks[p as usize] = row;
        self.tasks[p as usize].columns.mapped_length = None;
        self.set_mapped_length(p, length);
        self.account(p, TaskState::None, state);
        self.apply_recorded_routing(p);
        match state {
            TaskState::Scheduled => {
                let candidate = self.candidate(p);
                self.effects.push_back(Effect::Offer(candidate));
            }
            TaskState::Queued(_) | TaskState::Running(_) | TaskState::Deferred(_) => {
                let deferred = matches!(state, TaskState::Deferred(_));
                let candidate = self.candidate(p);
                self.effects.push_back(Effect::Occupy { candidate, deferred });
            }
            TaskState::None | TaskState::UpForRetry(_) | TaskState::UpForReschedule(_) | TaskState::Final(_) => {}
        }
    }

    /// Takes one event and settles everything that follows from it.
    ///
    /// # Errors
    /// If the event came too late or does not fit; then nothing has changed.
    pub fn handle(&mut self, now: Timestamp, event: Event) -> Result<(), Refused> {
        self.apply(now, event)?;
        self.settle(now);
        Ok(())
    }

    /// The next thing to do; `None` once everything has been drained.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        if let Some(effect) = self.effects.pop_front() {
            return Some(effect);
        }
        for (i, touched) in std::mem::take(&mut self.touched) {
            let change = self.task_change(i, touched);
            self.effects.push_back(Effect::SetTask(change));
        }
        if let Some(effect) = self.effects.pop_front() {
            return Some(effect);
        }
        let from = self.run_before.take()?;
        Some(Effect::SetRun(RunChange { from, to: self.state, started_at: self.started_at, ended_at: self.ended_at }))
    }

    /// When to come back with [`Event::TimerDue`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.timers.next()
    }

    /// Where the run is.
    #[must_use]
    pub const fn state(&self) -> RunState {
        self.state
    }

    /// What is known of the run from its creation on.
    #[must_use]
    pub const fn facts(&self) -> &Arc<RunFacts> {
        &self.facts
    }

    /// The DAG version it runs under.
    #[must_use]
    pub const fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// When the run began.
    #[must_use]
    pub const fn started_at(&self) -> Option<Timestamp> {
        self.started_at
    }

    /// When the run ended.
    #[must_use]
    pub const fn ended_at(&self) -> Option<Timestamp> {
        self.ended_at
    }

    /// The task instances, in the order of the DAG file; mapped instances from index 1 on come after them.
    #[must_use]
    pub fn tasks(&self) -> &[TaskSnapshot] {
        &self.tasks
    }

    /// The only task instance of a task, or the first of its mapped ones.
    #[must_use]
    pub fn task(&self, task: &str) -> Option<&TaskSnapshot> {
        self.plan.dag().position(task).map(|position| &self.tasks[position])
    }

    /// The task instance with this key.
    #[must_use]
    pub fn task_instance(&self, key: &TaskInstanceKey) -> Option<&TaskSnapshot> {
        self.find(key.task.as_str(), key.map_index).map(|i| &self.tasks[i as usize])
    }

    /// The run as rows.
    #[must_use]
    pub fn snapshot(&self) -> RunSnapshot {
        RunSnapshot {
            state: self.state,
            started_at: self.started_at,
            ended_at: self.ended_at,
            tasks: self.tasks.clone(),
        }
    }

    /// The same run in a machine of its own, which has heard nothing of the run before.
    #[must_use]
    pub fn copied(&self) -> Self {
        self.under(&self.plan)
    }

    /// What is known of the run has changed: after [`Event::NewVersion`] it is pinned to another version.
    pub fn set_facts(&mut self, facts: Arc<RunFacts>) {
        self.facts = facts;
    }

    /// How many judgements and edge updates there have been: the measure of what an event costs.
    #[must_use]
    pub const fn work(&self) -> u64 {
        self.work
    }

    pub(crate) fn candidate(&self, p: u32) -> Candidate {
        let behind = if self.facts.run_type == RunType::Backfill { BACKFILL_BEHIND } else { 0 };
        Candidate {
            key: self.key(p),
            dag: Arc::clone(self.plan.dag()),
            position: self.position_of(p) as usize,
            weight: self.plan.weight(self.position_of(p)) - behind,
            run_date: self.facts.logical_date.unwrap_or(self.facts.run_after),
        }
    }

    pub(crate) fn change_run(&mut self, event: RunEvent) -> Result<(), Refused> {
        let to = windrose_core::run_state::next(self.state, event)?;
        if to != self.state {
            self.run_before.get_or_insert(self.state);
            self.state = to;
        }
        Ok(())
    }

    pub(crate) fn set_run_timer(&mut self) {
        if let (Some(timeout), Some(started)) = (self.plan.dag().dagrun_timeout, self.started_at) {
            self.timers.set(Timer::RunTimeout, started.plus(timeout));
        }
    }

    /// Puts every task instance that is not final before the next pass.
    pub(crate) fn look_at_everything(&mut self) {
        for p in 0..self.count() {
            self.mark_dirty(p);
        }
    }

    fn task_change(&self, p: u32, touched: Touched) -> TaskChange {
        let row = &self.tasks[p as usize];
        let failed = matches!(row.state, TaskState::UpForRetry(_) | TaskState::Final(FinalState::Failed));
        TaskChange {
            key: self.key(p),
            from: touched.from,
            to: row.state,
            columns: row.columns.clone(),
            cause: touched.cause.filter(|_| failed),
        }
    }
}
