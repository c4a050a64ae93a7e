//! `approval`: goes on if a person approves; else what is downstream is skipped.

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

const APPROVE: &str = "Approve";
const REJECT: &str = "Reject";

/// Parameters of `approval`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ApprovalParameters {
    #[serde(flatten)]
    asking: Asking,
    /// What can be chosen. `Reject`, if it is among them, skips what is downstream; all others go on.
    #[serde(default = "approve_or_reject")]
    options: Vec<String>,
    /// `Reject` fails the task instead of skipping what is downstream.
    #[serde(default)]
    fail_on_reject: bool,
    /// True lets `Reject` skip everything downstream; false the direct downstream tasks, and the trigger rules of the others
    /// decide.
    #[serde(default)]
    ignore_downstream_trigger_rules: bool,
}

fn approve_or_reject() -> Vec<String> {
    vec![APPROVE.to_owned(), REJECT.to_owned()]
}

impl Parameters for ApprovalParameters {
    const NAME: &'static str = "approval";
    const AIRFLOW: &'static str = "ApprovalOperator";
    const SUMMARY: &'static str = "Waits until a person approves; a rejection skips what is downstream.";
    const KIND: OperatorKind = OperatorKind::ShortCircuit;

    fn build(self) -> Result<Runnable, String> {
        self.asking.check(&self.options, false)?;
        Ok(Runnable::Work(Box::new(self)))
    }
}

#[async_trait]
impl Operator for ApprovalParameters {
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        let answer = answer_to(&self.asking, &self.options, false, ctx).await?;
        let rejected = answer.chosen_options.iter().any(|option| option == REJECT);
        if rejected && self.fail_on_reject {
            let by = answer.user.as_deref().unwrap_or("the default, because nobody answered in time");
            return Err(TaskError::failed(format!("It was rejected by {by}.")));
        }
        ctx.info(if rejected { "Skipping downstream tasks" } else { "Approved. Proceeding with downstream tasks..." });
        let skip = Routing::SkipDownstream { ignore_trigger_rules: self.ignore_downstream_trigger_rules };
        Ok(Done { value: Some(returned(&answer)), routing: rejected.then_some(skip) })
    }
}
