//! Which task instances a run has: one for each task, and for a mapped task one for each element once that is known.
//!
//! An instance is named by its number: the position of its task for the first one of each task, further ones come after
//! all tasks. Until a mapped task is expanded, one instance with map index −1 stands for all of them.

use windrose_core::ids::{TaskId, TaskInstanceKey};
use windrose_core::task_state::TaskState;

use crate::event::Refused;
use crate::run_machine::RunMachine;
use crate::snapshot::TaskSnapshot;

/// The instances of a mapped task.
#[derive(Debug)]
pub(crate) struct Mapped {
    /// By map index, once it is expanded.
    pub(crate) instances: Vec<u32>,
    pub(crate) expanded: bool,
    /// How many of them are not final.
    pub(crate) open: u32,
    /// How many of them returned something.
    pub(crate) pushed: u32,
    /// What it is mapped over has changed since it was expanded.
    pub(crate) stale: bool,
}

impl RunMachine {
    /// The task of an instance.
    pub(crate) fn position_of(&self, i: u32) -> u32 {
        self.positions[i as usize]
    }

    /// How many instances there are.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.tasks.len()).unwrap_or(u32::MAX)
    }

    /// All instances of a task, by map index.
    pub(crate) fn instances_of(&self, p: u32) -> Vec<u32> {
        self.mapped.get(&p).map_or_else(|| vec![p], |mapped| mapped.instances.clone())
    }

    /// All instances of these tasks.
    pub(crate) fn instances_of_all(&self, positions: &[u32]) -> Vec<u32> {
        let mut instances: Vec<u32> = positions.iter().flat_map(|&p| self.instances_of(p)).collect();
        instances.sort_unstable();
        instances
    }

    /// Whether a mapped task is still to be expanded.
    pub(crate) fn is_unexpanded(&self, p: u32) -> bool {
        self.mapped.get(&p).is_some_and(|mapped| !mapped.expanded)
    }

    /// The instance of `above`, a task of the same mapped group, that instance `i` waits for: the one with its index, or
    /// the one that stands for all. What stands for all waits only for its like (Airflow's
    /// `get_relevant_upstream_map_indexes`).
    pub(crate) fn partner_above(&self, i: u32, above: u32) -> Option<u32> {
        let mapped = self.mapped.get(&above)?;
        if !mapped.expanded {
            return Some(above);
        }
        let index = usize::try_from(self.tasks[i as usize].map_index).ok()?;
        mapped.instances.get(index).copied()
    }

    /// The other way round: the instances of `below`, a task of the same mapped group, that wait for instance `i`.
    pub(crate) fn partners_below(&self, i: u32, below: u32) -> Vec<u32> {
        let Some(mapped) = self.mapped.get(&below) else { return Vec::new() };
        match usize::try_from(self.tasks[i as usize].map_index) {
            Ok(index) if mapped.expanded => mapped.instances.get(index).copied().into_iter().collect(),
            Ok(_) => Vec::new(),
            Err(_) => mapped.instances.clone(),
        }
    }

    pub(crate) fn key(&self, i: u32) -> TaskInstanceKey {
        self.tasks[i as usize].key(self.facts.key)
    }

    /// The instance with this key.
    pub(crate) fn instance(&self, key: &TaskInstanceKey) -> Result<u32, Refused> {
        let found = (key.run == self.facts.key).then(|| self.find(key.task.as_str(), key.map_index)).flatten();
        found.ok_or_else(|| self.unknown(&key.task))
    }

    pub(crate) fn find(&self, task: &str, map_index: i32) -> Option<u32> {
        let p = u32::try_from(self.plan.dag().position(task)?).ok()?;
        match self.mapped.get(&p) {
            Some(mapped) if mapped.expanded => mapped.instances.get(usize::try_from(map_index).ok()?).copied(),
            _ => (map_index == -1).then_some(p),
        }
    }

    /// The position of a task of this run.
    pub(crate) fn position(&self, task: &TaskId) -> Result<u32, Refused> {
        let position = self.plan.dag().position(task.as_str()).and_then(|position| u32::try_from(position).ok());
        position.ok_or_else(|| self.unknown(task))
    }

    pub(crate) fn unknown(&self, task: &TaskId) -> Refused {
        Refused::UnknownTask { dag: self.facts.dag_id.to_string(), task: task.to_string() }
    }

    /// Makes instances of a mapped task until there are so many; the first takes the place of the one that stood for
    /// all. Counters of other tasks are not touched.
    pub(crate) fn grow(&mut self, p: u32, length: u32) {
        let Some(mapped) = self.mapped.get_mut(&p) else { return };
        mapped.expanded = true;
        self.tasks[p as usize].map_index = 0;
        let have = u32::try_from(mapped.instances.len()).unwrap_or(u32::MAX);
        let (task, retries) = (self.plan.task(p).id.clone(), self.plan.task(p).retries);
        for index in have..length {
            let i = u32::try_from(self.tasks.len()).unwrap_or(u32::MAX);
            let map_index = i32::try_from(index).unwrap_or(i32::MAX);
            self.tasks.push(TaskSnapshot { map_index, ..TaskSnapshot::new(task.clone(), retries) });
            self.positions.push(p);
            self.routed_away.push(self.routed_away[p as usize]);
            self.is_dirty.push(false);
            mapped.instances.push(i);
            mapped.open += 1;
            self.open += 1;
        }
    }

    /// Counts the instances of a mapped task, as [`RunMachine::account`] does for the run.
    pub(crate) fn account_mapped(&mut self, i: u32, from: TaskState, to: TaskState) {
        if let Some(mapped) = self.mapped.get_mut(&self.positions[i as usize]) {
            mapped.open = mapped.open + u32::from(!to.is_final()) - u32::from(!from.is_final());
        }
    }
}
