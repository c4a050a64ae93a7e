//! The other side of the port, for a worker under test: hands out claims, keeps reports.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use serde_json::{Map, Value};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use windrose_core::catalog::OperatorKind;
use windrose_core::claim::Claim;
use windrose_core::connection::Connection;
use windrose_core::dag::{Dag, Task};
use windrose_core::ids::{AttemptId, RunKey, TaskInstanceKey};
use windrose_core::outcome::{RenderedFields, Report};
use windrose_core::run::RunFacts;
use windrose_core::run_state::RunType;
use windrose_core::time::{Clock, Timestamp};
use windrose_store::task_log::TaskLogId;
use windrose_worker::port::{Ack, PortError, PreviousSuccess, WorkerPort};
use windrose_worker::{Worker, WorkerOptions};

/// The port's other side.
pub(crate) struct Desk {
    claims: AsyncMutex<mpsc::UnboundedReceiver<Claim>>,
    offer: mpsc::UnboundedSender<Claim>,
    cancellations: AsyncMutex<mpsc::UnboundedReceiver<(AttemptId, String)>>,
    cancel: mpsc::UnboundedSender<(AttemptId, String)>,
    reports: AsyncMutex<mpsc::UnboundedReceiver<Report>>,
    reported: mpsc::UnboundedSender<Report>,
    /// How many reports are refused as unavailable before one is taken.
    pub(crate) refusals: AtomicU32,
    /// True: another attempt holds every task, so nothing is taken any more.
    pub(crate) fenced: AtomicBool,
    refused: AsyncMutex<mpsc::UnboundedReceiver<&'static str>>,
    refuse: mpsc::UnboundedSender<&'static str>,
    /// What the metadata database holds.
    pub(crate) connections: Mutex<HashMap<String, Connection>>,
    /// What was said to have been rendered.
    pub(crate) rendered: Mutex<Vec<Value>>,
    checkpoints: Mutex<HashMap<(String, u32), Value>>,
}

impl Desk {
    fn new() -> Arc<Self> {
        let (offer, claims) = mpsc::unbounded_channel();
        let (cancel, cancellations) = mpsc::unbounded_channel();
        let (reported, reports) = mpsc::unbounded_channel();
        let (refuse, refused) = mpsc::unbounded_channel();
        Arc::new(Self {
            claims: AsyncMutex::new(claims),
            offer,
            cancellations: AsyncMutex::new(cancellations),
            cancel,
            reports: AsyncMutex::new(reports),
            reported,
            refusals: AtomicU32::new(0),
            fenced: AtomicBool::new(false),
            refused: AsyncMutex::new(refused),
            refuse,
            connections: Mutex::default(),
            rendered: Mutex::default(),
            checkpoints: Mutex::default(),
        })
    }

    pub(crate) fn offer(&self, claim: Claim) {
        self.offer.send(claim).unwrap();
    }

    pub(crate) fn cancel(&self, attempt: AttemptId, by: &str) {
        self.cancel.send((attempt, by.to_owned())).unwrap();
    }

    pub(crate) async fn report(&self) -> Report {
        self.reports.lock().await.recv().await.unwrap()
    }

    /// The next thing that was refused because another attempt holds the task.
    pub(crate) async fn refused(&self) -> &'static str {
        self.refused.lock().await.recv().await.unwrap()
    }

    fn ack(&self, what: &'static str) -> Ack {
        if self.fenced.load(Ordering::SeqCst) {
            self.refuse.send(what).unwrap();
            return Ack::Fenced;
        }
        Ack::Taken
    }

    pub(crate) async fn nothing_reported(&self) -> bool {
        self.reports.lock().await.try_recv().is_err()
    }
}

#[async_trait]
impl WorkerPort for Desk {
    async fn claim(&self) -> Result<Claim, PortError> {
        self.claims.lock().await.recv().await.ok_or(PortError::Closed)
    }

    async fn cancellation(&self) -> Result<(AttemptId, String), PortError> {
        self.cancellations.lock().await.recv().await.ok_or(PortError::Closed)
    }

    fn started(&self, _attempt: AttemptId) {}

    async fn deferred(&self, _attempt: AttemptId, _deferred: bool) -> Result<Ack, PortError> {
        Ok(self.ack("deferral"))
    }

    async fn report(&self, report: Report) -> Result<Ack, PortError> {
        if self.refusals.load(Ordering::SeqCst) > 0 {
            self.refusals.fetch_sub(1, Ordering::SeqCst);
            return Err(PortError::Unavailable("the database is gone".to_owned()));
        }
        let ack = self.ack("report");
        if ack == Ack::Taken {
            self.reported.send(report).unwrap();
        }
        Ok(ack)
    }

    async fn checkpoint(&self, key: &TaskInstanceKey, generation: u32) -> Result<Option<Value>, PortError> {
        Ok(self.checkpoints.lock().unwrap().get(&(key.task.to_string(), generation)).cloned())
    }

    async fn save_checkpoint(
        &self,
        _attempt: AttemptId,
        key: &TaskInstanceKey,
        generation: u32,
        checkpoint: &Value,
    ) -> Result<Ack, PortError> {
        let ack = self.ack("checkpoint");
        if ack == Ack::Taken {
            self.checkpoints.lock().unwrap().insert((key.task.to_string(), generation), checkpoint.clone());
        }
        Ok(ack)
    }

    async fn xcom(&self, _: RunKey, _: &str, _: Option<i32>, _: &str) -> Result<Option<Value>, PortError> {
        Ok(None)
    }

    async fn previous_success(&self, _run: RunKey) -> Result<Option<PreviousSuccess>, PortError> {
        Ok(None)
    }

    async fn stored_connection(&self, conn_id: &str) -> Result<Option<Connection>, PortError> {
        Ok(self.connections.lock().unwrap().get(conn_id).cloned())
    }

    fn rendered(&self, _attempt: AttemptId, rendered: RenderedFields) {
        self.rendered.lock().unwrap().push(rendered.fields);
    }

    async fn stored_variable(&self, _key: &str) -> Result<Option<String>, PortError> {
        Ok(None)
    }
}

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(Timestamp::from_micros(0), |since| Timestamp::from_micros(0).plus(since))
    }
}

/// A worker that runs, and everything around it.
pub(crate) struct Office {
    pub(crate) desk: Arc<Desk>,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) shutdown: CancellationToken,
    pub(crate) worker: JoinHandle<()>,
    logs: windrose_store::task_log::TaskLogs,
}

impl Office {
    pub(crate) fn open() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut WorkerOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| -> PathBuf { folder.path().join(name) };
        std::fs::create_dir(path("dags")).unwrap();
        let mut options = WorkerOptions::new(path("scratch"), path("logs"), Arc::new(WallClock));
        change(&mut options);
        let desk = Desk::new();
        let worker = Worker::new(Arc::clone(&desk) as Arc<dyn WorkerPort>, options);
        let logs = worker.logs();
        let shutdown = CancellationToken::new();
        let worker = tokio::spawn(worker.run(shutdown.clone()));
        Self { desk, folder, shutdown, worker, logs }
    }

    /// A claim of the first task of a DAG of these tasks, each upstream of the next.
    pub(crate) fn claim(&self, attempt: u128, tasks: Vec<Task>) -> Claim {
        let edges: Vec<_> = (1..u32::try_from(tasks.len()).unwrap()).map(|to| (0, to)).collect();
        let task_id = tasks[0].id.clone();
        let now = WallClock.now();
        let key = TaskInstanceKey::unmapped(RunKey(1), task_id);
        let facts = RunFacts {
            key: RunKey(1),
            dag_id: "office".into(),
            run_id: "manual__1".into(),
            run_type: RunType::Manual,
            logical_date: Some(now),
            data_interval: None,
            run_after: now,
            conf: Map::new(),
            dag_version: String::new(),
            triggered_by: "a test".to_owned(),
        };
        Claim {
            attempt: AttemptId(attempt),
            key,
            dag: Arc::new(Dag::new("office".into(), tasks, edges)),
            dag_folder: self.folder.path().join("dags"),
            position: 0,
            run: Arc::new(facts),
            run_started_at: now,
            try_number: 1,
            generation: 0,
            first_poke_at: None,
            pokes_before: 0,
            mapped_at: None,
            queued_at: now,
        }
    }

    /// Everything the task has logged.
    pub(crate) async fn log_of(&self, task_id: &str) -> String {
        let id = TaskLogId {
            dag_id: "office".to_owned(),
            run_id: "manual__1".to_owned(),
            task_id: task_id.to_owned(),
            map_index: -1,
            try_number: 1,
        };
        let lines = self.logs.read(&id, 0, 10_000).await.unwrap();
        lines.into_iter().map(|line| line.text + "\n").collect()
    }

    /// Waits until the task has logged a line that begins so, and gives the rest of it.
    pub(crate) async fn logged(&self, task_id: &str, beginning: &str) -> String {
        loop {
            let log = self.log_of(task_id).await;
            if let Some(rest) = log.lines().find_map(|line| line.strip_prefix(beginning)) {
                return rest.to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

/// A task with these parameters.
pub(crate) fn task(id: &str, operator: &str, kind: OperatorKind, parameters: Value) -> Task {
    let Value::Object(parameters) = parameters else { panic!("parameters are an object") };
    Task { parameters, ..Task::new(id.into(), operator, kind) }
}

/// A task that runs this command.
pub(crate) fn bash(id: &str, command: &str) -> Task {
    task(id, "bash", OperatorKind::Work, serde_json::json!({ "bash_command": command }))
}
