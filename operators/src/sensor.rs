//! Sensors: a condition, and the waiting around it.

use async_trait::async_trait;
use serde_json::Value;

use crate::context::TaskContext;
use crate::error::TaskError;

/// What a look at the condition found.
#[derive(Debug, Clone, PartialEq)]
pub enum Poke {
    /// It does not hold yet.
    NotYet,
    /// It holds; the value is the `return_value` XCom.
    Done(Option<Value>),
}

/// A condition to wait for.
#[async_trait]
pub trait Sensor: Send + Sync {
    /// Looks once.
    ///
    /// # Errors
    /// An error ends the attempt, unless the sensor's settings say otherwise.
    async fn poke(&self, ctx: &TaskContext) -> Result<Poke, TaskError>;
}
