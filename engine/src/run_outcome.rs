//! How a run ends: by its leaves, by a deadlock, or by the clock.

use windrose_core::dag::RunFailsOn;
use windrose_core::run_state::RunEvent;
use windrose_core::task_state::{FinalState, TaskEvent, TaskState};
use windrose_core::time::Timestamp;

use crate::run_machine::RunMachine;
use crate::transition::Because;

impl RunMachine {
    /// Every task instance is final: the run is what its leaves are, or what all its tasks are.
    pub(crate) fn finish(&mut self, now: Timestamp) {
        let failed = match self.plan.dag().run_fails_on {
            RunFailsOn::Leaves => self.instances_of_all(&self.plan.leaves()).iter().any(|&leaf| {
                let state = self.tasks[leaf as usize].state;
                matches!(state, TaskState::Final(FinalState::Failed | FinalState::UpstreamFailed))
            }),
            RunFailsOn::Any => (0..self.count()).any(|i| self.fails_run(i)),
        };
        self.end_run(now, if failed { RunEvent::Failed } else { RunEvent::Succeeded });
    }

    /// An upstream failure does not count by itself: the failure that it comes from does, unless it is tolerated.
    fn fails_run(&self, i: u32) -> bool {
        let task = self.plan.task(self.position_of(i));
        let matters = !task.tolerate_failure && (task.teardown.is_none() || task.on_failure_fail_dagrun);
        matters && self.tasks[i as usize].state == TaskState::Final(FinalState::Failed)
    }

    /// A run in which nothing can ever move again has failed. What waits for the run before is not stuck.
    pub(crate) fn fail_if_deadlocked(&mut self, now: Timestamp) -> bool {
        let stuck = self.open > 0
            && self.moving == 0
            && self.dirty.is_empty()
            && self.dirty_mapped.is_empty()
            && self.blocked_by_past.is_empty();
        if stuck {
            self.end_run(now, RunEvent::Failed);
        }
        stuck
    }

    /// `dagrun_timeout` is over: the run has failed, and what is unfinished is left out.
    pub(crate) fn time_out(&mut self, now: Timestamp) {
        for p in 0..self.count() {
            if !self.tasks[p as usize].state.is_final() {
                let because = Because { cause: None, by: "dagrun_timeout" };
                let done = self.change(now, p, TaskEvent::Decided(FinalState::Skipped), because);
                debug_assert!(done.is_ok(), "what is not final can be decided");
            }
        }
        self.end_run(now, RunEvent::Failed);
    }

    pub(crate) fn end_run(&mut self, now: Timestamp, event: RunEvent) {
        if self.change_run(event).is_ok() {
            self.ended_at = Some(now);
            self.timers.clear();
            self.tell_of_run();
        }
    }
}
