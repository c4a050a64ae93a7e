//! Which task instances a person means.

use crate::event::{Refused, Selection};
use crate::run_machine::RunMachine;
use crate::setup_scope;

impl RunMachine {
    /// The instances of a selection, in the order of their numbers. All tasks and map indexes that it names must exist.
    pub(crate) fn selected(&self, selection: &Selection) -> Result<Vec<u32>, Refused> {
        let named = self.named(selection)?;
        let around = self.around(selection, &named);
        self.instances_selected(selection, &named, &around)
    }

    /// The same to be cleared: work that is to run again takes its setups and their teardowns along, as Airflow's
    /// `partial_subset` does.
    pub(crate) fn selected_to_clear(&self, selection: &Selection) -> Result<Vec<u32>, Refused> {
        let named = self.named(selection)?;
        let mut around = self.around(selection, &named);
        if !named.is_empty() {
            around.extend(setup_scope::along_with(&self.plan, &around));
            around.sort_unstable();
            around.dedup();
        }
        self.instances_selected(selection, &named, &around)
    }

    fn named(&self, selection: &Selection) -> Result<Vec<u32>, Refused> {
        selection.tasks.iter().map(|task| self.position(task)).collect()
    }

    fn instances_selected(&self, selection: &Selection, named: &[u32], around: &[u32]) -> Result<Vec<u32>, Refused> {
        let mut chosen = self.instances_of_all(around);
        if !selection.map_indexes.is_empty() {
            for &p in named {
                self.check_indexes(p, &selection.map_indexes)?;
            }
            chosen.retain(|&i| {
                let row = &self.tasks[i as usize];
                !named.contains(&self.position_of(i)) || selection.map_indexes.contains(&row.map_index)
            });
        }
        chosen.retain(|&i| {
            let running = self.tasks[i as usize].state.attempt().is_some();
            match (selection.only_failed, selection.only_running) {
                (false, false) => true,
                (failed, only_running) => failed && self.has_failed(i) || only_running && running,
            }
        });
        Ok(chosen)
    }

    /// The positions of the named tasks and of what is around them; without names, of all tasks.
    fn around(&self, selection: &Selection, named: &[u32]) -> Vec<u32> {
        let mut chosen = vec![named.is_empty(); self.plan.len()];
        for &p in named {
            chosen[p as usize] = true;
        }
        let directions = [(selection.upstream, &self.plan.upstream), (selection.downstream, &self.plan.downstream)];
        for (_, edges) in directions.into_iter().filter(|&(wanted, _)| wanted) {
            for (at, reached) in edges.reachable_from_any(named).into_iter().enumerate() {
                chosen[at] |= reached;
            }
        }
        (0_u32..).zip(chosen).filter(|&(_, c)| c).map(|(p, _)| p).collect()
    }

    fn check_indexes(&self, p: u32, indexes: &[i32]) -> Result<(), Refused> {
        let instances = self.instances_of(p);
        let missing =
            indexes.iter().find(|index| !instances.iter().any(|&i| self.tasks[i as usize].map_index == **index));
        match missing {
            None => Ok(()),
            Some(index) => Err(self.unknown(&format!("{}[{index}]", self.plan.task(p).id).as_str().into())),
        }
    }
}
