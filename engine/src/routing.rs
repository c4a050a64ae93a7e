//! Which tasks a branch or a short circuit skips (Airflow's `SkipMixin`, `BranchMixIn` and `NotPreviouslySkippedDep`).

use windrose_core::cause::Cause;
use windrose_core::outcome::Routing;
use windrose_core::task_state::{FinalState, TaskEvent, TaskState};
use windrose_core::time::Timestamp;

use crate::plan::Plan;
use crate::run_machine::RunMachine;
use crate::transition::Because;

/// A branch chose something that the DAG does not hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownBranch(Vec<String>);

impl UnknownBranch {
    pub(crate) fn into_cause(self) -> Cause {
        let names: Vec<_> = self.0.iter().map(|id| format!("'{id}'")).collect();
        let message = format!(
            "The branch chose {}, which this DAG does not hold. Return ids of tasks or groups of this DAG.",
            names.join(", ")
        );
        Cause::Failed { message }
    }
}

impl RunMachine {
    /// A branching task has succeeded: skips what it leads away from, except what runs, succeeded or failed.
    pub(crate) fn route(&mut self, now: Timestamp, i: u32, routing: Routing) -> Result<(), UnknownBranch> {
        let p = self.position_of(i);
        let skipped = skipped_by(&self.plan, p, &routing)?;
        self.tasks[i as usize].columns.routing = Some(routing);
        let by = format!("task '{}', which does not lead here", self.plan.task(p).id);
        for other in self.led_away(i, &skipped) {
            let leave = matches!(
                self.tasks[other as usize].state,
                TaskState::Running(_)
                    | TaskState::Final(FinalState::Success | FinalState::Failed | FinalState::Skipped)
            );
            if !leave {
                let because = Because { cause: None, by: &by };
                // A removed task instance stays removed.
                let _removed = self.change(now, other, TaskEvent::Decided(FinalState::Skipped), because);
            }
        }
        self.count_routing(i, &skipped, |count| *count += 1);
        Ok(())
    }

    /// Loads what a branch decided before a restart.
    pub(crate) fn apply_recorded_routing(&mut self, i: u32) {
        self.with_recorded_routing(i, |count| *count += 1);
    }

    /// A branching task is to decide again.
    pub(crate) fn forget_routing(&mut self, i: u32) {
        self.with_recorded_routing(i, |count| *count -= 1);
        self.tasks[i as usize].columns.routing = None;
    }

    fn with_recorded_routing(&mut self, i: u32, count: impl Fn(&mut u32)) {
        let Some(routing) = &self.tasks[i as usize].columns.routing else { return };
        // The plan of another DAG version may not hold what was chosen then.
        if let Ok(skipped) = skipped_by(&self.plan, self.position_of(i), routing) {
            self.count_routing(i, &skipped, count);
        }
    }

    /// The instances of these tasks, for a branch in a mapped group only its partners in there.
    fn led_away(&self, i: u32, tasks: &[u32]) -> Vec<u32> {
        let p = self.position_of(i);
        let of = |&other: &u32| {
            if self.plan.mapped_together(p, other) { self.partners_below(i, other) } else { self.instances_of(other) }
        };
        tasks.iter().flat_map(of).collect()
    }

    /// Only direct downstream tasks remember: a task that runs while it is skipped is skipped at its next try, and one
    /// that is cleared without the branch is skipped again.
    fn count_routing(&mut self, i: u32, skipped: &[u32], count: impl Fn(&mut u32)) {
        let p = self.position_of(i);
        let direct: Vec<u32> =
            skipped.iter().copied().filter(|other| self.plan.downstream.of(p).binary_search(other).is_ok()).collect();
        for other in self.led_away(i, &direct) {
            count(&mut self.routed_away[other as usize]);
        }
    }
}

/// The tasks that a routing skips, in the order of the file.
pub(crate) fn skipped_by(plan: &Plan, p: u32, routing: &Routing) -> Result<Vec<u32>, UnknownBranch> {
    match routing {
        Routing::Follow { ids } => {
            let followed = resolve(plan, p, ids)?;
            Ok(not_reached(plan, p, &followed))
        }
        Routing::SkipDownstream { ignore_trigger_rules } => {
            let is_teardown = |&other: &u32| plan.task(other).teardown.is_some();
            if !ignore_trigger_rules {
                return Ok(plan.downstream.of(p).iter().copied().filter(|o| !is_teardown(o)).collect());
            }
            let below = plan.downstream.reachable(p);
            Ok((0_u32..).zip(below).filter(|&(_, r)| r).map(|(o, _)| o).filter(|o| !is_teardown(o)).collect())
        }
    }
}

/// Ids as tasks; a group stands for its roots. An id may leave out the branch's own group.
fn resolve<Id: AsRef<str>>(plan: &Plan, p: u32, ids: &[Id]) -> Result<Vec<u32>, UnknownBranch> {
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for id in ids {
        let relative = plan.task(p).group.as_ref().map(|group| format!("{group}.{}", id.as_ref()));
        let candidates = std::iter::once(id.as_ref()).chain(relative.as_deref());
        match candidates.filter_map(|id| tasks_named(plan, id)).next() {
            Some(tasks) => found.extend(tasks),
            None => unknown.push(id.as_ref().to_owned()),
        }
    }
    if unknown.is_empty() { Ok(found) } else { Err(UnknownBranch(unknown)) }
}

fn tasks_named(plan: &Plan, id: &str) -> Option<Vec<u32>> {
    if plan.dag().groups.contains_key(id) {
        return Some(group_roots(plan, id));
    }
    plan.dag().position(id).and_then(|p| u32::try_from(p).ok()).map(|p| vec![p])
}

fn group_roots(plan: &Plan, group: &str) -> Vec<u32> {
    let inside = |p: u32| {
        let mut at = plan.task(p).group.as_deref();
        while let Some(id) = at {
            if id == group {
                return true;
            }
            at = plan.dag().groups.get(id).and_then(|g| g.parent.as_deref());
        }
        false
    };
    let members: Vec<u32> = (0..u32::try_from(plan.len()).unwrap_or(u32::MAX)).filter(|&p| inside(p)).collect();
    let is_root = |p: &u32| plan.upstream.of(*p).iter().all(|above| members.binary_search(above).is_err());
    members.iter().copied().filter(is_root).collect()
}

/// The direct downstream tasks of `p` that are neither followed nor below one that is.
fn not_reached(plan: &Plan, p: u32, followed: &[u32]) -> Vec<u32> {
    let mut missing: std::collections::BTreeSet<u32> = plan.downstream.of(p).iter().copied().collect();
    // No path leads to a task of lower rank, so the walk ends at the last one that is still missing.
    let Some(last) = missing.iter().map(|&m| plan.rank[m as usize]).max() else { return Vec::new() };
    let mut seen: std::collections::HashSet<u32> = followed.iter().copied().collect();
    let mut open = followed.to_vec();
    while let Some(at) = open.pop() {
        missing.remove(&at);
        if missing.is_empty() {
            break;
        }
        for &next in plan.downstream.of(at) {
            if plan.rank[next as usize] <= last && seen.insert(next) {
                open.push(next);
            }
        }
    }
    missing.into_iter().collect()
}
