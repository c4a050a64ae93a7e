//! A person says how a run ended (Airflow's `set_dag_run_state_to_failed` and `…_to_success`).

use windrose_core::cause::Cause;
use windrose_core::run_state::{IllegalRunTransition, RunEvent, RunState};
use windrose_core::task_state::{FinalState, TaskEvent, TaskState};
use windrose_core::time::Timestamp;

use crate::event::Refused;
use crate::run_machine::RunMachine;
use crate::transition::Because;

impl RunMachine {
    /// A person stops a run that has not ended; an ended one is left as it is.
    pub(crate) fn cancel(&mut self, now: Timestamp, by: &str) -> Result<(), Refused> {
        if self.state.is_final() {
            return Err(IllegalRunTransition { from: self.state, event: RunEvent::Failed }.into());
        }
        self.mark_run_failed(now, by)
    }

    /// What runs is cancelled and fails, what waits is skipped. Teardowns are left alone; while one is unfinished the run
    /// goes on, and ends by its leaves.
    pub(crate) fn mark_run_failed(&mut self, now: Timestamp, by: &str) -> Result<(), Refused> {
        let mut teardown_left = false;
        for p in 0..self.count() {
            let state = self.tasks[p as usize].state;
            if state.is_final() {
                continue;
            }
            if self.plan.task(self.position_of(p)).teardown.is_some() {
                teardown_left = true;
                continue;
            }
            let running =
                matches!(state, TaskState::Running(_) | TaskState::Deferred(_) | TaskState::UpForReschedule(_));
            let cause = running.then(|| Cause::Cancelled { by: by.to_owned() });
            let end = if running { FinalState::Failed } else { FinalState::Skipped };
            self.change(now, p, TaskEvent::Decided(end), Because { cause, by })?;
        }
        if !teardown_left {
            self.mark_run(now, false)?;
        }
        Ok(())
    }

    /// Every task instance becomes successful. Unfinished teardowns still run, and then the run ends by its leaves.
    pub(crate) fn mark_run_successful(&mut self, now: Timestamp, by: &str) -> Result<(), Refused> {
        let mut teardown_left = false;
        for p in 0..self.count() {
            let state = self.tasks[p as usize].state;
            if self.plan.task(self.position_of(p)).teardown.is_some() && !state.is_final() {
                teardown_left = true;
            } else if state != TaskState::Final(FinalState::Success) {
                self.change(now, p, TaskEvent::Marked(FinalState::Success), Because { cause: None, by })?;
            }
        }
        if !teardown_left {
            self.mark_run(now, true)?;
        }
        Ok(())
    }

    fn mark_run(&mut self, now: Timestamp, success: bool) -> Result<(), Refused> {
        if self.state == if success { RunState::Success } else { RunState::Failed } {
            return Ok(());
        }
        self.change_run(RunEvent::Marked { success })?;
        self.started_at.get_or_insert(now);
        self.ended_at = Some(now);
        self.timers.clear();
        Ok(())
    }
}
