//! The order in which somebody wrote the tasks: that of every list of task instances.

use std::collections::HashMap;

use crate::catalog::Catalog;
use crate::dag_file::{DagSource, Defaults, parse};
use crate::ids::TaskId;

/// The places of a DAG version's tasks in its file.
#[derive(Debug, Clone, Default)]
pub struct TaskOrder(HashMap<TaskId, usize>);

impl TaskOrder {
    /// That of a version's text. One that cannot be read any more gives no order.
    #[must_use]
    pub fn of(source: &DagSource, catalog: &dyn Catalog, defaults: &Defaults) -> Self {
        let dag = parse(source, catalog, defaults).ok();
        let tasks = dag.into_iter().flat_map(|dag| dag.tasks).enumerate();
        Self(tasks.map(|(place, task)| (task.id, place)).collect())
    }

    /// Sorts rows; those of tasks that the version does not hold come last, and rows of one task stay as they are.
    pub fn sort<R>(&self, rows: &mut [R], task: impl Fn(&R) -> &TaskId) {
        rows.sort_by_key(|row| self.0.get(task(row)).copied().unwrap_or(usize::MAX));
    }
}
