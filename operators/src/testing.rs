//! A world for operators under test: connections, variables and XComs from maps, everything the operator does kept for
//! the assertions, and a clock that jumps.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use windrose_core::asset::AssetUpdate;
use windrose_core::cause::Cause;
use windrose_core::connection::Connection;
use windrose_core::dag::{SensorMode, SensorSettings};
use windrose_core::ids::{AttemptId, RunKey, TaskInstanceKey};
use windrose_core::outcome::XCom;
use windrose_core::run_state::RunType;
use windrose_core::time::Timestamp;

use crate::approvals::Approvals;
use crate::context::{LogLevel, LogSource, TaskContext, TaskInfo, TaskServices};
use crate::error::TaskError;
use crate::other_dags::OtherDags;
use crate::testing_approvals::TestApprovals;

pub use dags::{TestDags, TestRun};

#[path = "testing_dags.rs"]
mod dags;

/// A line that an operator logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedLine {
    /// Where it came from.
    pub source: LogSource,
    /// How grave it is.
    pub level: LogLevel,
    /// What it says.
    pub text: String,
}

#[derive(Default)]
struct Recorded {
    xcoms: Vec<XCom>,
    log: Vec<LoggedLine>,
    secrets: Vec<String>,
    checkpoints: Vec<Value>,
    sleeps: Vec<Duration>,
    deferrals: Vec<bool>,
    assets: Vec<AssetUpdate>,
    now: Option<Timestamp>,
}

/// What happens in the world while the operator sleeps.
type DuringSleeps = Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>;

/// [`TaskServices`] from maps. What the operator did can be read back at any time.
pub struct TestServices {
    connections: HashMap<String, Connection>,
    variables: HashMap<String, String>,
    xcoms: HashMap<(String, Option<i32>, String), Value>,
    earlier_checkpoint: Option<Value>,
    other_dags: TestDags,
    approvals: Arc<TestApprovals>,
    recorded: Mutex<Recorded>,
    during_sleeps: Option<DuringSleeps>,
    places: Arc<Semaphore>,
    began: Instant,
    folder: tempfile::TempDir,
}

impl TestServices {
    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every line logged so far.
    #[must_use]
    pub fn lines(&self) -> Vec<LoggedLine> {
        self.recorded().log.clone()
    }

    /// The texts of every line logged so far, one a line.
    #[must_use]
    pub fn log_text(&self) -> String {
        let texts: Vec<_> = self.recorded().log.iter().map(|line| line.text.clone()).collect();
        texts.join("\n")
    }

    /// Every XCom pushed so far, in order.
    #[must_use]
    pub fn pushed(&self) -> Vec<XCom> {
        self.recorded().xcoms.clone()
    }

    /// The XCom last pushed under this key.
    #[must_use]
    pub fn pushed_value(&self, key: &str) -> Option<Value> {
        self.recorded().xcoms.iter().rev().find(|x| x.key == key).map(|x| x.value.clone())
    }

    /// Every asset that was said to change, in order.
    #[must_use]
    pub fn changed_assets(&self) -> Vec<AssetUpdate> {
        self.recorded().assets.clone()
    }

    /// What was wanted of other DAGs: `trigger r`, `clear r`, `cancel r`.
    #[must_use]
    pub fn wanted_of_dags(&self) -> Vec<String> {
        self.other_dags.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every text that was to be masked.
    #[must_use]
    pub fn secrets(&self) -> Vec<String> {
        self.recorded().secrets.clone()
    }

    /// Every checkpoint saved, in order.
    #[must_use]
    pub fn checkpoints(&self) -> Vec<Value> {
        self.recorded().checkpoints.clone()
    }

    /// Every wait that began, in order.
    #[must_use]
    pub fn sleeps(&self) -> Vec<Duration> {
        self.recorded().sleeps.clone()
    }

    /// Every change of the deferred state, in order.
    #[must_use]
    pub fn deferrals(&self) -> Vec<bool> {
        self.recorded().deferrals.clone()
    }
}

#[async_trait]
impl TaskServices for TestServices {
    async fn connection(&self, conn_id: &str) -> Result<Connection, TaskError> {
        self.connections.get(conn_id).cloned().ok_or_else(|| {
            TaskError::retryable(Cause::Connection {
                id: conn_id.to_owned(),
                message: format!("The conn_id `{conn_id}` isn't defined."),
                asked: vec![("test".to_owned(), "not there".to_owned())],
            })
        })
    }

    async fn find_connection(&self, conn_id: &str) -> Result<Option<Connection>, TaskError> {
        Ok(self.connections.get(conn_id).cloned())
    }

    async fn variable(&self, key: &str) -> Result<Option<String>, TaskError> {
        Ok(self.variables.get(key).cloned())
    }

    async fn xcom_pull(&self, task_id: &str, map_index: Option<i32>, key: &str) -> Result<Option<Value>, TaskError> {
        Ok(self.xcoms.get(&(task_id.to_owned(), map_index, key.to_owned())).cloned())
    }

    async fn checkpoint(&self) -> Result<Option<Value>, TaskError> {
        Ok(self.recorded().checkpoints.last().cloned().or_else(|| self.earlier_checkpoint.clone()))
    }

    async fn save_checkpoint(&self, checkpoint: &Value) -> Result<(), TaskError> {
        self.recorded().checkpoints.push(checkpoint.clone());
        Ok(())
    }

    fn xcom_push(&self, xcom: XCom) {
        self.recorded().xcoms.push(xcom);
    }

    fn change_asset(&self, update: AssetUpdate) {
        self.recorded().assets.push(update);
    }

    fn other_dags(&self) -> &dyn OtherDags {
        &self.other_dags
    }

    fn approvals(&self) -> &dyn Approvals {
        self.approvals.as_ref()
    }

    fn log(&self, source: LogSource, level: LogLevel, text: &str) {
        self.recorded().log.push(LoggedLine { source, level, text: text.to_owned() });
    }

    fn add_secret(&self, secret: &str) {
        self.recorded().secrets.push(secret.to_owned());
    }

    fn now(&self) -> Timestamp {
        self.recorded().now.unwrap_or_else(|| chrono::Utc::now().into())
    }

    fn monotonic(&self) -> Duration {
        let recorded = self.recorded();
        recorded.now.map_or_else(|| self.began.elapsed(), |_| recorded.sleeps.iter().sum())
    }

    async fn sleep(&self, duration: Duration) {
        if let Some(event) = &self.during_sleeps {
            event().await;
        }
        let jumps = {
            let mut recorded = self.recorded();
            recorded.sleeps.push(duration);
            recorded.now = recorded.now.map(|now| now.plus(duration));
            recorded.now.is_some()
        };
        if jumps {
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(duration).await;
        }
    }

    async fn set_deferred(&self, deferred: bool) -> Result<(), TaskError> {
        self.recorded().deferrals.push(deferred);
        Ok(())
    }

    #[expect(clippy::expect_used, reason = "the semaphore is never closed")]
    async fn process_slot(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is open")
    }

    fn scratch(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

/// Builds the context of an attempt under test. Its clock stands at 2026-01-01 and jumps with every sleep, unless
/// [`TestTask::real_time`] is asked for.
pub struct TestTask {
    info: TaskInfo,
    services: TestServices,
}

impl TestTask {
    /// The first try of this task, in run `test_run` of DAG `test_dag`.
    ///
    /// # Panics
    /// If there is no room for a temporary folder.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test without a temporary folder cannot go on")]
    pub fn new(task_id: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let info = TaskInfo {
            dag_id: "test_dag".into(),
            run_id: "test_run".into(),
            key: TaskInstanceKey::unmapped(RunKey(1), task_id.into()),
            attempt: AttemptId(1),
            try_number: 1,
            max_tries: 1,
            generation: 0,
            run_type: RunType::Manual,
            next_run_after: None,
            render_native: false,
            bundle_folder: folder.path().to_owned(),
            dag_folder: folder.path().to_owned(),
            env: indexmap::IndexMap::new(),
            params: indexmap::IndexMap::new(),
            outlets: Vec::new(),
            sensor: None,
            first_poke_at: None,
            pokes_before: 0,
            superseded: None,
            template_context: Value::Object(serde_json::Map::new()),
        };
        let start = Timestamp::from_micros(1_767_225_600_000_000);
        let services = TestServices {
            connections: HashMap::new(),
            variables: HashMap::new(),
            xcoms: HashMap::new(),
            earlier_checkpoint: None,
            other_dags: TestDags::default(),
            approvals: Arc::default(),
            recorded: Mutex::new(Recorded { now: Some(start), ..Recorded::default() }),
            during_sleeps: None,
            places: Arc::new(Semaphore::new(16)),
            began: Instant::now(),
            folder,
        };
        Self { info, services }
    }

    /// A connection that the operator can look up.
    #[must_use]
    pub fn connection(mut self, connection: Connection) -> Self {
        self.services.connections.insert(connection.conn_id.clone(), connection);
        self
    }

    /// A variable that the operator can look up.
    #[must_use]
    pub fn variable(mut self, key: &str, value: &str) -> Self {
        self.services.variables.insert(key.to_owned(), value.to_owned());
        self
    }

    /// A value that another task left.
    #[must_use]
    pub fn xcom(mut self, task_id: &str, key: &str, value: Value) -> Self {
        self.services.xcoms.insert((task_id.to_owned(), None, key.to_owned()), value);
        self
    }

    /// What the operator can know of other DAGs.
    #[must_use]
    pub fn other_dags(mut self, dags: TestDags) -> Self {
        self.services.other_dags = dags;
        self
    }

    /// People whom the operator can ask.
    #[must_use]
    pub fn approvals(mut self, people: Arc<TestApprovals>) -> Self {
        self.services.approvals = people;
        self
    }

    /// What the last attempt of this generation saved.
    #[must_use]
    pub fn checkpoint(mut self, checkpoint: Value) -> Self {
        self.services.earlier_checkpoint = Some(checkpoint);
        self
    }

    /// How the sensor under test waits.
    #[must_use]
    pub fn sensor(mut self, settings: SensorSettings) -> Self {
        self.info.sensor = Some(settings);
        self
    }

    /// Changes facts about the attempt.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut TaskInfo)) -> Self {
        change(&mut self.info);
        self
    }

    /// Sleeps are real, and so is the clock.
    #[must_use]
    pub fn real_time(mut self) -> Self {
        self.services.recorded.get_mut().unwrap_or_else(PoisonError::into_inner).now = None;
        self
    }

    /// This happens whenever the operator sleeps, before it wakes.
    #[must_use]
    pub fn during_sleeps(mut self, event: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Self {
        self.services.during_sleeps = Some(Box::new(event));
        self
    }

    /// The context for the operator, and the services for the assertions.
    #[must_use]
    pub fn build(self) -> (TaskContext, Arc<TestServices>) {
        let services = Arc::new(self.services);
        let ctx = TaskContext {
            info: Arc::new(self.info),
            cancelled: CancellationToken::new(),
            services: Arc::clone(&services) as Arc<dyn TaskServices>,
        };
        (ctx, services)
    }
}

/// A sensor's settings with Airflow's defaults.
#[must_use]
pub fn sensor_settings(mode: SensorMode) -> SensorSettings {
    SensorSettings {
        mode,
        poke_interval: Duration::from_secs(60),
        timeout: Duration::from_secs(7 * 24 * 3600),
        timeout_given: false,
        soft_fail: false,
        exponential_backoff: false,
        max_wait: None,
        silent_fail: false,
        never_fail: false,
    }
}
