//! `windrose tasks test`: one attempt of one task, with the real worker, no scheduler and no state kept.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use windrose_core::claim::Claim;
use windrose_core::connection::Connection;
use windrose_core::ids::{AttemptId, RunKey, TaskInstanceKey};
use windrose_core::outcome::{Outcome, RETURN_VALUE, Report};
use windrose_core::params::check_conf;
use windrose_core::run::RunFacts;
use windrose_core::run_state::RunType;
use windrose_core::time::Timestamp;
use windrose_core::timetable::{Timetable, run_id};
use windrose_store::Store;
use windrose_store::task_log::{TaskLogId, TaskLogs};
use windrose_worker::port::{Ack, PortError, PreviousSuccess, WorkerPort};
use windrose_worker::{Worker, WorkerOptions};

use crate::clock::{self, SystemClock};
use crate::cmd::{Session, check, trigger};
use crate::output;

pub(crate) async fn run(
    session: &Session,
    file: &Path,
    task_id: &str,
    logical_date: Option<chrono::DateTime<chrono::Utc>>,
    conf: Option<&str>,
) -> Result<ExitCode> {
    let store = session.store().await?;
    let claim = claim(session, file, task_id, logical_date.map(Timestamp::from), conf)?;
    let log = TaskLogId {
        dag_id: claim.run.dag_id.to_string(),
        run_id: claim.run.run_id.to_string(),
        task_id: task_id.to_owned(),
        map_index: -1,
        try_number: 1,
    };
    let folder = tempfile::Builder::new().prefix("windrose-task-test-").tempdir()?;
    let (reports, mut reported) = mpsc::unbounded_channel();
    let port = Arc::new(OneClaim { claim: Mutex::new(Some(claim)), reports, store, checkpoint: Mutex::default() });
    let mut options =
        WorkerOptions::new(folder.path().join("scratch"), folder.path().join("logs"), Arc::new(SystemClock));
    options.backends = session.config.backends()?;
    let stop = CancellationToken::new();
    let working = tokio::spawn(Worker::new(port, options).run(stop.clone()));
    let report = reported.recv().await;
    stop.cancel();
    let _ = working.await;
    for line in TaskLogs::new(folder.path().join("logs")).read(&log, 0, usize::MAX).await? {
        eprintln!("{}", line.text);
    }
    let Some(report) = report else { bail!("the worker stopped without an outcome") };
    show(session, &report)
}

fn show(session: &Session, report: &Report) -> Result<ExitCode> {
    if session.json {
        output::object(report)?;
    } else {
        match &report.outcome {
            Outcome::Success => outln!("success"),
            Outcome::Skipped { reason } => outln!("skipped: {reason}"),
            Outcome::Failed { cause, .. } => outln!("failed: {}", cause.sentence()),
            Outcome::Reschedule { at } => outln!("not yet; to be looked at again at {at}"),
        }
        for xcom in &report.xcoms {
            let name = if xcom.key == RETURN_VALUE { "returned" } else { &xcom.key };
            outln!("{name}: {}", xcom.value);
        }
    }
    Ok(if matches!(report.outcome, Outcome::Failed { .. }) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn claim(
    session: &Session,
    file: &Path,
    task_id: &str,
    logical_date: Option<Timestamp>,
    conf: Option<&str>,
) -> Result<Claim> {
    let dag = Arc::new(check::load_file(session, file)?);
    let Some(position) = dag.position(task_id) else {
        let ids: Vec<_> = dag.tasks.iter().map(|t| t.id.as_str()).collect();
        bail!("DAG '{}' has no task '{task_id}'; it has {}", dag.dag_id, ids.join(", "));
    };
    let now = clock::now();
    let date = logical_date.unwrap_or(now);
    let conf = trigger::read_conf(conf)?;
    check_conf(&dag, &conf)?;
    let run = RunFacts {
        key: RunKey(0),
        dag_id: dag.dag_id.clone(),
        run_id: run_id(RunType::Manual, date),
        run_type: RunType::Manual,
        logical_date: Some(date),
        data_interval: Timetable::new(&dag.schedule, dag.timezone)?.manual_interval(date)?,
        run_after: date,
        conf,
        dag_version: String::new(),
        triggered_by: "tasks test".to_owned(),
    };
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(Claim {
        attempt: AttemptId(uuid::Uuid::now_v7().as_u128()),
        key: TaskInstanceKey::unmapped(RunKey(0), task_id.into()),
        dag_folder: folder.canonicalize()?,
        dag,
        position,
        run: Arc::new(run),
        run_started_at: now,
        try_number: 1,
        generation: 0,
        first_poke_at: None,
        pokes_before: 0,
        mapped_at: None,
        queued_at: now,
    })
}

/// One claim, and everything else in memory; connections and variables of the metadata database are there.
struct OneClaim {
    claim: Mutex<Option<Claim>>,
    reports: mpsc::UnboundedSender<Report>,
    store: Store,
    checkpoint: Mutex<Option<Value>>,
}

#[async_trait]
impl WorkerPort for OneClaim {
    async fn claim(&self) -> Result<Claim, PortError> {
        let claim = self.claim.lock().unwrap_or_else(PoisonError::into_inner).take();
        match claim {
            Some(claim) => Ok(claim),
            None => std::future::pending().await,
        }
    }

    async fn cancellation(&self) -> Result<(AttemptId, String), PortError> {
        std::future::pending().await
    }

    fn started(&self, _attempt: AttemptId) {}

    async fn deferred(&self, _attempt: AttemptId, _deferred: bool) -> Result<Ack, PortError> {
        Ok(Ack::Taken)
    }

    async fn report(&self, report: Report) -> Result<Ack, PortError> {
        self.reports.send(report).map_err(|_| PortError::Closed)?;
        Ok(Ack::Taken)
    }

    async fn checkpoint(&self, _key: &TaskInstanceKey, _generation: u32) -> Result<Option<Value>, PortError> {
        Ok(self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn save_checkpoint(
        &self,
        _attempt: AttemptId,
        _key: &TaskInstanceKey,
        _generation: u32,
        checkpoint: &Value,
    ) -> Result<Ack, PortError> {
        *self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner) = Some(checkpoint.clone());
        Ok(Ack::Taken)
    }

    async fn xcom(
        &self,
        _run: RunKey,
        _task_id: &str,
        _map_index: Option<i32>,
        _key: &str,
    ) -> Result<Option<Value>, PortError> {
        Ok(None)
    }

    async fn previous_success(&self, _run: RunKey) -> Result<Option<PreviousSuccess>, PortError> {
        Ok(None)
    }

    async fn stored_connection(&self, conn_id: &str) -> Result<Option<Connection>, PortError> {
        self.store.connection(conn_id).await.map_err(|e| PortError::Unavailable(e.to_string()))
    }

    async fn stored_variable(&self, key: &str) -> Result<Option<String>, PortError> {
        self.store.variable(key).await.map_err(|e| PortError::Unavailable(e.to_string()))
    }
}
