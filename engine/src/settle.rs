//! From an event to everything that follows from it, in passes.
//!
//! A pass judges every task instance whose surroundings have changed, all by the states at its beginning, and then
//! applies what was decided. So marks travel one edge per pass and nothing depends on the order within one, which is
//! how Airflow's scheduler loop sees a run.

use std::sync::Arc;

use windrose_core::catalog::OperatorKind;
use windrose_core::ids::{TaskId, TaskInstanceKey};
use windrose_core::run_state::{RunEvent, RunState};
use windrose_core::task_state::{FinalState, TaskEvent, TaskState};
use windrose_core::time::Timestamp;

use crate::effect::Effect;
use crate::event::{Event, Refused};
use crate::past::{Past, PastNews};
use crate::readiness::Judgement;
use crate::run_machine::RunMachine;
use crate::timers::Timer;
use crate::transition::Because;

impl RunMachine {
    /// Takes one event without looking at what follows from it.
    pub(crate) fn apply(&mut self, now: Timestamp, event: Event) -> Result<(), Refused> {
        match event {
            Event::Start => self.start(now),
            Event::Dispatched { key, attempt } => self.dispatched(now, &key, TaskEvent::Dispatched(attempt)),
            Event::Started { key, attempt } => self.held(now, &key, TaskEvent::Started(attempt)),
            Event::Deferred { key, attempt } => self.held(now, &key, TaskEvent::Deferred(attempt)),
            Event::Resumed { key, attempt } => self.held(now, &key, TaskEvent::Resumed(attempt)),
            Event::Ended { key, report } => self.ended(now, &key, report),
            Event::Lost { key, attempt, detail, reattach } => self.lost(now, &key, attempt, detail, reattach),
            Event::TimerDue => {
                self.fire_timers(now);
                Ok(())
            }
            Event::Cancel { by } => self.cancel(now, &by),
            Event::MarkRun { success: false, by } => self.mark_run_failed(now, &by),
            Event::MarkRun { success: true, by } => self.mark_run_successful(now, &by),
            Event::MarkTask { key, state, by } => self.mark_task(now, &key, state, &by),
            Event::MarkTasks { selection, state, by } => self.mark_tasks(now, &selection, state, &by),
            Event::Clear { selection, by } => self.clear(now, &selection, &by),
            Event::PreviousRun(run) => {
                self.past = Past::from_run(&self.plan, &run);
                for p in std::mem::take(&mut self.blocked_by_past) {
                    self.mark_dirty(p);
                }
                Ok(())
            }
            Event::PreviousTask { task, news } => {
                self.past_changed(&task, &news);
                Ok(())
            }
            Event::NewVersion { plan, by } => {
                self.new_version(now, &plan, &by);
                Ok(())
            }
        }
    }

    /// Passes until nothing changes any more. Every step moves a task instance forward, so there is an end.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        while self.pass(now) {}
    }

    /// One pass; false if nothing came of it.
    pub(crate) fn pass(&mut self, now: Timestamp) -> bool {
        if self.state != RunState::Running {
            return false;
        }
        if self.open == 0 {
            self.finish(now);
            return true;
        }
        self.look_at_mapped();
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        self.work += dirty.len() as u64;
        for &p in &dirty {
            self.is_dirty[p as usize] = false;
        }
        // An event may have moved one on since it was put here.
        dirty.retain(|&p| self.can_be_judged(p));
        let judged: Vec<(u32, Judgement)> = dirty.into_iter().map(|p| (p, self.judge(p))).collect();
        let (mut changed, mut expanded) = (false, false);
        for (i, judgement) in judged {
            expanded |= judgement != Judgement::Wait && self.is_unexpanded(self.position_of(i));
            if judgement == Judgement::Run {
                // What is too many is removed, and that may be all that was left of the run.
                changed |= self.revise(now, self.position_of(i));
            }
            changed |= self.can_be_judged(i) && self.act_on(now, i, judgement);
        }
        // As Airflow does: a pass that expands looks again at what is left of the run.
        if expanded && self.open == 0 {
            self.finish(now);
        }
        changed || self.fail_if_deadlocked(now)
    }

    /// All instances of a mapped task wait for the same, so one look tells whether the rest is worth it.
    fn look_at_mapped(&mut self) {
        for p in std::mem::take(&mut self.dirty_mapped) {
            let instances = self.instances_of(p);
            let alike = !instances.iter().any(|i| self.group_counts.contains_key(i));
            self.work += 1;
            let judgeable = instances.iter().copied().find(|&i| self.can_be_judged(i));
            if judgeable.is_some_and(|first| !alike || self.judge(first) != Judgement::Wait) {
                instances.into_iter().for_each(|i| self.mark_dirty(i));
            }
        }
    }

    pub(crate) fn act_on(&mut self, now: Timestamp, i: u32, judgement: Judgement) -> bool {
        let state = self.tasks[i as usize].state;
        let p = self.position_of(i);
        let event = match judgement {
            Judgement::Wait => return false,
            Judgement::WaitForPast => {
                self.blocked_by_past.insert(i);
                return false;
            }
            Judgement::Run if self.is_unexpanded(p) => return self.expand(now, p),
            Judgement::Run if state.due().is_some_and(|at| at > now) => return false,
            // Nothing to do, so no attempt either.
            Judgement::Run if self.plan.task(p).kind == OperatorKind::Empty => TaskEvent::Decided(FinalState::Success),
            Judgement::Run => TaskEvent::Ready,
            Judgement::End(end) => TaskEvent::Decided(end),
        };
        if event == TaskEvent::Decided(FinalState::Success) {
            let row = &mut self.tasks[i as usize];
            row.columns.try_number = row.columns.try_number.saturating_add(1);
        }
        // What is judged is None or due, and from there every one of these is legal.
        self.change(now, i, event, Because { cause: None, by: "its trigger rule" }).is_ok()
    }

    fn start(&mut self, now: Timestamp) -> Result<(), Refused> {
        self.change_run(RunEvent::Started)?;
        self.started_at = Some(now);
        self.ended_at = None;
        self.set_run_timer();
        self.look_at_everything();
        Ok(())
    }

    fn dispatched(&mut self, now: Timestamp, key: &TaskInstanceKey, event: TaskEvent) -> Result<(), Refused> {
        let p = self.instance(key)?;
        self.change(now, p, event, Because::default())?;
        let row = &self.tasks[p as usize];
        if row.columns.pokes == 0 && (row.columns.try_number > 1 || row.columns.generation > 0) {
            self.effects.push_back(Effect::ClearXComs(key.clone()));
        }
        Ok(())
    }

    fn held(&mut self, now: Timestamp, key: &TaskInstanceKey, event: TaskEvent) -> Result<(), Refused> {
        let p = self.instance(key)?;
        Ok(self.change(now, p, event, Because::default())?)
    }

    /// Takes out what is due. A task instance whose time has come is judged like any other.
    pub(crate) fn fire_timers(&mut self, now: Timestamp) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::TaskDue(p) => self.mark_dirty(p),
                Timer::RunTimeout => self.time_out(now),
            }
        }
    }

    fn past_changed(&mut self, task: &TaskId, news: &PastNews) {
        let Ok(p) = self.position(task) else { return };
        self.past.tell(p, news);
        let plan = Arc::clone(&self.plan);
        for &waiting in plan.upstream.of(p).iter().chain(std::iter::once(&p)) {
            for i in self.instances_of(waiting) {
                if self.blocked_by_past.remove(&i) {
                    self.mark_dirty(i);
                }
            }
        }
    }

    /// Whether no worker holds it, admission does not have it and it is not final.
    pub(crate) fn can_be_judged(&self, p: u32) -> bool {
        matches!(
            self.tasks[p as usize].state,
            TaskState::None | TaskState::UpForRetry(_) | TaskState::UpForReschedule(_)
        )
    }
}
