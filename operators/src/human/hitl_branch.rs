//! `hitl_branch`: a person chooses which way the run goes.

use std::collections::BTreeMap;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use windrose_core::catalog::OperatorKind;
use windrose_core::outcome::Routing;

use super::answer::{answer_to, returned};
use super::question::Asking;
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Operator, Parameters, Runnable};

/// Parameters of `hitl_branch`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct HitlBranchParameters {
    #[serde(flatten)]
    asking: Asking,
    /// What can be chosen.
    options: Vec<String>,
    /// More than one option may be chosen.
    #[serde(default)]
    multiple: bool,
    /// For each option the task or group to go on with; an option that is not named is itself the id.
    #[serde(default)]
    options_mapping: BTreeMap<String, String>,
}

impl Parameters for HitlBranchParameters {
    const NAME: &'static str = "hitl_branch";
    const AIRFLOW: &'static str = "HITLBranchOperator";
    const SUMMARY: &'static str = "Waits until a person chooses which downstream tasks run.";
    const KIND: OperatorKind = OperatorKind::Branch;

    fn build(self) -> Result<Runnable, String> {
        self.asking.check(&self.options, self.multiple)?;
        let unknown: Vec<&String> = self.options_mapping.keys().filter(|key| !self.options.contains(key)).collect();
        if !unknown.is_empty() {
            return Err(format!("`options_mapping` contains keys that are not in `options`: {unknown:?}"));
        }
        Ok(Runnable::Work(Box::new(self)))
    }
}

#[async_trait]
impl Operator for HitlBranchParameters {
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        let answer = answer_to(&self.asking, &self.options, self.multiple, ctx).await?;
        let id = |option: &String| self.options_mapping.get(option).unwrap_or(option).as_str().into();
        let ids = answer.chosen_options.iter().map(id).collect();
        Ok(Done { value: Some(returned(&answer)), routing: Some(Routing::Follow { ids }) })
    }
}
