//! What people want: rows of the command table, carried out in the same transaction that marks them done.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use windrose_core::asset::AssetUpdate;
use windrose_core::ids::{AssetUri, DagId, RunId, RunKey};
use windrose_core::run_state::RunState;
use windrose_core::time::Timestamp;
use windrose_engine::{Event, RunMachine};
use windrose_store::{CommandDone, CommandRow, EventRow, StoreError};

use crate::approvals::AnswerRequest;
use crate::assets::Emission;
use crate::backfill::BackfillRequest;
use crate::change::Change;
use crate::dag_set::Unusable;
use crate::drive::Driver;
use crate::explain::Subject;
use crate::trigger::ManualRun;

/// A command's payload. `kind` is the word in the command's own column.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Command {
    /// Create a run by hand.
    Trigger(ManualRun),
    /// Stop a run.
    Cancel {
        /// The DAG.
        dag_id: DagId,
        /// The run.
        run_id: RunId,
    },
    /// Change runs that exist.
    Change(Change),
    /// Make runs for dates of the past.
    CreateBackfill(BackfillRequest),
    /// Let no further date of a backfill have its turn, or go on.
    PauseBackfill {
        /// Which.
        backfill: i64,
        /// Which way.
        paused: bool,
    },
    /// End a backfill: dates that wait get no turn, and queued runs fail.
    CancelBackfill {
        /// Which.
        backfill: i64,
        /// Runs under way are cancelled too; otherwise they end by themselves.
        #[serde(default)]
        running: bool,
    },
    /// Say that an asset has changed.
    EmitAsset {
        /// Which.
        uri: AssetUri,
        /// What the event carries.
        #[serde(default)]
        extra: Map<String, Value>,
    },
    /// Answer a task that asks.
    Answer(AnswerRequest),
    /// Say why something does not run. It changes nothing.
    Explain(Subject),
}

impl Command {
    /// The word for it in the command's own column.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Trigger(_) => "trigger",
            Self::Cancel { .. } => "cancel",
            Self::Change(_) => "change",
            Self::CreateBackfill(_) => "create_backfill",
            Self::PauseBackfill { .. } => "pause_backfill",
            Self::CancelBackfill { .. } => "cancel_backfill",
            Self::EmitAsset { .. } => "emit_asset",
            Self::Answer(_) => "answer",
            Self::Explain(_) => "explain",
        }
    }
}

/// Something that cannot be carried out, as a sentence for whoever wanted it.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// It cannot be, and why.
    #[error("{0}")]
    Refused(String),
    /// The database refuses.
    #[error(transparent)]
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
            Command::Trigger(wanted) => {
                self.trigger(now, wanted, who).await?;
                self.log_event(now, &wanted.dag_id, &wanted.run_id, "triggered", who, wanted.note.clone());
                Ok(json!({}))
            }
            Command::Cancel { dag_id, run_id } => {
                let result = self.cancel(now, dag_id, run_id, who).await?;
                self.log_event(now, dag_id, run_id, "cancelled", who, None);
                Ok(result)
            }
            Command::Change(change) => self.change(now, change, who).await,
            Command::CreateBackfill(request) => self.create_backfill(now, request, who).await,
            Command::PauseBackfill { backfill, paused } => self.pause_backfill(now, *backfill, *paused, who),
            Command::CancelBackfill { backfill, running } => self.cancel_backfill(now, *backfill, *running, who).await,
            Command::EmitAsset { uri, extra } => self.emit_asset(now, uri, extra, who).await,
            Command::Answer(request) => self.answer(now, request, who).await,
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

    /// Says how many task instances were stopped at their work, and how the run stands.
    pub(crate) async fn cancel(
        &mut self,
        now: Timestamp,
        dag_id: &DagId,
        run_id: &RunId,
        who: &str,
    ) -> Result<Value, Failed> {
        let run = self.find(dag_id, run_id).await?;
        if let Some(waiting) = self.runs.leave_queue(run) {
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
