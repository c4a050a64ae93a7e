//! New runs: created when they are due, started when there is a place for them.

use std::sync::Arc;

use rand::RngExt as _;
use serde_json::Map;
use windrose_core::ids::{DagId, RunKey, TaskInstanceKey};
use windrose_core::jitter::start_delay;
use windrose_core::run::{DataInterval, RunFacts};
use windrose_core::run_state::{RunState, RunType};
use windrose_core::time::Timestamp;
use windrose_core::timetable::{Bounds, DueRun, Timetable};
use windrose_engine::admission::{QueuedRun, runs_to_start};
use windrose_engine::past::{PreviousRun, counts_as_previous};
use windrose_engine::run_creation::ScheduledDag;
use windrose_engine::{Event, RunMachine};
use windrose_store::{EventRow, NewRun, NewTask, StoreError};

use crate::dag_set::{Unusable, Version};
use crate::deadlines::RunNews;
use crate::drive::Driver;
use crate::restore::snapshots;
use crate::runs::{Tasks, Waiting, counts};

impl Driver {
    /// Says how a DAG's runs are to be created, from what memory and the database hold.
    pub(crate) async fn schedule_dag(
        &mut self,
        dag_id: &DagId,
        paused: bool,
        passed_over: Option<DataInterval>,
    ) -> Result<(), StoreError> {
        self.watch.changed_dags.insert(dag_id.clone());
        let Some(version) = self.dags.newest(dag_id) else {
            self.creation.remove_dag(dag_id);
            self.assets.triggers.remove_dag(dag_id);
            return Ok(());
        };
        let dag = Arc::clone(version.plan.dag());
        self.schedule_assets(dag_id, &dag, paused).await?;
        let timetable = match Timetable::new(&dag.schedule, dag.timezone) {
            Ok(timetable) => timetable,
            Err(error) => {
                tracing::error!(%dag_id, %error, "this DAG's schedule means nothing, so it gets no scheduled runs");
                self.creation.remove_dag(dag_id);
                return Ok(());
            }
        };
        let last = self.last_interval(dag_id).await?;
        let scheduled = ScheduledDag {
            timetable,
            bounds: Bounds::from(dag.as_ref()),
            missed: dag.catchup,
            overlap: dag.overlap,
            delay: start_delay(dag_id, dag.jitter),
            max_active_runs: dag.max_active_runs,
            last_automated_run: last.into_iter().chain(passed_over).max_by_key(|interval| interval.end),
            active_runs: self.active_runs(dag_id),
            paused,
        };
        self.creation.upsert_dag(dag_id, scheduled);
        self.set_paused(dag_id, paused);
        Ok(())
    }

    /// What the run stands for from which the DAG's timetable goes on.
    async fn last_interval(&self, dag_id: &DagId) -> Result<Option<DataInterval>, StoreError> {
        if let Some(known) = &self.last_intervals {
            return Ok(known.get(dag_id).copied());
        }
        Ok(self.store.last_automated_run(dag_id).await?.and_then(|run| run.facts.data_interval))
    }

    /// Reads that for all DAGs at once, for as long as many are to be scheduled and none gets a run.
    pub(crate) async fn read_last_intervals(&mut self) -> Result<(), StoreError> {
        let runs = self.store.last_automated_runs().await?.into_iter();
        let intervals = runs.filter_map(|(dag_id, run)| run.facts.data_interval.map(|interval| (dag_id, interval)));
        self.last_intervals = Some(intervals.collect());
        Ok(())
    }

    /// A paused DAG gets no runs, starts none and dispatches nothing. True if it was otherwise before.
    pub(crate) fn set_paused(&mut self, dag_id: &DagId, paused: bool) -> bool {
        let changed = if paused { self.paused.insert(dag_id.clone()) } else { self.paused.remove(dag_id) };
        self.runs.places_changed |= changed;
        if changed {
            self.watch.changed_dags.insert(dag_id.clone());
        }
        self.creation.set_paused(dag_id, paused);
        self.assets.triggers.set_paused(dag_id, paused);
        self.runs.admission.set_paused(dag_id, paused);
        changed
    }

    pub(crate) fn active_runs(&self, dag_id: &DagId) -> u32 {
        let waiting = self.runs.waiting.values().filter(|w| w.facts.dag_id == *dag_id && counts(&w.facts)).count();
        u32::try_from(waiting).unwrap_or(u32::MAX).saturating_add(self.runs.running.get(dag_id).copied().unwrap_or(0))
    }

    /// Proposes every scheduled run that is due.
    pub(crate) fn create_due_runs(&mut self, now: Timestamp) {
        while self.creation.poll_timeout().is_some_and(|at| at <= now) {
            let due = self.creation.due(now);
            if due.is_empty() {
                continue;
            }
            for due in due {
                self.take_up(now, &due);
            }
        }
    }

    /// The key of the new run; `None` if there is a run for this date already.
    pub(crate) fn create_scheduled_run(&mut self, now: Timestamp, dag_id: &DagId, due: &DueRun) -> Option<RunKey> {
        let version = self.dags.newest(dag_id).cloned()?;
        let run_id = due.run_id();
        if self.existing.contains(&(dag_id.clone(), run_id.clone())) {
            // As in Airflow: a run that somebody made by hand for this date takes its place.
            tracing::info!(%dag_id, %run_id, "there is a run for this date already, so none is made");
            self.creation.already_exists(dag_id, due);
            return None;
        }
        let facts = RunFacts {
            key: self.next_run_key(now),
            dag_id: dag_id.clone(),
            run_id,
            run_type: RunType::Scheduled,
            logical_date: due.logical_date,
            data_interval: due.data_interval,
            run_after: due.run_after,
            conf: Map::new(),
            dag_version: version.hash.clone(),
            triggered_by: "timetable".to_owned(),
        };
        let key = facts.key;
        self.create_run(now, facts, &version);
        Some(key)
    }

    /// Puts a new run into the batch and into the queue.
    pub(crate) fn create_run(&mut self, now: Timestamp, facts: RunFacts, version: &Version) {
        let tasks = version.plan.first_instances().map(|(position, map_index)| {
            let task = &version.plan.dag().tasks[position];
            let key = TaskInstanceKey { run: facts.key, task: task.id.clone(), map_index };
            NewTask { key, max_tries: task.retries }
        });
        self.runs.outbox.batch.new_runs.push(NewRun {
            facts: facts.clone(),
            state: RunState::Queued,
            created_at: now,
            started_at: None,
            tasks: tasks.collect(),
        });
        self.runs.run_news.push(RunNews::created(&facts, now));
        self.runs.enqueue(facts, version, Tasks::Fresh);
    }

    /// Keys follow the clock, and are never equal in this process.
    pub(crate) fn next_run_key(&mut self, now: Timestamp) -> RunKey {
        let key = RunKey::new(now, rand::rng().random());
        self.last_key = if key > self.last_key { key } else { RunKey(self.last_key.0 + 1) };
        self.last_key
    }

    /// When the next waiting run may start for the sake of its own date, or runs are left over from a full turn.
    pub(crate) fn next_start(&self, now: Timestamp) -> Option<Timestamp> {
        if self.runs.ended.is_empty() && !self.backfills.has_more() { self.next_start } else { Some(now) }
    }

    /// Starts queued runs for which there is a place. Runs of paused DAGs wait, as in Airflow.
    pub(crate) async fn start_waiting_runs(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if !self.runs.places_changed && self.next_start.is_none_or(|at| at > now) {
            return Ok(());
        }
        self.runs.places_changed = false;
        let waiting = self.runs.waiting.values().map(|w| &w.place);
        let held = |place: &&QueuedRun| self.paused.contains(&place.dag_id) || self.backfills.hold(place.run);
        let queued: Vec<_> = waiting.filter(|place| !held(place)).cloned().collect();
        self.next_start = queued.iter().map(|place| place.run_after).filter(|at| *at > now).min();
        for run in runs_to_start(now, &queued, &self.runs.running) {
            let Some(waiting) = self.runs.waiting.remove(&run) else { continue };
            self.start_run(now, &waiting).await?;
        }
        Ok(())
    }

    async fn start_run(&mut self, now: Timestamp, waiting: &Waiting) -> Result<(), StoreError> {
        if waiting.tasks == Tasks::InMemory {
            return self.start_live(now, waiting.facts.key).await;
        }
        let facts = &waiting.facts;
        let version = match self.dags.version(&facts.dag_id, &facts.dag_version, &self.store).await {
            Ok(version) => version,
            Err(Unusable::Store(error)) => return Err(error),
            Err(Unusable::Version(message)) => {
                self.fail_unusable(now, facts, &message);
                return Ok(());
            }
        };
        let folder = version.folder();
        let depends = version.plan.depends_on_past();
        let rows = match waiting.tasks {
            Tasks::Fresh | Tasks::InMemory => Vec::new(),
            Tasks::InDatabase => snapshots(self.store.tasks(facts.key).await?, version.plan.dag()),
        };
        let machine = RunMachine::restore(version.plan, Arc::clone(facts), RunState::Queued, None, None, rows);
        self.runs.adopt(now, machine, folder);
        if depends {
            self.tell_previous(now, facts.key).await?;
        }
        if let Err(refused) = self.runs.feed(now, facts.key, Event::Start) {
            tracing::error!(dag_id = %facts.dag_id, run_id = %facts.run_id, %refused, "a queued run cannot start");
        }
        Ok(())
    }

    /// A run that was cleared has its tasks in memory already.
    async fn start_live(&mut self, now: Timestamp, run: RunKey) -> Result<(), StoreError> {
        if self.runs.live.get(&run).is_some_and(|live| live.machine.plan().depends_on_past()) {
            self.tell_previous(now, run).await?;
        }
        if let Err(refused) = self.runs.feed(now, run, Event::Start) {
            tracing::error!(%refused, "a cleared run cannot start");
        }
        Ok(())
    }

    /// Tells a run how the one before it stands, and keeps it told.
    pub(crate) async fn tell_previous(&mut self, now: Timestamp, run: RunKey) -> Result<(), StoreError> {
        let previous = match self.previous(run).await? {
            None => PreviousRun::None,
            Some(key) => {
                if self.runs.live.contains_key(&key) || self.runs.waiting.contains_key(&key) {
                    self.runs.depends(run, key);
                }
                match self.runs.as_previous(key) {
                    Some(states) => states,
                    None => {
                        let tasks = self.store.tasks(key).await?.into_iter();
                        PreviousRun::Tasks(tasks.map(|t| (t.key.task, t.key.map_index, t.state.name())).collect())
                    }
                }
            }
        };
        if let Err(refused) = self.runs.feed(now, run, Event::PreviousRun(previous)) {
            tracing::error!(%refused, "a run will not hear of the run before it");
        }
        Ok(())
    }

    /// The run before this one. Neither place knows all: this batch's runs are not in the database yet, and runs that
    /// have ended are not in memory any more.
    async fn previous(&self, run: RunKey) -> Result<Option<RunKey>, StoreError> {
        let Some(live) = self.runs.live.get(&run) else { return Ok(None) };
        let (facts, dag) = (live.machine.facts(), live.machine.plan().dag());
        let Some(date) = facts.logical_date else { return Ok(None) };
        let before = |other: &RunFacts| {
            let counts = other.dag_id == facts.dag_id && counts_as_previous(dag, other.run_type);
            other.logical_date.filter(|at| counts && *at < date).map(|at| (at, other.key))
        };
        let scheduled_only = !counts_as_previous(dag, RunType::Manual);
        let stored = self.store.run_before_date(&facts.dag_id, date, scheduled_only).await?.map(|(key, at)| (at, key));
        let living = self.runs.live.values().map(|live| live.machine.facts().as_ref());
        let waiting = self.runs.waiting.values().map(|waiting| waiting.facts.as_ref());
        Ok(living.chain(waiting).filter_map(before).chain(stored).max().map(|(_, key)| key))
    }

    /// A run whose DAG version this Windrose cannot read fails; waiting would not mend it.
    fn fail_unusable(&mut self, now: Timestamp, facts: &RunFacts, message: &str) {
        tracing::error!(dag_id = %facts.dag_id, run_id = %facts.run_id, message, "the run's DAG version cannot be used");
        self.runs.fail_queued(now, facts);
        let outbox = &mut self.runs.outbox.batch;
        outbox.events.push(EventRow {
            at: now,
            dag_id: Some(facts.dag_id.clone()),
            run_id: Some(facts.run_id.clone()),
            task: None,
            what: "failed".to_owned(),
            who: "scheduler".to_owned(),
            detail: Some(format!("its DAG version cannot be used: {message}")),
        });
    }

    /// Runs that ended make room for others, and are let go.
    pub(crate) async fn note_ended(&mut self) -> Result<(), StoreError> {
        for (dag_id, run) in self.runs.release_ended() {
            self.backfills.run_ended(run);
            let active = self.active_runs(&dag_id);
            self.creation.active_runs(&dag_id, active);
            self.assets.triggers.run_ended(&dag_id);
            self.pause_after_failures(&dag_id, run).await?;
        }
        Ok(())
    }
}
