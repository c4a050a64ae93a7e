//! DAGs of all shapes for property tests.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::Value;
use windrose_core::catalog::OperatorKind;
use windrose_core::dag::{Dag, Group, OnLost, Task};
use windrose_core::mapping::{Expansion, Source};
use windrose_core::trigger_rule::TriggerRule;

/// What one task is like, and which of the tasks before it are upstream of it (bits).
pub(crate) type Shape = (u64, usize, u32, u32);

fn task(number: usize, &(_, rule, retries, traits): &Shape) -> Task {
    let kind = if traits % 11 == 0 { OperatorKind::Empty } else { OperatorKind::Work };
    let mut task = Task::new(format!("t{number}").into(), "op", kind);
    // Half of all tasks keep the default, as in real DAGs.
    task.trigger_rule = TriggerRule::ALL.get(rule).copied().unwrap_or_default();
    task.retries = retries;
    task.retry_delay = Duration::from_secs(u64::from(traits % 3) * 60);
    task.depends_on_past = traits % 7 == 1;
    task.wait_for_downstream = traits % 13 == 1;
    task.setup = traits % 9 == 2;
    task.teardown = (traits % 9 == 3).then(Vec::new);
    task.on_failure_fail_dagrun = traits % 2 == 0;
    task.on_lost = if traits % 5 == 4 { OnLost::Fail } else { OnLost::Retry };
    task.pool_slots = 1 + traits % 2;
    task.max_active_tis_per_dag = (traits % 4 == 0).then_some(1);
    task
}

/// Maps some tasks over one directly upstream of them, others over a list of the file, and some of the rest together in a
/// group.
fn map_some(tasks: &mut [Task], shapes: &[Shape], edges: &[(u32, u32)]) -> Option<Group> {
    let literal = |length: u32| Source::List(vec![Value::from(1); length as usize]);
    for number in 0..tasks.len() {
        let traits = shapes[number].3 / 16;
        let above = edges.iter().find(|(_, below)| *below as usize == number).map(|(above, _)| *above as usize);
        let source = match (traits % 6, above) {
            (0, Some(above)) => Source::XCom(tasks[above].id.clone()),
            (1, _) => literal(traits % 4),
            _ => continue,
        };
        tasks[number].expansion = Some(Expansion::Product(vec![("x".to_owned(), source)]));
    }
    let traits = shapes[0].3 / 128;
    // In the order of the file nothing outside lies between them, so no path leaves the group and comes back.
    let first = 1 + traits as usize % tasks.len();
    let grouped = |task: &&mut Task| task.expansion.is_none() && !traits.is_multiple_of(3);
    let of_group: Vec<&mut Task> = tasks.iter_mut().skip(first).take(3).take_while(grouped).collect();
    let any = !of_group.is_empty();
    for task in of_group {
        task.group = Some("g".to_owned());
    }
    let source = if traits.is_multiple_of(2) { literal(2) } else { Source::XCom(tasks[0].id.clone()) };
    let expansion = Some(Expansion::Product(vec![("x".to_owned(), source)]));
    any.then(|| Group { id: "g".to_owned(), parent: None, tooltip: None, expansion })
}

/// A DAG of up to twelve tasks with any edges, rules, retries, setups, teardowns and limits.
pub(crate) fn any_dag() -> impl Strategy<Value = Dag> {
    let shape = (any::<u64>(), 0..26_usize, 0..3_u32, any::<u32>());
    (proptest::collection::vec(shape, 1..12), 0..10_u32).prop_map(|(shapes, traits)| dag_of(&shapes, traits))
}

/// The DAG of these shapes.
pub(crate) fn dag_of(shapes: &[Shape], traits: u32) -> Dag {
    let tasks: Vec<Task> = shapes.iter().enumerate().map(|(number, shape)| task(number, shape)).collect();
    let mut edges = Vec::new();
    for (below, shape) in (0_u32..).zip(shapes) {
        // Two bits per pair keep it sparse enough to be interesting.
        edges.extend((0..below).filter(|above| shape.0 >> (above * 2) & 3 == 0).map(|above| (above, below)));
    }
    let mut tasks = tasks;
    let grouped = map_some(&mut tasks, shapes, &edges);
    let mut dag = Dag::new("d".into(), tasks, edges);
    dag.groups.extend(grouped.map(|group| (group.id.clone(), group)));
    dag.fail_fast = traits == 0;
    dag.max_active_tasks = if traits.is_multiple_of(2) { 2 } else { 16 };
    dag.dagrun_timeout = (traits == 1).then(|| Duration::from_secs(1200));
    dag
}
