//! What people want of the scheduler, and how it is carried out: as `Driver::carry_out`, without rows of commands.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use windrose_core::ids::{RunKey, TaskInstanceKey};
use windrose_core::run::RunFacts;
use windrose_core::run_state::{RunState, RunType};
use windrose_core::time::Timestamp;
use windrose_engine::{Event, MarkedState, RunMachine, Selection};
use windrose_store::{NewRun, NewTask};

use super::world::World;
use crate::runs::Tasks;

const DAY: Duration = Duration::from_secs(86_400);

/// What people want, until it is done.
#[derive(Debug, Clone)]
pub(super) enum Want {
    Run { dag: usize },
    Cancel(RunKey),
    Clear(RunKey, Selection),
    Mark(TaskInstanceKey, MarkedState),
}

impl World {
    pub(super) fn want_run(&mut self) {
        let dag = self.dice.below(self.versions.len());
        self.want(Want::Run { dag });
    }

    fn want(&mut self, want: Want) {
        self.wanted += 1;
        let id = format!("{:04}", self.wanted);
        self.tell(|| format!("somebody wants {want:?}"));
        self.wants.push((id, want));
    }

    pub(super) fn want_something(&mut self) {
        let runs: Vec<RunKey> = self.database.runs.keys().copied().collect();
        if runs.is_empty() || self.dice.percent(30) {
            if self.database.runs.len() < 5 {
                self.want_run();
            }
            return;
        }
        let run = runs[self.dice.below(runs.len())];
        let keys: Vec<TaskInstanceKey> = self.database.tasks.keys().filter(|key| key.run == run).cloned().collect();
        let key = keys[self.dice.below(keys.len())].clone();
        match self.dice.below(5) {
            0 => self.want(Want::Cancel(run)),
            1 => {
                let states = [MarkedState::Success, MarkedState::Failed, MarkedState::Skipped];
                let state = states[self.dice.below(3)];
                self.want(Want::Mark(key, state));
            }
            _ => {
                let (downstream, only_failed) = (self.dice.percent(50), self.dice.percent(30));
                let selection = Selection { tasks: vec![key.task], downstream, only_failed, ..Selection::default() };
                self.want(Want::Clear(run, selection));
            }
        }
    }

    pub(super) fn carry_out(&mut self, want: Want) {
        match want {
            Want::Run { dag } => self.make_run(dag),
            Want::Cancel(run) => self.feed(run, Event::Cancel { by: "ann".to_owned() }),
            Want::Clear(run, selection) => {
                self.revive(run);
                self.feed(run, Event::Clear { selection, by: "ann".to_owned() });
                self.start_again(run);
            }
            Want::Mark(key, state) => {
                let run = key.run;
                self.revive(run);
                self.feed(run, Event::MarkTask { key, state, by: "ann".to_owned() });
                self.start_again(run);
            }
        }
    }

    /// Loads a run that has ended. What it does then may end it once more.
    fn revive(&mut self, run: RunKey) {
        let process = self.process.as_mut().unwrap();
        *self.reopened.entry(run).or_default() += 1;
        if process.runs.live.contains_key(&run) || process.runs.waiting.contains_key(&run) {
            return;
        }
        let Some(row) = self.database.runs.get(&run).cloned() else { return };
        let (plan, rows) = (self.version_of(&row.facts).plan, self.database.snapshots(run));
        let machine = RunMachine::restore(plan, Arc::new(row.facts), row.state, row.started_at, row.ended_at, rows);
        self.process.as_mut().unwrap().runs.adopt(self.now, machine, PathBuf::new());
        self.tell_previous(run);
    }

    fn start_again(&mut self, run: RunKey) {
        let live = self.process.as_ref().unwrap().runs.live.get(&run);
        match live.map(|live| live.machine.state()) {
            Some(RunState::Queued) => self.process.as_mut().unwrap().runs.enqueue_live(run),
            // It was only loaded to be looked at.
            Some(RunState::Success | RunState::Failed) => {
                let process = self.process.as_mut().unwrap();
                let dag_id = process.runs.live[&run].machine.facts().dag_id.clone();
                process.runs.ended.push((dag_id, run));
            }
            _ => {}
        }
    }

    fn make_run(&mut self, dag: usize) {
        self.runs_made += 1;
        let version = self.versions[dag].clone();
        let date = Timestamp::from_micros(0).plus(DAY * u32::try_from(self.runs_made).unwrap());
        let facts = RunFacts {
            key: RunKey(self.runs_made),
            dag_id: version.plan.dag().dag_id.clone(),
            run_id: format!("run_{}", self.runs_made).into(),
            run_type: if self.dice.percent(50) { RunType::Scheduled } else { RunType::Manual },
            logical_date: Some(date),
            data_interval: None,
            run_after: self.now,
            conf: Map::new(),
            dag_version: version.hash.clone(),
            triggered_by: "ann".to_owned(),
        };
        let new_task = |(position, map_index): (usize, i32)| {
            let task = &version.plan.dag().tasks[position];
            let key = TaskInstanceKey { run: facts.key, task: task.id.clone(), map_index };
            NewTask { key, max_tries: task.retries }
        };
        let tasks = version.plan.first_instances().map(new_task).collect();
        let (state, created_at) = (RunState::Queued, self.now);
        let process = self.process.as_mut().unwrap();
        let new = NewRun { facts: facts.clone(), state, created_at, started_at: None, tasks };
        process.runs.outbox.batch.new_runs.push(new);
        process.runs.enqueue(facts, &version, Tasks::Fresh);
    }
}
