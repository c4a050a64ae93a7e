//! A person says where task instances stand.

use windrose_core::cause::Cause;
use windrose_core::ids::TaskInstanceKey;
use windrose_core::task_state::{FinalState, TaskEvent, TaskState};
use windrose_core::time::Timestamp;

use crate::event::{MarkedState, Refused, Selection};
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
        let i = self.instance(key)?;
        self.mark_instances(now, &[i], state, by)
    }

    /// The same for a selection; all its tasks must exist.
    pub(crate) fn mark_tasks(
        &mut self,
        now: Timestamp,
        selection: &Selection,
        state: MarkedState,
        by: &str,
    ) -> Result<(), Refused> {
        let chosen = self.selected(selection)?;
        self.mark_instances(now, &chosen, state, by)
    }

    /// Instances that are in this state already stay as they are; what failed below is cleared.
    fn mark_instances(&mut self, now: Timestamp, chosen: &[u32], state: MarkedState, by: &str) -> Result<(), Refused> {
        let end = FinalState::from(state);
        let mut marked: Vec<u32> = chosen.iter().map(|&i| self.position_of(i)).collect();
        for &i in chosen {
            if self.tasks[i as usize].state == TaskState::Final(end) {
                continue;
            }
            let cause =
                (state == MarkedState::Failed).then(|| Cause::Failed { message: format!("Marked failed by {by}.") });
            self.change(now, i, TaskEvent::Marked(end), Because { cause, by })?;
        }
        marked.sort_unstable();
        marked.dedup();
        let below = self.plan.downstream.reachable_from_any(&marked);
        let below: Vec<u32> = (0_u32..).zip(below).filter(|&(_, reached)| reached).map(|(p, _)| p).collect();
        let mut failed = self.instances_of_all(&below);
        failed.retain(|i| self.has_failed(*i) && chosen.binary_search(i).is_err());
        self.clear_tasks(now, &failed, by)
    }
}
