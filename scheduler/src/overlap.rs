//! Runs that are due while there is no place for them (`overlap`).

use windrose_core::ids::{DagId, RunKey};
use windrose_core::run_state::RunType;
use windrose_core::time::Timestamp;
use windrose_engine::Event;
use windrose_engine::run_creation::{Proposal, Room};
use windrose_store::DagWrite;

use crate::drive::Driver;

impl Driver {
    /// Does with a run that is due what its DAG wants.
    pub(crate) fn take_up(&mut self, now: Timestamp, due: &Proposal) {
        match due.room {
            Room::Free => drop(self.create_scheduled_run(now, &due.dag_id, &due.run)),
            Room::PassOver => self.pass_over(now, due),
            Room::CancelOldest => {
                let oldest = self.oldest_scheduled_run(&due.dag_id);
                let created = self.create_scheduled_run(now, &due.dag_id, &due.run);
                if let Some(oldest) = oldest.filter(|_| created.is_some()) {
                    self.cancel_for_overlap(now, oldest, "overlap = \"cancel_old\": a newer run is due");
                }
            }
            Room::CancelThis => {
                if let Some(run) = self.create_scheduled_run(now, &due.dag_id, &due.run) {
                    self.cancel_for_overlap(now, run, "overlap = \"cancel_new\": there is no place for it");
                }
            }
        }
    }

    fn pass_over(&mut self, now: Timestamp, due: &Proposal) {
        tracing::info!(dag_id = %due.dag_id, run_after = %due.run.run_after, "a run is passed over: there is no place for it");
        if let Some(data_interval) = due.run.data_interval {
            let passed_over = DagWrite::PassedOver { dag_id: due.dag_id.clone(), data_interval };
            self.runs.outbox.batch.dags.push(passed_over);
        }
        let why = "overlap = \"skip\": max_active_runs was reached when it was due".to_owned();
        self.log_event(now, &due.dag_id, &due.run.run_id(), "passed_over", "scheduler", Some(why));
    }

    /// The oldest of a DAG's scheduled runs that nobody has told to stop.
    fn oldest_scheduled_run(&self, dag_id: &DagId) -> Option<RunKey> {
        let living = self.runs.live.values().map(|live| live.machine.facts());
        let active = living.chain(self.runs.waiting.values().map(|waiting| &waiting.facts));
        active
            .filter(|run| run.dag_id == *dag_id && run.run_type == RunType::Scheduled)
            .filter(|run| !self.runs.cancelled.contains(&run.key))
            .map(|run| (run.run_after, run.key))
            .min()
            .map(|(_, key)| key)
    }

    fn cancel_for_overlap(&mut self, now: Timestamp, run: RunKey, why: &str) {
        let facts = match self.runs.leave_queue(run) {
            Some(waiting) => {
                self.runs.fail_queued(now, &waiting.facts);
                waiting.facts
            }
            None => {
                let Some(live) = self.runs.live.get(&run) else { return };
                let facts = live.machine.facts().clone();
                self.runs.cancelled.insert(run);
                // One that has ended in this very turn needs no cancelling.
                let _ = self.runs.feed(now, run, Event::Cancel { by: why.to_owned() });
                facts
            }
        };
        self.log_event(now, &facts.dag_id, &facts.run_id, "cancelled", "scheduler", Some(why.to_owned()));
    }
}
