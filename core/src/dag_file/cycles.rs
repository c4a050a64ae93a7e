//! Cycles among the tasks, each with all its tasks by name.

use std::collections::{HashMap, HashSet, VecDeque};

use petgraph::graph::{DiGraph, NodeIndex};

use super::edges::Edges;
use super::reporter::{Finding, Reporter};
use super::task_fields::DeclaredTask;

/// More names than this help nobody.
const MAX_NAMES: usize = 1_000;

/// Reports every set of tasks that wait for one another.
pub(super) fn check_cycles(tasks: &[DeclaredTask], edges: &Edges, reporter: &mut Reporter<'_>) {
    let mut graph = DiGraph::<(), ()>::with_capacity(tasks.len(), 0);
    for _ in tasks {
        graph.add_node(());
    }
    for (from, to) in edges.iter() {
        graph.add_edge(NodeIndex::new(from as usize), NodeIndex::new(to as usize), ());
    }
    if petgraph::algo::toposort(&graph, None).is_ok() {
        return;
    }
    // Kosaraju's algorithm, as the one in petgraph does not recurse.
    for component in petgraph::algo::kosaraju_scc(&graph) {
        if component.len() > 1 {
            let members: HashSet<u32> = component.iter().filter_map(|node| u32::try_from(node.index()).ok()).collect();
            report(&members, tasks, edges, reporter);
        }
    }
}

fn report(members: &HashSet<u32>, tasks: &[DeclaredTask], edges: &Edges, reporter: &mut Reporter<'_>) {
    let Some(start) = members.iter().copied().min() else { return };
    let cycle = shortest_cycle(start, members, edges);
    let name = |&task: &u32| tasks[task as usize].task.id.as_str();
    let mut path: Vec<&str> = cycle.iter().take(MAX_NAMES).map(name).collect();
    path.push(if cycle.len() > MAX_NAMES { "…" } else { name(&start) });
    let last = cycle.last().copied().unwrap_or(start);
    let message = format!("these tasks wait for one another: {}", path.join(" → "));
    let finding = Finding::error(edges.place(last, start), message).label("this closes the cycle");
    let on_cycle: HashSet<u32> = cycle.iter().copied().collect();
    let mut others: Vec<u32> = members.difference(&on_cycle).copied().take(MAX_NAMES).collect();
    others.sort_unstable();
    reporter.add(if others.is_empty() {
        finding.help("remove one of these edges")
    } else {
        let others: Vec<&str> = others.iter().map(name).collect();
        finding.help(format!("remove one of these edges; also in a cycle with them: {}", others.join(", ")))
    });
}

/// The tasks of a shortest cycle through `start`, in the direction of the edges.
fn shortest_cycle(start: u32, members: &HashSet<u32>, edges: &Edges) -> Vec<u32> {
    let mut came_from: HashMap<u32, u32> = HashMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(task) = queue.pop_front() {
        for &next in edges.down[task as usize].iter().filter(|next| members.contains(next)) {
            if next == start {
                let back = std::iter::successors(Some(task), |task| came_from.get(task).copied());
                let mut cycle: Vec<u32> = back.collect();
                cycle.reverse();
                return cycle;
            }
            if let std::collections::hash_map::Entry::Vacant(slot) = came_from.entry(next) {
                slot.insert(task);
                queue.push_back(next);
            }
        }
    }
    vec![start]
}
