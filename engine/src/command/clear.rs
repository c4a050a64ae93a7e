//! Clear: task instances are decided again, and an ended run goes on.

use windrose_core::run_state::{RunEvent, RunState};
use windrose_core::task_state::{FinalState, TaskEvent, TaskState};
use windrose_core::time::Timestamp;

use crate::event::{Refused, Selection};
use crate::run_machine::RunMachine;
use crate::transition::Because;

impl RunMachine {
    /// Clears a selection; all its tasks must exist.
    pub(crate) fn clear(&mut self, now: Timestamp, selection: &Selection, by: &str) -> Result<(), Refused> {
        let chosen = self.selected_to_clear(selection)?;
        self.clear_tasks(now, &chosen, by)
    }

    /// Clears these task instances. A worker that holds one of them is told to stop.
    pub(crate) fn clear_tasks(&mut self, now: Timestamp, chosen: &[u32], by: &str) -> Result<(), Refused> {
        for &p in chosen {
            self.forget_routing(p);
            self.change(now, p, TaskEvent::Cleared, Because { cause: None, by })?;
        }
        if !chosen.is_empty() && self.state.is_final() {
            self.change_run(RunEvent::Cleared)?;
            self.started_at = None;
            self.ended_at = None;
        } else if self.state == RunState::Running {
            self.set_run_timer();
        }
        Ok(())
    }

    /// Failed, or not run because what it needs failed.
    pub(crate) fn has_failed(&self, p: u32) -> bool {
        matches!(self.tasks[p as usize].state, TaskState::Final(FinalState::Failed | FinalState::UpstreamFailed))
    }
}
