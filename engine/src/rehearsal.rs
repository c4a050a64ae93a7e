//! What a person's command would do to a run, found by doing it to a copy: there is no second opinion.

use std::collections::HashMap;

use windrose_core::ids::TaskId;
use windrose_core::run_state::RunState;
use windrose_core::task_state::TaskStateName;
use windrose_core::time::Timestamp;

use crate::event::{Event, Refused};
use crate::run_machine::RunMachine;

/// A task instance that a command changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedChange {
    /// The task.
    pub task: TaskId,
    /// Which of its mapped instances; −1 for a task that is not mapped.
    pub map_index: i32,
    /// Where it is; `None` if it comes with a new DAG version.
    pub from: Option<TaskStateName>,
    /// Where the command puts it; `none` is to be decided again.
    pub to: TaskStateName,
    /// How many tries it has had.
    pub tries: u32,
    /// A worker holds it, and will be told to stop.
    pub stops: bool,
}

/// What a command would do to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rehearsal {
    /// Where the run is.
    pub from: RunState,
    /// Where the command puts it, before anything follows from that.
    pub to: RunState,
    /// In the order of the DAG file.
    pub changes: Vec<PlannedChange>,
}

impl RunMachine {
    /// Does what these events say to a machine that is thrown away, without what would follow from it later.
    ///
    /// # Errors
    /// If the machine refuses one of them.
    pub fn rehearse(mut self, now: Timestamp, events: Vec<Event>) -> Result<Rehearsal, Refused> {
        let from = self.state();
        let seen = |machine: &Self| -> HashMap<(TaskId, i32), (TaskStateName, u32)> {
            let row = |t: &crate::TaskSnapshot| ((t.task.clone(), t.map_index), (t.state.name(), t.columns.generation));
            machine.tasks().iter().map(row).collect()
        };
        let before = seen(&self);
        let held: HashMap<_, bool> =
            self.tasks().iter().map(|t| ((t.task.clone(), t.map_index), t.state.attempt().is_some())).collect();
        for event in events {
            self.apply(now, event)?;
        }
        let change = |t: &crate::TaskSnapshot| {
            let key = (t.task.clone(), t.map_index);
            let was = before.get(&key).copied();
            (was != Some((t.state.name(), t.columns.generation))).then(|| PlannedChange {
                stops: held.get(&key).copied().unwrap_or_default(),
                from: was.map(|(state, _)| state),
                to: t.state.name(),
                tries: t.columns.try_number,
                task: key.0,
                map_index: key.1,
            })
        };
        Ok(Rehearsal { from, to: self.state(), changes: self.tasks().iter().filter_map(change).collect() })
    }
}
