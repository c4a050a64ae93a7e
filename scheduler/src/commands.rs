//! What people want: rows of the command table, carried out in the same transaction that marks them done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use windrose_core::asset::AssetUpdate;
use windrose_core::ids::{AssetUri, DagId, RunId, RunKey, TaskId};
use windrose_core::run::RunFacts;
use windrose_core::run_state::{RunState, RunType};
use windrose_core::time::Timestamp;
use windrose_core::timetable::Timetable;
use windrose_engine::{Event, RunMachine, Selection};
use windrose_store::{CommandDone, CommandRow, EventRow, StoreError};

use crate::assets::Emission;
use crate::dag_set::Unusable;
use crate::drive::Driver;
use crate::explain::Subject;
use crate::restore::snapshots;
use crate::runs::Live;

/// A command's payload. `kind` is the word in the command's own column.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Create a run by hand.
    Trigger {
        /// The DAG.
        dag_id: DagId,
        /// The run's id, unique within the DAG.
        run_id: RunId,
        /// The instant it stands for.
        logical_date: Option<Timestamp>,
        /// Parameters.
        #[serde(default)]
        conf: Map<String, Value>,
        /// A word for whoever looks at it later.
        note: Option<String>,
    },
    /// Stop a run.
    Cancel {
        /// The DAG.
        dag_id: DagId,
        /// The run.
        run_id: RunId,
    },
    /// Have task instances decided again.
    Clear {
        /// The DAG.
        dag_id: DagId,
        /// The run.
        run_id: RunId,
        /// Which tasks; none means all.
        #[serde(default)]
        tasks: Vec<TaskId>,
        /// And what is downstream of them.
        #[serde(default)]
        downstream: bool,
    },
    /// Say that an asset has changed.
    EmitAsset {
        /// Which.
        uri: AssetUri,
        /// What the event carries.
        #[serde(default)]
        extra: Map<String, Value>,
    },
    /// Say why something does not run. It changes nothing.
    Explain(Subject),
}

impl Command {
    /// The word for it in the command's own column.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Trigger { .. } => "trigger",
            Self::Cancel { .. } => "cancel",
            Self::Clear { .. } => "clear",
            Self::EmitAsset { .. } => "emit_asset",
            Self::Explain(_) => "explain",
        }
    }
}

/// A command that cannot be carried out, as a sentence for whoever gave it.
#[derive(Debug)]
pub(crate) enum Failed {
    Refused(String),
    Store(StoreError),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Unusable> for Failed {
    fn from(error: Unusable) -> Self {
        match error {
            Unusable::Store(error) => Self::Store(error),
            Unusable::Version(message) => Self::Refused(message),
        }
    }
}

impl Driver {
    /// Carries out commands, oldest first. One that cannot be carried out is done too, with the reason as its result.
    pub(crate) async fn carry_out(&mut self, now: Timestamp, commands: &[CommandRow]) -> Result<(), StoreError> {
        for row in commands {
            let result = match serde_json::from_value::<Command>(row.payload.clone()) {
                Err(error) => json!({ "error": format!("the command cannot be read: {error}") }),
                // Of what has been decided by the end of the turn.
                Ok(Command::Explain(_)) => continue,
                Ok(command) => match self.obey(now, &command, &row.who).await {
                    Ok(result) => result,
                    Err(Failed::Refused(message)) => json!({ "error": message }),
                    Err(Failed::Store(error)) => return Err(error),
                },
            };
            let done = CommandDone { id: row.id.clone(), done_at: now, result };
            self.runs.outbox.batch.commands_done.push(done);
        }
        Ok(())
    }

    /// Answers whoever asks why something does not run.
    pub(crate) async fn answer_questions(&mut self, now: Timestamp, commands: &[CommandRow]) -> Result<(), StoreError> {
        for row in commands {
            let Ok(Command::Explain(subject)) = serde_json::from_value(row.payload.clone()) else { continue };
            let result = match self.explain(now, &subject).await {
                Ok(explanation) => serde_json::to_value(explanation).unwrap_or_default(),
                Err(Failed::Refused(message)) => json!({ "error": message }),
                Err(Failed::Store(error)) => return Err(error),
            };
            self.runs.outbox.batch.commands_done.push(CommandDone { id: row.id.clone(), done_at: now, result });
        }
        Ok(())
    }

    async fn obey(&mut self, now: Timestamp, command: &Command, who: &str) -> Result<Value, Failed> {
        match command {
            Command::Trigger { dag_id, run_id, logical_date, conf, note } => {
                self.trigger(now, dag_id, run_id, *logical_date, conf, who).await?;
                self.log_event(now, dag_id, run_id, "triggered", who, note.clone());
                Ok(json!({}))
            }
            Command::Cancel { dag_id, run_id } => {
                let result = self.cancel(now, dag_id, run_id, who).await?;
                self.log_event(now, dag_id, run_id, "cancelled", who, None);
                Ok(result)
            }
            Command::Clear { dag_id, run_id, tasks, downstream } => {
                let selection = Selection { tasks: tasks.clone(), downstream: *downstream, ..Selection::default() };
                let cleared = self.clear(now, dag_id, run_id, selection, who).await?;
                self.log_event(now, dag_id, run_id, "cleared", who, None);
                Ok(json!({ "cleared": cleared }))
            }
            Command::EmitAsset { uri, extra } => self.emit_asset(now, uri, extra, who).await,
            Command::Explain(_) => Ok(json!({})),
        }
    }

    /// Says when the event came and which DAGs it has queued.
    async fn emit_asset(
        &mut self,
        now: Timestamp,
        uri: &AssetUri,
        extra: &Map<String, Value>,
        who: &str,
    ) -> Result<Value, Failed> {
        if !self.is_known_asset(uri).await? {
            return Err(Failed::Refused(format!(
                "no DAG names the asset '{uri}'; see 'windrose assets list', or name it in a DAG file first"
            )));
        }
        let update = AssetUpdate { uri: uri.clone(), aliases: Vec::new(), extra: extra.clone() };
        self.runs.outbox.emissions.push(Emission { update, source: None, who: who.to_owned() });
        self.note_asset_events(now);
        let batch = &self.runs.outbox.batch;
        let event = batch.asset_events.last().map(|row| row.event.at);
        let queued = batch.asset_queue.iter().filter(|row| Some(row.queued_at) == event);
        let queued: Vec<_> = queued.map(|row| row.dag_id.as_str()).collect();
        Ok(json!({ "uri": uri, "at": event, "queued": queued }))
    }

    async fn trigger(
        &mut self,
        now: Timestamp,
        dag_id: &DagId,
        run_id: &RunId,
        logical_date: Option<Timestamp>,
        conf: &Map<String, Value>,
        who: &str,
    ) -> Result<(), Failed> {
        let Some(version) = self.dags.newest(dag_id).cloned() else {
            return Err(Failed::Refused(format!("there is no DAG '{dag_id}'; see 'windrose dags list'")));
        };
        let waiting = self.runs.waiting.values().any(|w| w.facts.dag_id == *dag_id && w.facts.run_id == *run_id);
        if waiting || self.store.find_run(dag_id, run_id).await?.is_some() {
            return Err(Failed::Refused(format!("DAG '{dag_id}' already has a run '{run_id}'; choose another run id")));
        }
        let dag = version.plan.dag();
        let run_after = self.free_date(now, dag_id, run_id, logical_date)?;
        let data_interval = Timetable::new(&dag.schedule, dag.timezone)
            .and_then(|timetable| timetable.manual_interval(run_after))
            .map_err(|error| Failed::Refused(error.to_string()))?;
        let facts = RunFacts {
            key: self.next_run_key(now),
            dag_id: dag_id.clone(),
            run_id: run_id.clone(),
            run_type: RunType::Manual,
            logical_date: Some(run_after),
            data_interval,
            run_after: run_after.min(now),
            conf: conf.clone(),
            dag_version: version.hash.clone(),
            triggered_by: who.to_owned(),
        };
        self.create_run(now, facts, &version);
        Ok(())
    }

    /// The logical date of a new run: no two runs of a DAG have the same. If nobody asked for one, it is the next free
    /// instant.
    fn free_date(
        &self,
        now: Timestamp,
        dag_id: &DagId,
        run_id: &RunId,
        asked_for: Option<Timestamp>,
    ) -> Result<Timestamp, Failed> {
        let living = self.runs.live.values().map(|live| live.machine.facts().as_ref());
        let waiting = self.runs.waiting.values().map(|waiting| waiting.facts.as_ref());
        let dates: BTreeSet<_> =
            living.chain(waiting).filter(|run| run.dag_id == *dag_id).filter_map(|run| run.logical_date).collect();
        let mut date = asked_for.unwrap_or(now);
        while asked_for.is_none() && dates.contains(&date) {
            date = date.plus(Duration::from_micros(1));
        }
        if dates.contains(&date) || self.existing.contains(&(dag_id.clone(), run_id.clone())) {
            return Err(Failed::Refused(format!(
                "DAG '{dag_id}' already has a run for {date}; choose another logical date, or clear that run"
            )));
        }
        Ok(date)
    }

    /// Says how many task instances were stopped at their work, and how the run stands.
    async fn cancel(&mut self, now: Timestamp, dag_id: &DagId, run_id: &RunId, who: &str) -> Result<Value, Failed> {
        let run = self.find(dag_id, run_id).await?;
        if let Some(waiting) = self.runs.waiting.remove(&run) {
            self.runs.fail_queued(now, &waiting.facts);
            return Ok(json!({ "stopped": 0, "state": RunState::Failed }));
        }
        let at_work = |machine: &RunMachine| machine.tasks().iter().filter(|t| t.state.attempt().is_some()).count();
        let Some(before) = self.runs.live.get(&run).map(|live| at_work(&live.machine)) else {
            return Err(Failed::Refused(format!("run '{run_id}' of DAG '{dag_id}' has already ended")));
        };
        let by = who.to_owned();
        self.runs.feed(now, run, Event::Cancel { by }).map_err(|refused| Failed::Refused(refused.to_string()))?;
        let after = self.runs.live.get(&run).map(|live| (at_work(&live.machine), live.machine.state()));
        let (left, state) = after.unwrap_or((0, RunState::Failed));
        Ok(json!({ "stopped": before.saturating_sub(left), "state": state }))
    }

    /// Says how many task instances are decided again.
    async fn clear(
        &mut self,
        now: Timestamp,
        dag_id: &DagId,
        run_id: &RunId,
        selection: Selection,
        who: &str,
    ) -> Result<u32, Failed> {
        let run = self.find(dag_id, run_id).await?;
        if self.runs.waiting.contains_key(&run) {
            return Err(Failed::Refused(format!(
                "run '{run_id}' of DAG '{dag_id}' has not begun: nothing is to be cleared"
            )));
        }
        if !self.runs.live.contains_key(&run) {
            self.revive(now, run).await?;
        }
        let clears = |live: &Live| live.machine.tasks().iter().map(|task| task.columns.generation).sum::<u32>();
        let before = self.runs.live.get(&run).map_or(0, clears);
        let event = Event::Clear { selection, by: who.to_owned() };
        self.runs.feed(now, run, event).map_err(|refused| Failed::Refused(refused.to_string()))?;
        let cleared = self.runs.live.get(&run).map_or(0, clears).saturating_sub(before);
        let queued = self.runs.live.get(&run).is_some_and(|live| live.machine.state() == RunState::Queued);
        if queued {
            // It has its tasks in memory, so it takes its place at once instead of waiting as a row.
            self.runs.feed(now, run, Event::Start).map_err(|refused| Failed::Refused(refused.to_string()))?;
        }
        Ok(cleared)
    }

    /// Loads a run that has ended.
    async fn revive(&mut self, now: Timestamp, run: RunKey) -> Result<(), Failed> {
        let Some(row) = self.store.run(run).await? else {
            return Err(Failed::Refused("the run is gone".to_owned()));
        };
        let facts = Arc::new(row.facts);
        let version = self.dags.version(&facts.dag_id, &facts.dag_version, &self.store).await?;
        let tasks = snapshots(self.store.tasks(run).await?, version.plan.dag());
        let folder = self.dags.folder_of(&version);
        let depends = version.plan.depends_on_past();
        let machine = RunMachine::restore(version.plan, facts, row.state, row.started_at, row.ended_at, tasks);
        self.runs.adopt(now, machine, folder);
        if depends {
            self.tell_previous(now, run).await?;
        }
        Ok(())
    }

    pub(crate) async fn find(&self, dag_id: &DagId, run_id: &RunId) -> Result<RunKey, Failed> {
        match self.store.find_run(dag_id, run_id).await? {
            Some(row) => Ok(row.facts.key),
            None => {
                Err(Failed::Refused(format!("DAG '{dag_id}' has no run '{run_id}'; see 'windrose runs list {dag_id}'")))
            }
        }
    }

    pub(crate) fn log_event(
        &mut self,
        now: Timestamp,
        dag_id: &DagId,
        run_id: &RunId,
        what: &str,
        who: &str,
        detail: Option<String>,
    ) {
        self.runs.outbox.batch.events.push(EventRow {
            at: now,
            dag_id: Some(dag_id.clone()),
            run_id: Some(run_id.clone()),
            task: None,
            what: what.to_owned(),
            who: who.to_owned(),
            detail,
        });
    }
}
