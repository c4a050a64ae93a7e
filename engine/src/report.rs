//! What follows from how an attempt ended.

use windrose_core::cause::Cause;
use windrose_core::dag::OnLost;
use windrose_core::ids::{AttemptId, TaskInstanceKey};
use windrose_core::outcome::{Outcome, Report};
use windrose_core::task_state::{FinalState, IllegalTransition, TaskEvent};
use windrose_core::time::Timestamp;

use crate::effect::Effect;
use crate::event::Refused;
use crate::routing::UnknownBranch;
use crate::run_machine::RunMachine;
use crate::transition::Because;

impl RunMachine {
    /// A worker's last word on an attempt. It is refused if another attempt, or none, holds the task instance.
    pub(crate) fn ended(&mut self, now: Timestamp, key: &TaskInstanceKey, report: Report) -> Result<(), Refused> {
        let p = self.instance(key)?;
        self.must_hold(p, report.attempt)?;
        let Report { attempt, outcome, xcoms, routing, assets, started_at, .. } = report;
        self.tasks[p as usize].columns.started_at = Some(started_at);
        match outcome {
            Outcome::Success => {
                let wrong = routing.and_then(|r| self.route(now, p, r).err()).map(UnknownBranch::into_cause);
                match wrong.or_else(|| self.unmappable(p, &xcoms)) {
                    Some(cause) => self.failed(now, p, attempt, cause, true)?,
                    None => {
                        self.note_returned(now, p, &xcoms);
                        self.end(now, p, attempt, FinalState::Success)?;
                        if !assets.is_empty() {
                            self.effects.push_back(Effect::EmitAssets { key: key.clone(), assets });
                        }
                    }
                }
            }
            Outcome::Skipped { .. } => self.end(now, p, attempt, FinalState::Skipped)?,
            Outcome::Failed { cause, retry } => self.failed(now, p, attempt, cause, retry)?,
            Outcome::Reschedule { at } => {
                let row = &mut self.tasks[p as usize];
                row.columns.first_poke_at.get_or_insert(started_at);
                row.columns.pokes = row.columns.pokes.saturating_add(1);
                self.change(now, p, TaskEvent::Reschedule(attempt, at), Because::default())?;
                self.look_again_if_due(now, p);
            }
        }
        if !xcoms.is_empty() {
            self.effects.push_back(Effect::PushXComs { key: key.clone(), xcoms });
        }
        Ok(())
    }

    /// The process that held an attempt is gone. That uses up none of the user's retries.
    pub(crate) fn lost(
        &mut self,
        now: Timestamp,
        key: &TaskInstanceKey,
        attempt: AttemptId,
        detail: String,
        reattach: bool,
    ) -> Result<(), Refused> {
        let p = self.instance(key)?;
        self.must_hold(p, attempt)?;
        let cause = Cause::Lost { detail };
        if reattach || self.plan.task(self.position_of(p)).on_lost == OnLost::Retry {
            self.change(now, p, TaskEvent::Lost(attempt), Because { cause: Some(cause), by: "" })?;
        } else {
            self.failed(now, p, attempt, cause, false)?;
        }
        Ok(())
    }

    /// Nothing may be written for an attempt that does not hold the task instance: fencing.
    fn must_hold(&self, p: u32, attempt: AttemptId) -> Result<(), IllegalTransition> {
        let from = self.tasks[p as usize].state;
        if from.attempt() == Some(attempt) {
            return Ok(());
        }
        Err(IllegalTransition { from, event: TaskEvent::Ended(attempt, FinalState::Success) })
    }

    fn end(&mut self, now: Timestamp, p: u32, attempt: AttemptId, end: FinalState) -> Result<(), IllegalTransition> {
        self.change(now, p, TaskEvent::Ended(attempt, end), Because::default())
    }

    fn failed(
        &mut self,
        now: Timestamp,
        p: u32,
        attempt: AttemptId,
        cause: Cause,
        retry: bool,
    ) -> Result<(), IllegalTransition> {
        let due = if retry { self.next_try(now, p, &cause) } else { None };
        let because = Because { cause: Some(cause), by: "" };
        if let Some(due) = due {
            self.change(now, p, TaskEvent::Retry(attempt, due), because)?;
            self.look_again_if_due(now, p);
        } else {
            self.change(now, p, TaskEvent::Ended(attempt, FinalState::Failed), because)?;
            self.fail_fast(now, p);
        }
        Ok(())
    }

    /// A delay of zero is over at once; nobody should have to come back for it.
    fn look_again_if_due(&mut self, now: Timestamp, p: u32) {
        if self.tasks[p as usize].state.due().is_some_and(|at| at <= now) {
            self.fire_timers(now);
        }
    }
}
