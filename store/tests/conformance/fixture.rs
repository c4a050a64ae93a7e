//! A store on a database of its own, and the rows that scenarios begin with.

use serde_json::{Map, json};
use windrose_core::attempt::{AttemptEnd, AttemptOutcome};
use windrose_core::ids::{AttemptId, DagId, RunKey, TaskInstanceKey};
use windrose_core::run::{DataInterval, RunFacts};
use windrose_core::run_state::{RunState, RunType};
use windrose_core::task_instance::{TaskChange, TaskColumns};
use windrose_core::task_state::TaskState;
use windrose_core::time::Timestamp;
use windrose_store::{AttemptStart, Batch, EncryptionKey, NewRun, NewTask, Store, StoreError};
use windrose_testkit::TestDatabase;

pub(crate) const KEY: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const HOUR: i64 = 3_600_000_000;

pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) database: TestDatabase,
}

pub(crate) fn keys() -> EncryptionKey {
    EncryptionKey::from_base64(KEY).unwrap()
}

impl Fixture {
    pub(crate) async fn sqlite() -> Self {
        Self::on(TestDatabase::sqlite().await).await
    }

    pub(crate) async fn postgres() -> Self {
        let migrate = |url: String| async move {
            let store = Store::open(&url, keys()).await?;
            store.close().await;
            Ok::<(), StoreError>(())
        };
        Self::on(TestDatabase::postgres_migrated(migrate).await).await
    }

    async fn on(database: TestDatabase) -> Self {
        Self { store: Store::open(database.url(), keys()).await.unwrap(), database }
    }

    /// A second store on the same database, as another process has.
    pub(crate) async fn second_store(&self) -> Store {
        Store::open(self.database.url(), keys()).await.unwrap()
    }

    /// Creates a run that has begun, with these tasks.
    pub(crate) async fn run_with(&self, dag: &str, number: i64, tasks: &[&str]) -> RunKey {
        let run = new_run(dag, number, tasks);
        let key = run.facts.key;
        self.store.commit(&Batch { new_runs: vec![run], ..Batch::default() }).await.unwrap();
        key
    }

    /// Dispatches a task instance that nobody has touched yet.
    pub(crate) async fn dispatch(&self, key: &TaskInstanceKey, attempt: AttemptId) {
        self.store.commit(&dispatched(key, attempt)).await.unwrap();
    }
}

/// An instant, in hours.
pub(crate) fn at(hours: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + hours * HOUR)
}

pub(crate) fn new_run(dag: &str, number: i64, tasks: &[&str]) -> NewRun {
    let key = RunKey(dag.bytes().map(i64::from).sum::<i64>() * 1000 + number);
    let mut conf = Map::new();
    conf.insert("table".into(), json!("products"));
    NewRun {
        facts: RunFacts {
            key,
            dag_id: dag.into(),
            run_id: format!("scheduled__{number}").into(),
            run_type: RunType::Scheduled,
            logical_date: Some(at(number)),
            data_interval: Some(DataInterval { start: at(number), end: at(number + 1) }),
            run_after: at(number + 1),
            conf,
            dag_version: "v1".into(),
            triggered_by: "timetable".into(),
        },
        state: RunState::Running,
        created_at: at(number + 1),
        started_at: Some(at(number + 1)),
        tasks: tasks.iter().map(|name| NewTask { key: task(key, name), max_tries: 2 }).collect(),
    }
}

pub(crate) fn task(run: RunKey, task: &str) -> TaskInstanceKey {
    TaskInstanceKey::unmapped(run, task.into())
}

pub(crate) fn dag(id: &str) -> DagId {
    id.into()
}

/// A change of state with nothing else to it.
pub(crate) fn moved(key: &TaskInstanceKey, from: TaskState, to: TaskState) -> TaskChange {
    TaskChange {
        key: key.clone(),
        from,
        to,
        columns: TaskColumns { try_number: 1, max_tries: 2, ..TaskColumns::default() },
        cause: None,
    }
}

/// An attempt that has ended, with nothing else to it.
pub(crate) fn ended(key: &TaskInstanceKey, attempt: AttemptId, outcome: AttemptOutcome) -> AttemptEnd {
    AttemptEnd { key: key.clone(), attempt, try_number: 1, outcome, cause: None, started_at: None, ended_at: at(4) }
}

pub(crate) fn dispatched(key: &TaskInstanceKey, attempt: AttemptId) -> Batch {
    Batch {
        tasks: vec![moved(key, TaskState::None, TaskState::Queued(attempt))],
        attempts_started: vec![AttemptStart {
            attempt,
            key: key.clone(),
            generation: 0,
            try_number: 1,
            queued_at: at(2),
        }],
        ..Batch::default()
    }
}
