//! `fail_fast`: the first failure stops the rest of the run, teardowns excepted (Airflow's `_stop_remaining_tasks`).

use windrose_core::cause::Cause;
use windrose_core::task_state::{FinalState, TaskEvent, TaskState};
use windrose_core::time::Timestamp;

use crate::run_machine::RunMachine;
use crate::transition::Because;

impl RunMachine {
    /// What follows for the others from the final failure of a task.
    pub(crate) fn fail_fast(&mut self, now: Timestamp, failed: u32) {
        if !self.plan.dag().fail_fast {
            return;
        }
        let by = format!("fail_fast, because task '{}' failed", self.plan.task(self.position_of(failed)).id);
        for p in 0..self.count() {
            if self.plan.task(self.position_of(p)).teardown.is_some() {
                continue;
            }
            let (end, cause) = match self.tasks[p as usize].state {
                TaskState::Running(_) => (FinalState::Failed, Some(Cause::Cancelled { by: by.clone() })),
                TaskState::Final(FinalState::UpstreamFailed) => (FinalState::Skipped, None),
                TaskState::Final(_) => continue,
                _ => (FinalState::Skipped, None),
            };
            let done = self.change(now, p, TaskEvent::Decided(end), Because { cause, by: &by });
            debug_assert!(done.is_ok(), "what is not final can be decided");
        }
    }
}
