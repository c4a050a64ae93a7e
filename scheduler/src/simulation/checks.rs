//! What must hold after every step, whatever has happened.

use windrose_core::run_state::RunState;
use windrose_core::task_state::TaskState;
use windrose_engine::explain::Reason;
use windrose_engine::{RunMachine, TaskSnapshot};

use super::worker::Worker;
use super::world::{POOLS, World};
use crate::runs::Runs;

impl World {
    /// Panics with what does not hold.
    pub(super) fn check(&self) {
        self.check_pools();
        self.check_ends();
        // In between, memory is ahead of the rows, as before the first turn of a process.
        if let Some(process) = self.process.as_ref().filter(|process| process.runs.outbox.batch.is_empty()) {
            for live in process.runs.live.values() {
                self.check_rows(&live.machine);
                check_wakers(&process.runs, &process.workers, &live.machine);
            }
        }
    }

    /// All runs have ended, but for those that wait for the run before them (which may have failed, so that they wait for
    /// a person, as in Airflow), and those for which these leave no place.
    pub(super) fn only_the_past_is_waited_for(&self) -> bool {
        let Some(process) = &self.process else { return false };
        let runs = &process.runs;
        let waits_for_the_past = |machine: &RunMachine| {
            let open = machine.tasks().iter().filter(|row| !row.state.is_final());
            let mut reasons = open.flat_map(|row| machine.explain(row.task.as_str(), row.map_index));
            reasons.any(|reason| matches!(reason, Reason::PreviousRun { .. }))
        };
        self.database.runs.iter().filter(|(_, run)| !run.state.is_final()).all(|(key, run)| {
            match (run.state, runs.live.get(key)) {
                (RunState::Running, Some(live)) => waits_for_the_past(&live.machine),
                (RunState::Queued, _) => runs.running.get(&run.facts.dag_id).is_some_and(|running| *running > 0),
                _ => false,
            }
        })
    }

    /// What has not ended, by name and with its reasons, for people.
    pub(super) fn left(&self) -> String {
        let Some(process) = &self.process else { return "no process".to_owned() };
        let runs = &process.runs;
        let mut left = vec![format!(
            "{} commands, {} attempts, {} messages, places changed: {}, next timer: {:?}",
            self.wants.len(),
            process.workers.len(),
            process.desk.inbox.len(),
            runs.places_changed,
            runs.next_timer()
        )];
        for (key, run) in self.database.runs.iter().filter(|(_, run)| !run.state.is_final()) {
            let dag = &run.facts.dag_id;
            left.push(format!("run {} of {dag} is {:?}; {:?} of {dag} run", key.0, run.state, runs.running.get(dag)));
            let machine = runs.live.get(key).map(|live| &live.machine);
            for row in machine.into_iter().flat_map(RunMachine::tasks) {
                let reasons = machine.map(|machine| machine.explain(row.task.as_str(), row.map_index));
                left.push(format!("  {}[{}] is {:?}: {reasons:?}", row.task, row.map_index, row.state));
            }
        }
        left.join("\n")
    }

    /// By the rows, which are what is left after a crash.
    fn check_pools(&self) {
        for (name, slots, include_deferred) in POOLS {
            let mut used = 0;
            for (key, (state, _)) in &self.database.tasks {
                let facts = &self.database.runs[&key.run].facts;
                let version = self.versions.iter().find(|version| version.hash == facts.dag_version).unwrap();
                let dag = version.plan.dag();
                let task = &dag.tasks[dag.position(key.task.as_str()).unwrap()];
                let holds = state.attempt().is_some() && (include_deferred || !matches!(state, TaskState::Deferred(_)));
                used += if task.pool == name && holds { i64::from(task.pool_slots) } else { 0 };
            }
            assert!(used <= slots, "pool {name} has {used} of {slots} slots in use");
        }
    }

    /// A run ends once, and once more only after somebody has cleared or marked something in it.
    fn check_ends(&self) {
        for (key, run) in &self.database.runs {
            let reopened = self.reopened.get(key).copied().unwrap_or(0);
            assert!(run.ends <= 1 + reopened, "run {} has ended {} times", key.0, run.ends);
            if run.state.is_final() {
                let rows = self.database.snapshots(*key);
                // What a deadlock leaves behind has no state, as in Airflow.
                let open = rows.iter().find(|row| !row.state.is_final() && row.state != TaskState::None);
                assert!(open.is_none(), "run {} is {:?} with {open:?}", key.0, run.state);
            }
        }
    }

    /// After a commit memory and rows say the same.
    fn check_rows(&self, machine: &RunMachine) {
        let run = machine.facts().key;
        assert_eq!(machine.state(), self.database.runs[&run].state, "run {}", run.0);
        let mut rows = self.database.snapshots(run);
        let mut memory = machine.tasks().to_vec();
        for all in [&mut rows, &mut memory] {
            all.sort_by(|a, b| (&a.task, a.map_index).cmp(&(&b.task, b.map_index)));
        }
        assert_eq!(rows, memory, "run {}", run.0);
    }
}

/// Nothing is stuck: each task instance that is not final has something that will wake it, and it is there.
pub(super) fn check_wakers(runs: &Runs, workers: &[Worker], machine: &RunMachine) {
    if machine.state() != RunState::Running {
        return;
    }
    for row in machine.tasks().iter().filter(|row| !row.state.is_final()) {
        let reasons = machine.explain(row.task.as_str(), row.map_index);
        assert!(
            reasons.iter().any(|reason| is_there(runs, workers, machine, row, reason)),
            "nothing wakes {}[{}] of run {} in {:?}: {reasons:?}",
            row.task,
            row.map_index,
            machine.facts().key.0,
            row.state
        );
    }
}

fn is_there(runs: &Runs, workers: &[Worker], machine: &RunMachine, row: &TaskSnapshot, reason: &Reason) -> bool {
    let key = row.key(machine.facts().key);
    match reason {
        Reason::Upstream { tasks, .. } | Reason::Setups { tasks } | Reason::InScope { tasks } => !tasks.is_empty(),
        Reason::PreviousRun { .. } => true,
        Reason::Retry { at } | Reason::Reschedule { at } => runs.next_timer().is_some_and(|timer| timer <= *at),
        Reason::Admission => runs.admission.is_waiting(&key) && !runs.admission.obstacles(&key).is_empty(),
        Reason::Queued { attempt } | Reason::Running { attempt } | Reason::Deferred { attempt } => {
            runs.holder(*attempt) == Some(key) && workers.iter().any(|worker| worker.claim.attempt == *attempt)
        }
        Reason::RunQueued | Reason::RunEnded { .. } | Reason::Final { .. } | Reason::ToBeJudged => false,
    }
}
