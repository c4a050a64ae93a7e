//! A person moves a run to another version of its DAG.

use std::collections::HashSet;
use std::sync::Arc;

use windrose_core::ids::TaskInstanceKey;
use windrose_core::run_state::{RunEvent, RunState};
use windrose_core::task_state::{FinalState, TaskEvent, TaskState};
use windrose_core::time::Timestamp;

use crate::effect::Effect;
use crate::plan::Plan;
use crate::run_machine::RunMachine;
use crate::snapshot::RunSnapshot;
use crate::transition::Because;

impl RunMachine {
    /// Task instances of tasks that are gone become `removed`, new tasks get a row, and everything is judged anew. An
    /// ended run goes on if it has new tasks. What is known of the previous run has to be told again.
    pub(crate) fn new_version(&mut self, now: Timestamp, plan: &Arc<Plan>, by: &str) {
        let next = self.under(plan);
        let gone: Vec<u32> = (0..self.count()).filter(|&i| next.task_instance(&self.key(i)).is_none()).collect();
        for i in gone {
            if self.tasks[i as usize].state != TaskState::Final(FinalState::Removed) {
                let because = Because { cause: None, by };
                let done = self.change(now, i, TaskEvent::Marked(FinalState::Removed), because);
                debug_assert!(done.is_ok(), "a person may mark anything");
            }
        }
        // Rows of removed tasks have no place in the new machine, so what is to be said of them is said by the old one.
        let mut effects: Vec<Effect> = std::iter::from_fn(|| self.poll_effect()).collect();
        let had: HashSet<TaskInstanceKey> = (0..self.count()).map(|i| self.key(i)).collect();
        let mut next = self.under(plan);
        // Admission has heard of the old rows already.
        next.effects.clear();
        let added = (0..next.count()).map(|i| next.key(i)).filter(|key| !had.contains(key));
        effects.extend(added.map(Effect::AddTask));
        next.effects.extend(effects);
        *self = next;
        if self.open > 0 && self.state.is_final() && self.change_run(RunEvent::Cleared).is_ok() {
            self.started_at = None;
            self.ended_at = None;
        }
        debug_assert!(self.state != RunState::Running || !self.dirty.is_empty() || self.open == 0 || self.moving > 0);
    }

    /// The same rows under another version.
    pub(crate) fn under(&self, plan: &Arc<Plan>) -> Self {
        let RunSnapshot { state, started_at, ended_at, tasks } = self.snapshot();
        Self::restore(Arc::clone(plan), Arc::clone(&self.facts), state, started_at, ended_at, tasks)
    }
}
