//! The roots and leaves of a group, as Airflow finds them.

use std::collections::HashSet;
use std::rc::Rc;

use super::edges::{Edges, End};
use super::groups::Groups;
use super::task_fields::DeclaredTask;

type Positions = Rc<[u32]>;

/// Remembers what it has found until an edge within the group is added.
pub(super) struct GroupEnds {
    roots: Vec<Option<Positions>>,
    leaves: Vec<Option<Positions>>,
}

impl GroupEnds {
    pub(super) fn new(groups: usize) -> Self {
        Self { roots: vec![None; groups], leaves: vec![None; groups] }
    }

    /// An edge was added: groups that hold both its ends may have other roots and leaves now.
    pub(super) fn forget_groups_around(&mut self, from: u32, to: u32, groups: &Groups) {
        for group in groups.outwards(groups.of_task(from)) {
            if groups.outwards(groups.of_task(to)).any(|other| other == group) {
                self.roots[group as usize] = None;
                self.leaves[group as usize] = None;
            }
        }
    }

    /// The tasks without an upstream within the group.
    pub(super) fn roots(&mut self, end: End, groups: &Groups, edges: &Edges) -> Positions {
        let group = match end {
            End::Task(task) => return [task].into(),
            End::Group(group) => group,
        };
        let slot = &mut self.roots[group as usize];
        Rc::clone(slot.get_or_insert_with(|| {
            let inside: HashSet<u32> = groups.members(group).iter().copied().collect();
            let is_root = |task: &u32| edges.up[*task as usize].iter().all(|upstream| !inside.contains(upstream));
            groups.members(group).iter().copied().filter(is_root).collect()
        }))
    }

    /// The tasks without a downstream within the group, where teardowns count for what they tear down after.
    pub(super) fn leaves(&mut self, end: End, tasks: &[DeclaredTask], groups: &Groups, edges: &Edges) -> Positions {
        let group = match end {
            End::Task(task) => return [task].into(),
            End::Group(group) => group,
        };
        let slot = &mut self.leaves[group as usize];
        Rc::clone(slot.get_or_insert_with(|| find_leaves(groups.members(group), tasks, edges)))
    }
}

fn find_leaves(members: &[u32], tasks: &[DeclaredTask], edges: &Edges) -> Positions {
    let inside: HashSet<u32> = members.iter().copied().collect();
    let is_teardown = |task: u32| tasks[task as usize].task.teardown.is_some();
    let has_other_work_below = |task: u32, except: u32| {
        edges.down[task as usize].iter().any(|&below| below != except && inside.contains(&below) && !is_teardown(below))
    };
    let mut leaves = Vec::new();
    let mut found = HashSet::new();
    let mut seen = HashSet::new();
    for &task in members {
        if edges.down[task as usize].iter().any(|below| inside.contains(below)) {
            continue;
        }
        if !is_teardown(task) {
            if found.insert(task) {
                leaves.push(task);
            }
            continue;
        }
        // From a teardown at the end go up to the last work before it; the setups it belongs to are not that work.
        let mut pending = vec![task];
        while let Some(teardown) = pending.pop() {
            if !seen.insert(teardown) {
                continue;
            }
            for &above in edges.up[teardown as usize].iter().filter(|above| inside.contains(above)) {
                if is_teardown(above) {
                    pending.push(above);
                } else if !tasks[above as usize].task.setup
                    && !has_other_work_below(above, teardown)
                    && found.insert(above)
                {
                    leaves.push(above);
                }
            }
        }
    }
    leaves.into()
}
