//! What a template may ask for that is not part of its run: variables, connections, XComs, the last successful run.

use serde_json::Value;

use crate::asset::AssetEvent;
use crate::connection::Connection;
use crate::ids::AssetUri;
use crate::run::DataInterval;
use crate::time::Timestamp;

/// Which XComs `ti.xcom_pull` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct XComQuery {
    /// The task that left them.
    pub task_id: String,
    /// `return_value` unless the template says otherwise.
    pub key: String,
    /// One mapped instance (−1 for a task that is not mapped); `None` is all of them.
    pub map_index: Option<i32>,
    /// The DAG; `None` is this one.
    pub dag_id: Option<String>,
    /// The run; `None` is this one.
    pub run_id: Option<String>,
    /// Look into earlier runs, too, if this one has none.
    pub include_prior_dates: bool,
}

/// Which asset events a template asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssetEventQuery {
    /// Those that this run stands for.
    Triggering,
    /// An asset's.
    Asset(AssetUri),
    /// Those that came through an alias.
    Alias(String),
}

/// The last successful run before a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PreviousSuccess {
    /// Its span of data.
    pub data_interval: Option<DataInterval>,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// Where a template's lookups go. Each is made only when a template names it, so an implementation may block.
///
/// An error is a sentence; it fails the rendering, and must not hold a secret.
pub trait Lookup: Send + Sync {
    /// A variable's text; `None` if no source knows it.
    ///
    /// # Errors
    /// If the sources cannot be asked.
    fn variable(&self, key: &str) -> Result<Option<String>, String>;

    /// A connection; `None` if no source knows it.
    ///
    /// # Errors
    /// If the sources cannot be asked.
    fn connection(&self, conn_id: &str) -> Result<Option<Connection>, String>;

    /// The values that match, by map index; none if there are none.
    ///
    /// # Errors
    /// If they cannot be read, or the query is not supported.
    fn xcom(&self, query: &XComQuery) -> Result<Vec<Value>, String>;

    /// The last successful run before this one; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read.
    fn previous_success(&self) -> Result<Option<PreviousSuccess>, String>;

    /// Asset events, oldest first.
    ///
    /// # Errors
    /// If they cannot be read.
    fn asset_events(&self, _query: &AssetEventQuery) -> Result<Vec<AssetEvent>, String> {
        Ok(Vec::new())
    }
}
