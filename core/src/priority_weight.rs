//! Airflow's effective priority weight: a task's own weight and, by its weight rule, those of everything downstream or
//! upstream of it, each relative counted once.
//!
//! Relatives are counted 64 at a time: one bit per relative travels along the edges in topological order. That takes
//! time in `tasks / 64 × edges` and memory in `tasks`, so a DAG at the size limit is a matter of a second.

use petgraph::Direction;
use petgraph::graph::NodeIndex;

use crate::dag::{Dag, WeightRule};

const BLOCK: usize = 64;

impl Dag {
    /// What admission sorts by: one weight per task, in the order of [`Dag::tasks`], within the range of `i32` as in
    /// Airflow.
    #[must_use]
    pub fn effective_priority_weights(&self) -> Vec<i64> {
        let own: Vec<i64> = self.tasks.iter().map(|t| t.priority_weight).collect();
        let uses = |rule| self.tasks.iter().any(|t| t.weight_rule == rule);
        let sums = |rule, direction| if uses(rule) { self.sums_over_relatives(&own, direction) } else { Vec::new() };
        let downstream = sums(WeightRule::Downstream, Direction::Outgoing);
        let upstream = sums(WeightRule::Upstream, Direction::Incoming);
        let weight = |position: usize| match self.tasks[position].weight_rule {
            WeightRule::Downstream => downstream[position],
            WeightRule::Upstream => upstream[position],
            WeightRule::Absolute => own[position],
        };
        (0..own.len()).map(|position| weight(position).clamp(i64::from(i32::MIN), i64::from(i32::MAX))).collect()
    }

    /// For each task the weights of itself and of all it reaches in that direction.
    fn sums_over_relatives(&self, own: &[i64], direction: Direction) -> Vec<i64> {
        // A graph with a cycle has no order; validation refuses it, and its own weight is all that can be said.
        let Ok(mut order) = petgraph::algo::toposort(&self.graph, None) else { return own.to_vec() };
        if direction == Direction::Outgoing {
            order.reverse();
        }
        let mut sums = vec![0_i64; own.len()];
        let mut reached = vec![0_u64; own.len()];
        for (block, weights) in own.chunks(BLOCK).enumerate() {
            for &node in &order {
                let mut bits = bit_of(node, block);
                for next in self.graph.neighbors_directed(node, direction) {
                    bits |= reached[next.index()];
                }
                reached[node.index()] = bits;
                if bits != 0 {
                    sums[node.index()] = sums[node.index()].saturating_add(sum_of_bits(bits, weights));
                }
            }
        }
        sums
    }
}

fn bit_of(node: NodeIndex, block: usize) -> u64 {
    let index = node.index();
    if index / BLOCK == block { 1 << (index % BLOCK) } else { 0 }
}

fn sum_of_bits(mut bits: u64, weights: &[i64]) -> i64 {
    let mut sum = 0_i64;
    while bits != 0 {
        sum = sum.saturating_add(weights[bits.trailing_zeros() as usize]);
        bits &= bits - 1;
    }
    sum
}
