//! What tasks wait for besides what is directly upstream of them, because of setups and teardowns: a task in the scope of
//! a setup waits for the setup (Airflow's `get_upstreams_only_setups`), and a teardown for everything in its scope
//! (`_evaluate_teardown_scope` of Airflow's trigger rules).

use std::collections::HashMap;

use windrose_core::dag::Dag;

use crate::plan::{Edges, Plan};

/// For each task those that wait for it without being directly below it, in order: for a setup what is in its scope, and
/// for everything in a scope the teardown that ends it.
pub(crate) fn indirect_scopes(dag: &Dag, upstream: &Edges, downstream: &Edges) -> HashMap<u32, Vec<u32>> {
    let is_teardown = |p: u32| dag.tasks[p as usize].teardown.is_some();
    let mut scopes: HashMap<u32, Vec<u32>> = HashMap::new();
    for (setup, _) in (0_u32..).zip(&dag.tasks).filter(|(_, task)| task.setup) {
        let below = downstream.reachable(setup);
        let teardowns: Vec<u32> = downstream.of(setup).iter().copied().filter(|&p| is_teardown(p)).collect();
        // Without a teardown the scope has no end.
        let ends_in_scope: Option<Vec<bool>> = (!teardowns.is_empty()).then(|| upstream.reachable_from_any(&teardowns));
        let scope: Vec<u32> = (0_u32..)
            .zip(&below)
            .filter(|&(_, &reached)| reached)
            .map(|(p, _)| p)
            .filter(|&p| ends_in_scope.as_ref().is_none_or(|ends| ends[p as usize]))
            .filter(|&p| !is_teardown(p) && downstream.of(setup).binary_search(&p).is_err())
            .collect();
        if !scope.is_empty() {
            scopes.insert(setup, scope);
        }
    }
    for (teardown, _) in (0_u32..).zip(&dag.tasks).filter(|(_, task)| task.teardown.is_some()) {
        let direct = upstream.of(teardown);
        let setups: Vec<u32> = direct.iter().copied().filter(|&p| dag.tasks[p as usize].setup).collect();
        let (above, below) = (upstream.reachable(teardown), downstream.reachable_from_any(&setups));
        for p in (0_u32..).take(dag.tasks.len()) {
            if above[p as usize] && below[p as usize] && direct.binary_search(&p).is_err() {
                scopes.entry(p).or_default().push(teardown);
            }
        }
    }
    scopes.values_mut().for_each(|waiting| waiting.sort_unstable());
    scopes
}

/// What is cleared along with these tasks: for work the setups in whose scope it is and their teardowns (Airflow's
/// `get_upstreams_only_setups_and_teardowns`), and for a setup its own teardowns.
pub(crate) fn along_with(plan: &Plan, tasks: &[u32]) -> Vec<u32> {
    let mut along = Vec::new();
    for setup in (0_u32..).take(plan.len()).filter(|&p| plan.task(p).setup) {
        let teardowns = plan.downstream.of(setup).iter().copied().filter(|&p| plan.task(p).teardown.is_some());
        let teardowns: Vec<u32> = teardowns.collect();
        if tasks.contains(&setup) {
            along.extend(teardowns);
            continue;
        }
        let below = plan.downstream.reachable(setup);
        let ends_in_scope = plan.upstream.reachable_from_any(&teardowns);
        let is_in_scope = |&p: &u32| {
            let work = !plan.task(p).setup && plan.task(p).teardown.is_none();
            work && below[p as usize] && (teardowns.is_empty() || ends_in_scope[p as usize])
        };
        if tasks.iter().any(is_in_scope) {
            along.push(setup);
            along.extend(teardowns);
        }
    }
    along
}
