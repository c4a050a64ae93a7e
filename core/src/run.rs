//! The facts of a DAG run that do not change while it lives.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{DagId, RunId, RunKey};
use crate::run_state::RunType;
use crate::time::Timestamp;

/// The span of data a run stands for: from `start` to before `end`. They are equal for runs without a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DataInterval {
    /// The first instant.
    pub start: Timestamp,
    /// The first instant that is not part of it.
    pub end: Timestamp,
}

/// What is known of a run from its creation on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Its row's key.
    pub key: RunKey,
    /// Its DAG.
    pub dag_id: DagId,
    /// Its id, unique within the DAG.
    pub run_id: RunId,
    /// Why it exists.
    pub run_type: RunType,
    /// The instant it stands for; asset-triggered and some manual runs have none.
    pub logical_date: Option<Timestamp>,
    /// The span of data it stands for.
    pub data_interval: Option<DataInterval>,
    /// Not before this instant.
    pub run_after: Timestamp,
    /// Parameters it was given.
    pub conf: Map<String, Value>,
    /// The hash of the DAG version it is pinned to.
    pub dag_version: String,
    /// Who or what made it, in words.
    pub triggered_by: String,
}
