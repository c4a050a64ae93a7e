//! The worker's port in one process: channels to the scheduler, and the database for what it only reads.

use std::path::PathBuf;

use async_trait::async_trait;
use serde_json::Value;
use windrose_core::approval::{Answer, Asked, Question};
use windrose_core::asset::AssetEvent;
use windrose_core::claim::Claim;
use windrose_core::connection::Connection;
use windrose_core::ids::{AttemptId, DagId, RunKey, TaskInstanceKey};
use windrose_core::notify::{NotificationClaim, Notifier};
use windrose_core::outcome::{RenderedFields, Report};
use windrose_core::run::RunFacts;
use windrose_core::template::{AssetEventQuery, XComQuery};
use windrose_scheduler::{Handle, Stopped, Taken};
use windrose_store::{AskingTry, EventsOf, Page, SendingFailed, Store, StoreError, VersionFile};
use windrose_worker::port::{
    Ack, BundleFile, DagAnswer, DagQuestion, MOST_ASSET_EVENTS, PortError, PreviousSuccess, Sending, WorkerPort,
};

use crate::clock;
use crate::standalone::other_dags;

pub(crate) struct StandalonePort {
    scheduler: Handle,
    store: Store,
}

impl StandalonePort {
    pub(crate) fn new(scheduler: Handle, store: Store) -> Self {
        Self { scheduler, store }
    }
}

fn closed(_: Stopped) -> PortError {
    PortError::Closed
}

fn unavailable(error: &StoreError) -> PortError {
    PortError::Unavailable(error.to_string())
}

const fn ack(taken: Taken) -> Ack {
    match taken {
        Taken::Yes => Ack::Taken,
        Taken::Fenced => Ack::Fenced,
    }
}

#[async_trait]
impl WorkerPort for StandalonePort {
    async fn claim(&self) -> Result<Claim, PortError> {
        self.scheduler.next_claim().await.map_err(closed)
    }

    async fn cancellation(&self) -> Result<(AttemptId, String), PortError> {
        let cancellation = self.scheduler.next_cancellation().await.map_err(closed)?;
        Ok((cancellation.attempt, cancellation.by))
    }

    async fn version_files(&self, dag: &DagId, version: &str) -> Result<Option<Vec<BundleFile>>, PortError> {
        let files = self.store.version_files(dag, version).await.map_err(|error| unavailable(&error))?;
        let file = |file: VersionFile| BundleFile { path: PathBuf::from(file.path), content: file.content };
        Ok(Some(files.into_iter().map(file).collect()))
    }

    fn started(&self, attempt: AttemptId) {
        self.scheduler.started(attempt);
    }

    async fn deferred(&self, attempt: AttemptId, deferred: bool) -> Result<Ack, PortError> {
        self.scheduler.deferred(attempt, deferred).await.map(ack).map_err(closed)
    }

    async fn report(&self, report: Report) -> Result<Ack, PortError> {
        self.scheduler.report(report).await.map(ack).map_err(closed)
    }

    async fn checkpoint(&self, key: &TaskInstanceKey, generation: u32) -> Result<Option<Value>, PortError> {
        self.store.checkpoint(key, generation).await.map_err(|e| unavailable(&e))
    }

    async fn save_checkpoint(
        &self,
        attempt: AttemptId,
        key: &TaskInstanceKey,
        generation: u32,
        checkpoint: &Value,
    ) -> Result<Ack, PortError> {
        match self.store.save_checkpoint(attempt, key, generation, checkpoint, clock::now()).await {
            Ok(()) => Ok(Ack::Taken),
            Err(StoreError::Fenced { .. }) => Ok(Ack::Fenced),
            Err(error) => Err(unavailable(&error)),
        }
    }

    async fn xcom(
        &self,
        run: RunKey,
        task_id: &str,
        map_index: Option<i32>,
        key: &str,
    ) -> Result<Option<Value>, PortError> {
        self.store.xcom(run, task_id, map_index, key).await.map_err(|e| unavailable(&e))
    }

    async fn xcom_elsewhere(&self, run: &RunFacts, query: &XComQuery) -> Result<Option<Value>, PortError> {
        other_dags::xcom(&self.store, (&run.dag_id, &run.run_id), query).await.map_err(|e| unavailable(&e))
    }

    async fn other_dags(&self, question: &DagQuestion) -> Result<DagAnswer, PortError> {
        other_dags::answer(&self.store, question).await
    }

    async fn asset_events(&self, run: RunKey, query: &AssetEventQuery) -> Result<Vec<AssetEvent>, PortError> {
        let of = match query {
            AssetEventQuery::Triggering => EventsOf::Run(run),
            AssetEventQuery::Asset(uri) => EventsOf::Asset(uri),
            AssetEventQuery::Alias(alias) => EventsOf::Alias(alias),
        };
        let page = Page { offset: 0, limit: MOST_ASSET_EVENTS };
        let rows = self.store.asset_events(of, page).await.map_err(|e| unavailable(&e))?;
        Ok(rows.into_iter().rev().map(|row| row.event).collect())
    }

    async fn asked(&self, key: &TaskInstanceKey, try_number: u32) -> Result<Option<Asked>, PortError> {
        let of = AskingTry { key: key.clone(), try_number };
        self.store.asked(&of).await.map_err(|e| unavailable(&e))
    }

    async fn ask(&self, attempt: AttemptId, question: &Question, notifiers: &[Notifier]) -> Result<Ack, PortError> {
        self.scheduler.ask(attempt, question.clone(), notifiers.to_vec()).await.map(ack).map_err(closed)
    }

    async fn answered(&self) -> Result<AttemptId, PortError> {
        self.scheduler.next_answered().await.map_err(closed)
    }

    async fn answer_by_default(
        &self,
        key: &TaskInstanceKey,
        try_number: u32,
        answer: &Answer,
    ) -> Result<(), PortError> {
        let of = AskingTry { key: key.clone(), try_number };
        self.store.answer_by_default(&of, answer).await.map_err(|e| unavailable(&e))
    }

    async fn previous_success(&self, run: RunKey) -> Result<Option<PreviousSuccess>, PortError> {
        let row = self.store.previous_success(run).await.map_err(|e| unavailable(&e))?;
        Ok(row.map(|row| PreviousSuccess {
            data_interval: row.facts.data_interval,
            started_at: row.started_at,
            ended_at: row.ended_at,
        }))
    }

    async fn stored_connection(&self, conn_id: &str) -> Result<Option<Connection>, PortError> {
        self.store.connection(conn_id).await.map_err(|e| unavailable(&e))
    }

    async fn stored_variable(&self, key: &str) -> Result<Option<String>, PortError> {
        self.store.variable(key).await.map_err(|e| unavailable(&e))
    }

    fn rendered(&self, attempt: AttemptId, rendered: RenderedFields) {
        self.scheduler.rendered(attempt, rendered);
    }

    async fn notification(&self) -> Result<NotificationClaim, PortError> {
        self.scheduler.next_notification().await.map_err(closed)
    }

    async fn notified(&self, id: &str, sending: Sending) -> Result<(), PortError> {
        let done = match sending {
            Sending::Done => self.store.notification_sent(id, clock::now()).await,
            Sending::Failed { error, next } => self.store.notification_failed(id, &SendingFailed { error, next }).await,
        };
        match done {
            // Said before, and the answer was lost.
            Ok(()) | Err(StoreError::Stale { .. }) => Ok(()),
            Err(error) => Err(unavailable(&error)),
        }
    }
}
