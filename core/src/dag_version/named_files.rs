//! The files that the tasks of a DAG name.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::catalog::{Catalog, NamedFile};
use crate::dag::{Dag, Task};
use crate::ids::TaskId;
use crate::mapping::{Expansion, Source};

/// A file, and the first task that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The task.
    pub task: TaskId,
    /// The file.
    pub file: NamedFile,
}

/// Everything that the tasks of a DAG name, literal mapped arguments included, each name once.
#[must_use]
pub fn named_files(dag: &Dag, catalog: &dyn Catalog) -> Vec<Named> {
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for task in &dag.tasks {
        for parameters in std::iter::once(task.parameters.clone()).chain(mapped_arguments(task)) {
            for file in catalog.files(&task.operator, &parameters) {
                if seen.insert((file.name.clone(), file.kind)) {
                    all.push(Named { task: task.id.clone(), file });
                }
            }
        }
    }
    all
}

fn mapped_arguments(task: &Task) -> Vec<Map<String, Value>> {
    let one = |name: &String, value: &Value| Map::from_iter([(name.clone(), value.clone())]);
    match &task.expansion {
        None => Vec::new(),
        Some(Expansion::Product(arguments)) => {
            let of = |(name, source): &(String, Source)| -> Vec<_> {
                literals(source).into_iter().map(|value| one(name, value)).collect()
            };
            arguments.iter().flat_map(of).collect()
        }
        Some(Expansion::Kwargs(source)) => literals(source).into_iter().filter_map(Value::as_object).cloned().collect(),
    }
}

/// The values that the DAG file itself gives.
fn literals(source: &Source) -> Vec<&Value> {
    match source {
        Source::List(items) => items.iter().collect(),
        Source::Zip { sources, .. } | Source::Concat(sources) => sources.iter().flat_map(literals).collect(),
        Source::Table(_) | Source::XCom(_) => Vec::new(),
    }
}
