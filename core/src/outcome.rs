//! What a worker says about an attempt: a closed set, whatever the operator did.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::asset::AssetUpdate;
use crate::cause::Cause;
use crate::ids::{AttemptId, TaskId};
use crate::time::Timestamp;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The work is done.
    Success,
    /// The task's own code asked to be skipped.
    Skipped {
        /// Its reason.
        reason: String,
    },
    /// It failed.
    Failed {
        /// Why.
        cause: Cause,
        /// False if trying again is pointless (Airflow's `AirflowFailException`, a sensor's timeout).
        retry: bool,
    },
    /// A sensor's condition does not hold yet; the task gives everything back until then.
    Reschedule {
        /// When to look again.
        at: Timestamp,
    },
}

/// Which way a branching operator sends the run. The engine knows the graph, so it works out whom that skips.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "routing", rename_all = "snake_case")]
pub enum Routing {
    /// Follow these direct downstream tasks or groups and skip the others (Airflow's branch operators).
    Follow {
        /// Task or group ids; none means that every direct downstream task is skipped.
        ids: Vec<TaskId>,
    },
    /// Skip what is downstream (Airflow's short circuit).
    SkipDownstream {
        /// True: everything downstream. False: the direct downstream tasks only, and their trigger rules decide on.
        ignore_trigger_rules: bool,
    },
}

/// A value that a task leaves for others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct XCom {
    /// `return_value` for what the operator returned.
    pub key: String,
    /// The value, as JSON.
    pub value: Value,
}

/// The key under which an operator's result is kept.
pub const RETURN_VALUE: &str = "return_value";

/// A worker's last word on an attempt. It is durable once acknowledged, and refused if the lease is not the attempt's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The attempt.
    pub attempt: AttemptId,
    /// How it ended.
    pub outcome: Outcome,
    /// What it leaves behind.
    pub xcoms: Vec<XCom>,
    /// Which way the run goes on, for branching operators.
    pub routing: Option<Routing>,
    /// The assets it has changed, if it succeeded.
    #[serde(default)]
    pub assets: Vec<AssetUpdate>,
    /// When the operator began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// What an attempt's templates became, secrets masked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RenderedFields {
    /// The operator's templated parameters.
    pub fields: Value,
    /// The name of a mapped instance, if its task has a `map_index_template`.
    pub map_index_name: Option<String>,
}
