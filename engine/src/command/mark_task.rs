//! A person says where a task instance stands.

use windrose_core::cause::Cause;
use windrose_core::ids::TaskInstanceKey;
use windrose_core::task_state::TaskEvent;
use windrose_core::time::Timestamp;

use crate::event::{MarkedState, Refused};
use crate::run_machine::RunMachine;
use crate::transition::Because;

impl RunMachine {
    /// Marks a task instance and, as Airflow does, clears what failed below it, so that the run goes on from there.
    pub(crate) fn mark_task(
        &mut self,
        now: Timestamp,
        key: &TaskInstanceKey,
        state: MarkedState,
        by: &str,
    ) -> Result<(), Refused> {
        let p = self.instance(key)?;
        let cause =
            (state == MarkedState::Failed).then(|| Cause::Failed { message: format!("Marked failed by {by}.") });
        self.change(now, p, TaskEvent::Marked(state.into()), Because { cause, by })?;
        let below = self.plan.downstream.reachable(self.position_of(p));
        let below: Vec<u32> = (0_u32..).zip(below).filter(|&(_, r)| r).map(|(d, _)| d).collect();
        let failed: Vec<u32> = self.instances_of_all(&below).into_iter().filter(|&d| self.has_failed(d)).collect();
        self.clear_tasks(now, &failed, by)
    }
}
