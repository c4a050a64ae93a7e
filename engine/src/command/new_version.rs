//! A person moves a run to another version of its DAG.

use std::collections::HashSet;
use std::sync::Arc;

use windrose_core::run_state::{RunEvent, RunState};
use windrose_core::task_state::{FinalState, TaskEvent, TaskState};
use windrose_core::time::Timestamp;

use crate::effect::Effect;
use crate::plan::Plan;
use crate::run_machine::RunMachine;
use crate::transition::Because;

impl RunMachine {
    /// Task instances of tasks that are gone become `removed`, new tasks get a row, and everything is judged anew. An
    /// ended run goes on if it has new tasks. What is known of the previous run has to be told again.
    pub(crate) fn new_version(&mut self, now: Timestamp, plan: &Arc<Plan>, by: &str) {
        let gone = |id: &str| plan.dag().position(id).is_none();
        for p in 0..u32::try_from(self.tasks.len()).unwrap_or(u32::MAX) {
            let row = &self.tasks[p as usize];
            if gone(row.task.as_str()) && row.state != TaskState::Final(FinalState::Removed) {
                let because = Because { cause: None, by };
                let done = self.change(now, p, TaskEvent::Marked(FinalState::Removed), because);
                debug_assert!(done.is_ok(), "a person may mark anything");
            }
        }
        // Rows of removed tasks have no place in the new machine, so what is to be said of them is said by the old one.
        let mut effects: Vec<Effect> = std::iter::from_fn(|| self.poll_effect()).collect();
        let had: HashSet<_> = self.tasks.iter().map(|row| row.task.clone()).collect();
        let snapshot = self.snapshot();
        let mut next = Self::restore(
            Arc::clone(plan),
            Arc::clone(&self.facts),
            snapshot.state,
            snapshot.started_at,
            snapshot.ended_at,
            snapshot.tasks,
        );
        // Admission has heard of the old rows already.
        next.effects.clear();
        let added = plan.dag().tasks.iter().filter(|task| !had.contains(&task.id));
        effects.extend(added.map(|task| {
            Effect::AddTask(windrose_core::ids::TaskInstanceKey::unmapped(self.facts.key, task.id.clone()))
        }));
        next.effects.extend(effects);
        *self = next;
        if self.open > 0 && self.state.is_final() && self.change_run(RunEvent::Cleared).is_ok() {
            self.started_at = None;
            self.ended_at = None;
        }
        debug_assert!(self.state != RunState::Running || !self.dirty.is_empty() || self.open == 0 || self.moving > 0);
    }
}
