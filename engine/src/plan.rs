//! A DAG version, compiled for running: made once, shared by all runs of that version.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use windrose_core::dag::{Dag, Task};
use windrose_core::mapping::Expansion;

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
    /// Task → those that wait for it because of a setup's scope, without being directly below it.
    pub(crate) scopes: HashMap<u32, Vec<u32>>,
    /// The other way round, in order.
    scope_above: HashMap<u32, Vec<u32>>,
    /// What a task's counters are before anything has ended.
    pub(crate) fresh_counts: Vec<UpstreamCounts>,
    /// The same for what it waits for because of a setup's scope, for those tasks that do.
    pub(crate) fresh_scope_counts: HashMap<u32, UpstreamCounts>,
    /// Tasks of the same mapped group have the same number here.
    mapped_group: Vec<Option<u32>>,
    /// Mapped task → the tasks it is mapped over.
    pub(crate) sources: HashMap<u32, Vec<u32>>,
    /// The other way round.
    pub(crate) mapped_by: HashMap<u32, Vec<u32>>,
    max_map_length: usize,
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
        let scopes = setup_scope::indirect_scopes(&dag, &upstream, &downstream);
        let (sources, mapped_by) = mapped_over(&dag);
        let mut plan = Self {
            upstream,
            downstream,
            rank: ranks(&dag),
            scopes,
            scope_above: HashMap::new(),
            fresh_counts: vec![UpstreamCounts::default(); count],
            fresh_scope_counts: HashMap::new(),
            mapped_group: mapped_groups(&dag),
            sources,
            mapped_by,
            max_map_length: dag.max_map_length,
            weights: OnceLock::new(),
            dag,
        };
        plan.count_fresh(&pairs);
        plan
    }

    /// A task whose return value is longer than this fails if others are mapped over it (Airflow's `max_map_length`).
    #[must_use]
    pub fn with_max_map_length(self, max_map_length: usize) -> Self {
        Self { max_map_length, ..self }
    }

    /// Edges between tasks of one mapped group are left out: there each instance has counters of its own.
    fn count_fresh(&mut self, pairs: &[(u32, u32)]) {
        for &(below, above) in pairs {
            if !self.mapped_together(above, below) {
                let (instances, is_setup) = (self.first_length(above), self.task(above).setup);
                self.fresh_counts[below as usize].add_unfinished(instances, is_setup);
            }
        }
        let mut fresh: HashMap<u32, UpstreamCounts> = HashMap::new();
        let mut scope_above: HashMap<u32, Vec<u32>> = HashMap::new();
        for (&above, waiting) in &self.scopes {
            for &p in waiting {
                scope_above.entry(p).or_default().push(above);
                let together = self.mapped_together(above, p);
                fresh.entry(p).or_default().add_unfinished(if together { 0 } else { self.first_length(above) }, true);
            }
        }
        self.fresh_scope_counts = fresh;
        scope_above.values_mut().for_each(|above| above.sort_unstable());
        self.scope_above = scope_above;
    }

    /// What a task is mapped over, by itself or with its group.
    pub(crate) fn expansion(&self, p: u32) -> Option<&Expansion> {
        self.dag.expansion(p as usize)
    }

    /// What a task waits for because of a setup's scope.
    pub(crate) fn scope_above(&self, p: u32) -> &[u32] {
        self.scope_above.get(&p).map_or(&[], Vec::as_slice)
    }

    /// Whether two tasks are in the same mapped group, so that their instances go together one by one.
    pub(crate) fn mapped_together(&self, one: u32, other: u32) -> bool {
        let group = self.mapped_group[one as usize];
        group.is_some() && group == self.mapped_group[other as usize]
    }

    pub(crate) const fn max_map_length(&self) -> usize {
        self.max_map_length
    }

    /// How many instances a task has from the start, if the DAG file alone says so; an empty one is found out later.
    pub(crate) fn literal_length(&self, p: u32) -> Option<u32> {
        let length = self.expansion(p)?.literal_length().filter(|&length| length > 0)?;
        u32::try_from(length).ok()
    }

    fn first_length(&self, p: u32) -> u32 {
        self.literal_length(p).unwrap_or(1)
    }

    /// The task instances of a new run, by position and map index, in the order of the file.
    pub fn first_instances(&self) -> impl Iterator<Item = (usize, i32)> {
        (0_u32..).zip(&self.dag.tasks).flat_map(|(p, _)| {
            let indexes = match self.literal_length(p) {
                Some(length) => 0..i32::try_from(length).unwrap_or(i32::MAX),
                None => -1..0,
            };
            indexes.map(move |index| (p as usize, index))
        })
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

fn mapped_groups(dag: &Dag) -> Vec<Option<u32>> {
    let mut numbers = BTreeMap::new();
    let mut number_of = |id: &str| {
        let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        *numbers.entry(id.to_owned()).or_insert(next)
    };
    (0..dag.tasks.len()).map(|position| dag.mapped_group(position).map(|group| number_of(&group.id))).collect()
}

type Neighbours = HashMap<u32, Vec<u32>>;

/// Which tasks each task is mapped over, and the other way round.
fn mapped_over(dag: &Dag) -> (Neighbours, Neighbours) {
    let (mut sources, mut mapped_by) = (Neighbours::new(), Neighbours::new());
    for p in 0..u32::try_from(dag.tasks.len()).unwrap_or(u32::MAX) {
        let Some(expansion) = dag.expansion(p as usize) else { continue };
        let position = |task: &&windrose_core::ids::TaskId| u32::try_from(dag.position(task.as_str())?).ok();
        let over: Vec<u32> = expansion.tasks().iter().filter_map(position).collect();
        for &source in &over {
            mapped_by.entry(source).or_default().push(p);
        }
        sources.insert(p, over);
    }
    (sources, mapped_by)
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
