//! `empty`: a place in the graph. The engine ends it without an attempt; run by hand it succeeds at once.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use windrose_core::catalog::OperatorKind;

use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Operator, Parameters, Runnable};

/// Parameters of `empty`: none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

impl Parameters for Empty {
    const NAME: &'static str = "empty";
    const AIRFLOW: &'static str = "EmptyOperator";
    const SUMMARY: &'static str = "Does nothing; a place where edges meet.";
    const KIND: OperatorKind = OperatorKind::Empty;

    fn build(self) -> Result<Runnable, String> {
        Ok(Runnable::Work(Box::new(self)))
    }
}

#[async_trait]
impl Operator for Empty {
    async fn execute(&self, _ctx: &TaskContext) -> Result<Done, TaskError> {
        Ok(Done::default())
    }
}
