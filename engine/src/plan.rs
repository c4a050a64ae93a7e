//! A DAG version, compiled for running: made once, shared by all runs of that version.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use windrose_core::dag::{Dag, Task};

use crate::counters::UpstreamCounts;
use crate::setup_scope;

/// A DAG with what the engine asks of its graph all the time.
#[derive(Debug)]
pub struct Plan {
    dag: Arc<Dag>,
    pub(crate) upstream: Edges,
    pub(crate) downstream: Edges,
    /// Position in a topological order, by task.
    pub(crate) rank: Vec<u32>,
    /// Setup → tasks in its scope that are not directly below it.
    pub(crate) scopes: HashMap<u32, Vec<u32>>,
    /// What a task's counters are before anything has ended.
    pub(crate) fresh_counts: Vec<UpstreamCounts>,
    /// The same for the setups in whose scope it indirectly stands, for those tasks that have any.
    pub(crate) fresh_setup_counts: HashMap<u32, UpstreamCounts>,
    weights: OnceLock<Vec<i64>>,
}

impl Plan {
    /// Compiles a DAG, in time linear in its size for DAGs without setups; each setup costs one walk over what is below.
    #[must_use]
    pub fn new(dag: Arc<Dag>) -> Self {
        let count = dag.tasks.len();
        let mut pairs: Vec<(u32, u32)> =
            dag.graph.raw_edges().iter().map(|e| (index(e.source()), index(e.target()))).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let downstream = Edges::new(count, &pairs);
        for pair in &mut pairs {
            *pair = (pair.1, pair.0);
        }
        pairs.sort_unstable();
        let upstream = Edges::new(count, &pairs);
        let mut fresh_counts = vec![UpstreamCounts::default(); count];
        for &(below, above) in &pairs {
            fresh_counts[below as usize].expect(dag.tasks[above as usize].setup);
        }
        let scopes = setup_scope::indirect_scopes(&dag, &upstream, &downstream);
        let mut fresh_setup_counts: HashMap<u32, UpstreamCounts> = HashMap::new();
        for &p in scopes.values().flatten() {
            fresh_setup_counts.entry(p).or_default().expect(true);
        }
        let rank = ranks(&dag);
        Self { dag, upstream, downstream, rank, scopes, fresh_counts, fresh_setup_counts, weights: OnceLock::new() }
    }

    /// The DAG.
    #[must_use]
    pub const fn dag(&self) -> &Arc<Dag> {
        &self.dag
    }

    pub(crate) fn len(&self) -> usize {
        self.dag.tasks.len()
    }

    pub(crate) fn task(&self, p: u32) -> &Task {
        &self.dag.tasks[p as usize]
    }

    /// A task's effective priority weight. The first call works them out for all tasks.
    pub(crate) fn weight(&self, p: u32) -> i64 {
        self.weights.get_or_init(|| self.dag.effective_priority_weights())[p as usize]
    }

    /// Whether any task depends on the previous run.
    #[must_use]
    pub fn depends_on_past(&self) -> bool {
        self.dag.tasks.iter().any(crate::past::depends_on_past)
    }

    /// Whether the run's state is judged by this task. Teardowns do not count unless they say so, and a task with nothing
    /// but such teardowns below it counts (Airflow's `_tis_for_dagrun_state`).
    pub(crate) fn leaves(&self) -> Vec<u32> {
        let counts = |p: u32| self.task(p).teardown.is_none() || self.task(p).on_failure_fail_dagrun;
        let all = || 0..u32::try_from(self.len()).unwrap_or(u32::MAX);
        let leaves: Vec<u32> =
            all().filter(|&p| counts(p) && !self.downstream.of(p).iter().any(|&d| counts(d))).collect();
        if leaves.is_empty() { all().filter(|&p| self.downstream.of(p).is_empty()).collect() } else { leaves }
    }
}

fn index(node: petgraph::graph::NodeIndex) -> u32 {
    u32::try_from(node.index()).unwrap_or(u32::MAX)
}

fn ranks(dag: &Dag) -> Vec<u32> {
    let mut rank = vec![0; dag.tasks.len()];
    // A graph with a cycle has no order; validation refuses it.
    for (at, node) in (0_u32..).zip(petgraph::algo::toposort(&dag.graph, None).unwrap_or_default()) {
        rank[node.index()] = at;
    }
    rank
}

/// Neighbours of every task in one direction, each list in the order of the file.
#[derive(Debug)]
pub(crate) struct Edges {
    starts: Vec<u32>,
    ends: Vec<u32>,
}

impl Edges {
    /// From sorted pairs without duplicates.
    fn new(count: usize, pairs: &[(u32, u32)]) -> Self {
        let mut starts = vec![0_u32; count + 1];
        for &(from, _) in pairs {
            starts[from as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        Self { starts, ends: pairs.iter().map(|&(_, to)| to).collect() }
    }

    pub(crate) fn of(&self, p: u32) -> &[u32] {
        &self.ends[self.starts[p as usize] as usize..self.starts[p as usize + 1] as usize]
    }

    /// By task: whether it can be reached from `start` over at least one edge.
    pub(crate) fn reachable(&self, start: u32) -> Vec<bool> {
        self.reachable_from_any(&[start])
    }

    pub(crate) fn reachable_from_any(&self, starts: &[u32]) -> Vec<bool> {
        let mut seen = vec![false; self.starts.len() - 1];
        let mut open = starts.to_vec();
        while let Some(p) = open.pop() {
            for &next in self.of(p) {
                if !std::mem::replace(&mut seen[next as usize], true) {
                    open.push(next);
                }
            }
        }
        seen
    }
}
