//! `hitl_entry`: a person fills in the task's `params`.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use windrose_core::catalog::OperatorKind;

use super::answer::{answer_to, returned};
use super::question::Asking;
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Operator, Parameters, Runnable};

const OK: &str = "OK";

/// Parameters of `hitl_entry`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct HitlEntryParameters {
    #[serde(flatten)]
    asking: Asking,
    /// What can be chosen once everything is filled in.
    #[serde(default = "ok")]
    options: Vec<String>,
}

fn ok() -> Vec<String> {
    vec![OK.to_owned()]
}

impl Parameters for HitlEntryParameters {
    const NAME: &'static str = "hitl_entry";
    const AIRFLOW: &'static str = "HITLEntryOperator";
    const SUMMARY: &'static str = "Waits until a person has filled in the task's params.";
    const KIND: OperatorKind = OperatorKind::Work;

    fn build(self) -> Result<Runnable, String> {
        self.asking.check(&self.options, false)?;
        Ok(Runnable::Work(Box::new(self)))
    }
}

#[async_trait]
impl Operator for HitlEntryParameters {
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        let answer = answer_to(&self.asking, &self.options, false, ctx).await?;
        Ok(Done::with(returned(&answer)))
    }
}
