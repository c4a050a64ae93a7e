//! The one way in which a task instance changes: its state by `task_state::next`, and with it everything that is
//! counted, timed or held because of that state.

use windrose_core::attempt::{AttemptEnd, AttemptOutcome};
use windrose_core::cause::Cause;
use windrose_core::task_state::{FinalState, IllegalTransition, TaskEvent, TaskState, next};
use windrose_core::time::Timestamp;

use crate::effect::Effect;
use crate::run_machine::{RunMachine, Touched};
use crate::timers::Timer;

/// Why a task instance changes, for the rows and for the worker that loses it.
#[derive(Debug, Default)]
pub(crate) struct Because<'a> {
    /// Kept on the row.
    pub(crate) cause: Option<Cause>,
    /// Told to a worker whose attempt is taken away.
    pub(crate) by: &'a str,
}

impl RunMachine {
    /// Changes the state of a task instance.
    pub(crate) fn change(
        &mut self,
        now: Timestamp,
        p: u32,
        event: TaskEvent,
        because: Because<'_>,
    ) -> Result<(), IllegalTransition> {
        let from = self.tasks[p as usize].state;
        let to = next(from, event)?;
        self.close_attempt(now, p, event, &because);
        self.tell_of_task(p, from, event, &because);
        let touched = self.touched.entry(p).or_insert(Touched { from, cause: None });
        if because.cause.is_some() {
            touched.cause = because.cause;
        }
        self.tasks[p as usize].state = to;
        self.note_columns(now, p, from, event);
        self.account(p, from, to);
        self.tell_admission(p, from, to);
        if from.is_final() || to.is_final() {
            self.wake_downstream(p);
        }
        // Also what waits for its next try: what is upstream of it may have changed while it ran.
        self.mark_dirty(p);
        Ok(())
    }

    /// Counters and timers that depend on a state; also what loading a row does.
    pub(crate) fn account(&mut self, p: u32, from: TaskState, to: TaskState) {
        self.account_mapped(p, from, to);
        let moves = |s: TaskState| u32::from(!s.is_final() && s != TaskState::None);
        self.open = self.open + u32::from(!to.is_final()) - u32::from(!from.is_final());
        self.moving = self.moving + moves(to) - moves(from);
        self.blocked_by_past.remove(&p);
        if from.due() != to.due() {
            self.timers.cancel(Timer::TaskDue(p));
            if let Some(at) = to.due() {
                self.timers.set(Timer::TaskDue(p), at);
            }
        }
        // A mapped instance that is removed is one less to wait for.
        let gone = self.tasks[p as usize].map_index >= 0;
        match from {
            TaskState::Final(FinalState::Removed) if gone => {
                self.count_below(p, |c, is_setup| c.add_unfinished(1, is_setup));
            }
            TaskState::Final(end) => self.count_below(p, |counts, is_setup| counts.remove(end, is_setup)),
            _ => {}
        }
        match to {
            TaskState::Final(FinalState::Removed) if gone => self.count_below(p, |c, is_setup| c.forget(1, is_setup)),
            TaskState::Final(end) => self.count_below(p, |counts, is_setup| counts.add(end, is_setup)),
            _ => {}
        }
    }

    fn count_below(&mut self, i: u32, mut count: impl FnMut(&mut crate::counters::UpstreamCounts, bool)) {
        let p = self.position_of(i);
        let is_setup = self.plan.task(p).setup;
        let plan = std::sync::Arc::clone(&self.plan);
        for &below in plan.downstream.of(p) {
            self.work += 1;
            if plan.mapped_together(p, below) {
                for partner in self.partners_below(i, below) {
                    count(self.group_counts.entry(partner).or_default(), is_setup);
                }
            } else {
                count(&mut self.counts[below as usize], is_setup);
            }
        }
        for &below in plan.scopes.get(&p).into_iter().flatten() {
            self.work += 1;
            if plan.mapped_together(p, below) {
                for partner in self.partners_below(i, below) {
                    count(self.group_scope_counts.entry(partner).or_default(), true);
                }
            } else if let Some(counts) = self.scope_counts.get_mut(&below) {
                count(counts, true);
            }
        }
    }

    fn wake_downstream(&mut self, i: u32) {
        let p = self.position_of(i);
        let plan = std::sync::Arc::clone(&self.plan);
        for &below in plan.downstream.of(p).iter().chain(plan.scopes.get(&p).into_iter().flatten()) {
            if plan.mapped_together(p, below) {
                self.partners_below(i, below).into_iter().for_each(|partner| self.mark_dirty(partner));
            } else if self.mapped.contains_key(&below) {
                self.dirty_mapped.insert(below);
            } else {
                self.mark_dirty(below);
            }
        }
        // Not every task of a mapped group is below what the group is mapped over.
        self.dirty_mapped.extend(plan.mapped_by.get(&p).into_iter().flatten());
    }

    /// Has a task instance judged in the next pass, if it can be judged at all.
    pub(crate) fn mark_dirty(&mut self, p: u32) {
        if self.can_be_judged(p) && !std::mem::replace(&mut self.is_dirty[p as usize], true) {
            self.dirty.push(p);
        }
    }

    fn note_columns(&mut self, now: Timestamp, p: u32, from: TaskState, event: TaskEvent) {
        let retries = self.plan.task(self.position_of(p)).retries;
        let begins_anew = event == TaskEvent::Cleared
            || (event == TaskEvent::Ready && !matches!(from, TaskState::UpForReschedule(_)));
        if begins_anew {
            self.set_mapped_length(p, None);
        }
        let row = &mut self.tasks[p as usize];
        match event {
            TaskEvent::Ready if matches!(from, TaskState::UpForReschedule(_)) => {}
            TaskEvent::Ready => {
                row.columns.try_number = row.columns.try_number.saturating_add(1);
                row.columns.first_poke_at = None;
                row.columns.pokes = 0;
                row.columns.started_at = None;
                row.columns.ended_at = None;
            }
            TaskEvent::Dispatched(_) => row.columns.queued_at = Some(now),
            TaskEvent::Started(_) => row.columns.started_at = Some(now),
            TaskEvent::Retry(..) | TaskEvent::Ended(..) => row.columns.ended_at = Some(now),
            TaskEvent::Decided(_) | TaskEvent::Marked(_) => {
                row.columns.started_at.get_or_insert(now);
                row.columns.ended_at = Some(now);
            }
            TaskEvent::Cleared => {
                row.columns.generation = row.columns.generation.saturating_add(1);
                row.columns.max_tries = row.columns.try_number.saturating_add(retries);
                row.columns.first_poke_at = None;
                row.columns.pokes = 0;
                row.columns.queued_at = None;
                row.columns.started_at = None;
                row.columns.ended_at = None;
            }
            TaskEvent::Deferred(_)
            | TaskEvent::Resumed(_)
            | TaskEvent::Reschedule(..)
            | TaskEvent::Lost(_)
            | TaskEvent::Due => {}
        }
    }

    /// The attempt that held the task instance is over, one way or another.
    fn close_attempt(&mut self, now: Timestamp, p: u32, event: TaskEvent, because: &Because<'_>) {
        let row = &self.tasks[p as usize];
        let Some(attempt) = row.state.attempt() else { return };
        let outcome = match event {
            TaskEvent::Ended(_, FinalState::Success) => AttemptOutcome::Success,
            TaskEvent::Ended(_, FinalState::Skipped) => AttemptOutcome::Skipped,
            TaskEvent::Ended(..) => AttemptOutcome::Failed,
            TaskEvent::Retry(..) => AttemptOutcome::UpForRetry,
            TaskEvent::Reschedule(..) => AttemptOutcome::UpForReschedule,
            TaskEvent::Lost(_) => AttemptOutcome::Lost,
            TaskEvent::Decided(_) | TaskEvent::Marked(_) | TaskEvent::Cleared => AttemptOutcome::Cancelled,
            TaskEvent::Ready
            | TaskEvent::Due
            | TaskEvent::Dispatched(_)
            | TaskEvent::Started(_)
            | TaskEvent::Deferred(_)
            | TaskEvent::Resumed(_) => return,
        };
        let (started_at, try_number, key) = (row.columns.started_at, row.columns.try_number, self.key(p));
        let cancelled = outcome == AttemptOutcome::Cancelled;
        let cause = because.cause.clone().or_else(|| cancelled.then(|| Cause::Cancelled { by: because.by.to_owned() }));
        if cancelled {
            let by = because.by.to_owned();
            self.effects.push_back(Effect::CancelAttempt { key: key.clone(), attempt, by });
        }
        let end = AttemptEnd { key, attempt, try_number, outcome, cause, started_at, ended_at: now };
        self.effects.push_back(Effect::EndAttempt(end));
    }

    fn tell_admission(&mut self, p: u32, from: TaskState, to: TaskState) {
        let key = |machine: &Self| machine.key(p);
        if from.attempt().is_some() && to.attempt().is_none() {
            self.effects.push_back(Effect::Release(key(self)));
        }
        if from == TaskState::Scheduled && to.attempt().is_none() {
            self.effects.push_back(Effect::Withdraw(key(self)));
        }
        if to == TaskState::Scheduled {
            let candidate = self.candidate(p);
            self.effects.push_back(Effect::Offer(candidate));
        }
        if matches!(to, TaskState::Deferred(_)) {
            self.effects.push_back(Effect::Defer(key(self)));
        }
    }
}
