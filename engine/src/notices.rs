//! Which changes people want to be told of.

use windrose_core::notify::Occasion;
use windrose_core::run_state::RunState;
use windrose_core::task_state::{FinalState, TaskEvent, TaskState};

use crate::effect::Effect;
use crate::run_machine::RunMachine;
use crate::transition::Because;

/// How many failed task instances a run's sentence names.
const NAMED: usize = 5;

/// What a change of a task instance is to people. As in Airflow, states that the run's logic decides on are none: a task
/// that was never at work has not failed, and only its own code skips it.
fn occasion(from: TaskState, event: TaskEvent) -> Option<Occasion> {
    match event {
        TaskEvent::Ended(_, FinalState::Success) => Some(Occasion::Success),
        TaskEvent::Ended(_, FinalState::Failed) => Some(Occasion::Failure),
        TaskEvent::Ended(_, FinalState::Skipped) => Some(Occasion::Skipped),
        TaskEvent::Retry(..) => Some(Occasion::Retry),
        TaskEvent::Decided(FinalState::Failed) | TaskEvent::Marked(FinalState::Failed) => {
            from.attempt().map(|_| Occasion::Failure)
        }
        _ => None,
    }
}

impl RunMachine {
    /// A task instance has changed.
    pub(crate) fn tell_of_task(&mut self, i: u32, from: TaskState, event: TaskEvent, because: &Because<'_>) {
        let Some(occasion) = occasion(from, event) else { return };
        if self.plan.task(self.position_of(i)).notifiers.has(occasion) {
            let try_number = self.tasks[i as usize].columns.try_number;
            let cause = match &because.cause {
                Some(cause) => cause.sentence(),
                None if because.by.is_empty() => String::new(),
                None => format!("Cancelled by {}.", because.by),
            };
            self.effects.push_back(Effect::Notify { key: self.key(i), try_number, occasion, cause });
        }
    }

    /// The run has ended. The task instance that is named is the first one that failed, else the last of the file.
    pub(crate) fn tell_of_run(&mut self) {
        let occasion = if self.state == RunState::Success { Occasion::Success } else { Occasion::Failure };
        if !self.plan.dag().notifiers.has(occasion) {
            return;
        }
        let failed: Vec<u32> = (0..self.count())
            .filter(|&i| self.tasks[i as usize].state == TaskState::Final(FinalState::Failed))
            .collect();
        let name = |&i: &u32| {
            let row = &self.tasks[i as usize];
            if row.map_index < 0 { row.task.to_string() } else { format!("{}[{}]", row.task, row.map_index) }
        };
        let names: Vec<String> = failed.iter().take(NAMED).map(name).collect();
        let cause = match (occasion, failed.len()) {
            (Occasion::Success, _) => String::new(),
            (_, 0) => "No task failed: the run was stopped, was too late, or could not go on.".to_owned(),
            (_, count) if count > NAMED => format!("Failed: {} and {} more.", names.join(", "), count - NAMED),
            _ => format!("Failed: {}.", names.join(", ")),
        };
        let decided = failed.first().copied().or_else(|| self.count().checked_sub(1));
        let key = decided.map(|i| self.key(i));
        self.effects.push_back(Effect::NotifyOfRun { key, occasion, cause });
    }
}
