//! What people want of the scheduler, as rows of commands and settings.

use std::time::Duration;

use serde_json::Map;
use windrose_core::backfill::Reprocess;
use windrose_core::ids::TaskId;
use windrose_core::time::Timestamp;
use windrose_engine::{MarkedState, Selection};
use windrose_store::{Page, RunFilter, RunRow};

use super::world::{BEGIN, World};
use crate::{Action, BackfillRequest, Change, Command, ManualRun};

/// Some of the words by which the story tells what was wanted.
pub(super) const WORDS: [&str; 8] =
    ["trigger", "cancel", "Clear", "MarkTasks", "MarkRun", "create_backfill", "pools", "paused"];

impl World {
    pub(super) fn want(&mut self, command: &Command) {
        self.wanted += 1;
        let payload = serde_json::to_value(command).unwrap();
        let given = self.store.insert_command(command.kind(), &payload, "ann", self.now());
        self.runtime.block_on(given).unwrap();
        let told = format!("somebody wants {} {payload}", command.kind());
        self.tell(
            &told
                .replace("\"clear\"", "Clear")
                .replace("\"mark_tasks\"", "MarkTasks")
                .replace("\"mark_run\"", "MarkRun"),
        );
    }

    fn any_run(&mut self) -> Option<RunRow> {
        let page = Page { offset: 0, limit: 100 };
        let rows = self.runtime.block_on(self.store.runs(&RunFilter::default(), page)).unwrap().rows;
        (!rows.is_empty()).then(|| rows[self.dice.below(rows.len())].clone())
    }

    pub(super) fn want_something(&mut self) {
        let run = self.any_run();
        match (self.dice.below(16), run) {
            (0..=3, Some(run)) => self.want_change(&run),
            (4, Some(run)) => {
                let facts = run.facts;
                self.want(&Command::Cancel { dag_id: facts.dag_id, run_id: facts.run_id });
            }
            (5, _) => self.want_backfill(),
            (6, _) => {
                let sizes = [0, 1, 2, 5];
                let (default, narrow) = (sizes[self.dice.below(4)], sizes[self.dice.below(4)]);
                self.set_pools(default, narrow);
                self.tell(&format!("somebody sets the pools to {default} and {narrow}"));
            }
            (7, _) => {
                let (dag, paused) = (self.dags[self.dice.below(self.dags.len())].clone(), self.dice.percent(50));
                self.runtime.block_on(self.store.set_paused(&dag, paused)).unwrap();
                self.settings_changed = true;
                self.tell(&format!("somebody sets {dag} paused: {paused}"));
            }
            (8, _) => {
                let (backfill, paused) = (1 + i64::from(self.dice.percent(50)), self.dice.percent(50));
                self.want(&Command::PauseBackfill { backfill, paused });
            }
            (9, _) => self.want(&Command::CancelBackfill { backfill: 1, running: self.wanted.is_multiple_of(2) }),
            _ if self.wanted < 12 => self.want_run(),
            _ => {}
        }
    }

    fn want_run(&mut self) {
        let dag_id = self.dags[self.dice.below(self.dags.len())].clone();
        let logical_date = self.dice.percent(60).then(|| self.day(self.wanted));
        let run_id = format!("run_{}", self.wanted).into();
        self.want(&Command::Trigger(ManualRun {
            dag_id,
            run_id,
            logical_date,
            run_after: None,
            conf: Map::new(),
            note: None,
        }));
    }

    fn day(&self, number: u32) -> Timestamp {
        Timestamp::from_micros(1_750_000_000_000_000).plus(Duration::from_secs(86_400) * number)
    }

    fn want_change(&mut self, run: &RunRow) {
        let rows = self.runtime.block_on(self.store.tasks(run.facts.key)).unwrap();
        if rows.is_empty() {
            return;
        }
        let task: TaskId = rows[self.dice.below(rows.len())].key.task.clone();
        let (downstream, upstream) = (self.dice.percent(50), self.dice.percent(20));
        let only_failed = self.dice.percent(30);
        let selection = Selection { tasks: vec![task], downstream, upstream, only_failed, ..Selection::default() };
        let action = match self.dice.below(6) {
            0 => Action::MarkRun { success: self.dice.percent(50) },
            1..=2 => {
                let states = [MarkedState::Success, MarkedState::Failed, MarkedState::Skipped];
                Action::MarkTasks { selection, state: states[self.dice.below(3)] }
            }
            _ => Action::Clear { selection },
        };
        let (past, future) = (self.dice.percent(10), self.dice.percent(10));
        let (dag_id, run_id) = (run.facts.dag_id.clone(), run.facts.run_id.clone());
        self.want(&Command::Change(Change { dag_id, run_id, past, future, new_version: false, action }));
    }

    fn want_backfill(&mut self) {
        let dag_id = self.dags[self.dice.below(self.dags.len())].clone();
        let reprocess = [Reprocess::None, Reprocess::Failed, Reprocess::Completed][self.dice.below(3)];
        let (backwards, max_active_runs) = (self.dice.percent(50), 1 + u32::from(self.dice.percent(50)));
        let before = |minutes: u64| Timestamp::from_micros(BEGIN).minus(Duration::from_secs(minutes * 60));
        self.want(&Command::CreateBackfill(BackfillRequest {
            dag_id,
            from: before(60),
            to: before(50),
            backwards,
            reprocess,
            max_active_runs,
            conf: Map::new(),
            new_version: false,
        }));
    }

    pub(super) fn go_on_with_backfills(&mut self) {
        for row in self.runtime.block_on(self.store.backfills(None)).unwrap() {
            if row.ended_at.is_none() {
                self.want(&Command::PauseBackfill { backfill: row.id, paused: false });
            }
        }
    }
}
