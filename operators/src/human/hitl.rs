//! `hitl`: a person chooses among options, and what is downstream can read which.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use windrose_core::catalog::OperatorKind;

use super::answer::{answer_to, returned};
use super::question::Asking;
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Operator, Parameters, Runnable};

/// Parameters of `hitl`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct HitlParameters {
    #[serde(flatten)]
    asking: Asking,
    /// What can be chosen.
    options: Vec<String>,
    /// More than one option may be chosen.
    #[serde(default)]
    multiple: bool,
}

impl Parameters for HitlParameters {
    const NAME: &'static str = "hitl";
    const AIRFLOW: &'static str = "HITLOperator";
    const SUMMARY: &'static str = "Waits until a person chooses among options.";
    const KIND: OperatorKind = OperatorKind::Work;

    fn build(self) -> Result<Runnable, String> {
        self.asking.check(&self.options, self.multiple)?;
        Ok(Runnable::Work(Box::new(self)))
    }
}

#[async_trait]
impl Operator for HitlParameters {
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        let answer = answer_to(&self.asking, &self.options, self.multiple, ctx).await?;
        Ok(Done::with(returned(&answer)))
    }
}
