//! What must hold after every turn, whatever has happened, and at the end.

use std::sync::Arc;

use windrose_core::run_state::RunState;
use windrose_store::{Page, RunFilter, RunRow};

use super::super::checks::check_wakers;
use super::world::World;
use crate::explain::{Explanation, Subject};
use crate::restore::snapshots;

impl World {
    /// After a turn memory and rows say the same, everything that waits has something that wakes it, and whoever asks is
    /// told why.
    pub(super) fn check(&mut self) {
        let (runtime, store) = (Arc::clone(&self.runtime), self.store.clone());
        let Some(process) = &self.process else { return };
        for (run, live) in &process.driver.runs.live {
            let machine = &live.machine;
            let stored = runtime.block_on(store.tasks(*run)).unwrap();
            let mut rows = snapshots(stored, machine.plan().dag());
            let mut memory = machine.tasks().to_vec();
            for all in [&mut rows, &mut memory] {
                all.sort_by(|a, b| (&a.task, a.map_index).cmp(&(&b.task, b.map_index)));
            }
            assert_eq!(rows, memory, "run {}", machine.facts().run_id);
            let row = runtime.block_on(store.run(*run)).unwrap().unwrap();
            assert_eq!(row.state, machine.state(), "run {}", machine.facts().run_id);
            check_wakers(&process.driver.runs, &process.workers, machine);
        }
        for explanation in self.explanations() {
            for run in &explanation.runs {
                let open = run.tasks.iter().filter(|task| task.why.is_empty());
                assert_eq!(open.count(), 0, "nobody knows why: {run:?}");
                let told = run.why.iter().chain(run.tasks.iter().flat_map(|task| &task.why));
                let stuck = told.filter(|why| why.reason == "stuck" || why.wakes.is_empty());
                assert_eq!(stuck.count(), 0, "something is stuck: {run:?}");
                assert!(run.state == RunState::Running || !run.why.is_empty(), "nobody knows why: {run:?}");
            }
        }
    }

    fn explanations(&mut self) -> Vec<Explanation> {
        let (runtime, now) = (Arc::clone(&self.runtime), self.now());
        let Some(process) = &mut self.process else { return Vec::new() };
        let dags = self.dags.iter().map(|dag_id| {
            let subject = Subject { dag_id: dag_id.clone(), run_id: None, task: None, map_index: None };
            runtime.block_on(process.driver.explain(now, &subject)).unwrap()
        });
        dags.collect()
    }

    /// What has not ended, with its reasons.
    pub(super) fn left(&mut self) -> String {
        let runs = self.explanations().into_iter().flat_map(|explanation| explanation.runs);
        runs.map(|run| format!("{run:?}\n")).collect()
    }

    fn all_runs(&self) -> Vec<RunRow> {
        let page = Page { offset: 0, limit: 1_000 };
        self.runtime.block_on(self.store.runs(&RunFilter::default(), page)).unwrap().rows
    }

    /// All runs have ended, but for those that wait for the run before them (which may have failed, so that they wait for a
    /// person, as in Airflow), and those for which these leave no place. No task instance ran again after it had succeeded.
    pub(super) fn check_end(&mut self) {
        for explanation in self.explanations() {
            for run in &explanation.runs {
                let told: Vec<&str> = run.why.iter().map(|why| why.reason.as_str()).collect();
                let mut of_tasks = run.tasks.iter().flat_map(|task| &task.why);
                let waits = match run.state {
                    // For tasks of it that are known and have not succeeded.
                    RunState::Running => of_tasks.any(|why| why.reason == "previous_run" && !why.by.is_empty()),
                    RunState::Queued => told.contains(&"max_active_runs"),
                    RunState::Success | RunState::Failed => true,
                };
                assert!(waits, "it is over, and this run goes on: {run:?}");
            }
        }
        let runs = self.all_runs();
        for backfill in self.runtime.block_on(self.store.backfills(None)).unwrap() {
            let open = runs.iter().any(|run| run.facts.dag_id == backfill.dag_id && !run.state.is_final());
            assert!(backfill.ended_at.is_some() || open, "backfill {} has been forgotten", backfill.id);
        }
        for run in runs {
            for row in self.runtime.block_on(self.store.tasks(run.facts.key)).unwrap() {
                let attempts = self.runtime.block_on(self.store.attempts(&row.key)).unwrap();
                for (at, one) in attempts.iter().enumerate() {
                    assert!(one.outcome.is_some(), "an attempt of {:?} never ended", row.key);
                    let later = attempts[at + 1..].iter().any(|later| later.generation == one.generation);
                    let repeated = one.outcome.as_deref() == Some("success") && later;
                    assert!(!repeated, "{:?} ran again after it had succeeded", row.key);
                }
            }
        }
    }
}
