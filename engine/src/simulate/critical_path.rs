//! The attempts that determined when a run ended: none of them could be ready before the one before it was over.

use std::collections::BTreeSet;

use super::attempts::SimAttempt;
use crate::plan::Plan;

/// Positions in `attempts`, which stand in the order of their ends, from the first to the last.
pub(super) fn critical_path(plan: &Plan, attempts: &[SimAttempt]) -> Vec<usize> {
    let tried: BTreeSet<usize> = attempts.iter().map(|attempt| attempt.position).collect();
    let mut path = Vec::new();
    let mut next = attempts.len().checked_sub(1);
    while let Some(at) = next {
        path.push(at);
        let last = &attempts[at];
        let above = tried_above(plan, last.position, &tried);
        let leads_to = |before: &SimAttempt| {
            (above.contains(&before.position) || before.key == last.key) && before.ended <= last.ready
        };
        next = attempts[..at].iter().rposition(leads_to);
    }
    path.reverse();
    path
}

/// The tasks above this one, beyond those that never had an attempt.
fn tried_above(plan: &Plan, position: usize, tried: &BTreeSet<usize>) -> BTreeSet<usize> {
    let (mut above, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), vec![position]);
    while let Some(position) = open.pop() {
        let direct = u32::try_from(position).map(|p| plan.upstream.of(p)).unwrap_or_default();
        for &up in direct.iter().filter(|&&up| seen.insert(up)) {
            let up = up as usize;
            if tried.contains(&up) {
                above.insert(up);
            } else {
                open.push(up);
            }
        }
    }
    above
}
