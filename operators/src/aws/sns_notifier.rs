//! `sns`: a message to a topic or an endpoint of Amazon SNS.

use async_trait::async_trait;
use windrose_core::catalog::OperatorKind;

use super::parameters::aws_parameters;
use super::session::session_for;
use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Operator, Parameters, Runnable};

aws_parameters! {
    /// Parameters of `sns`.
    pub struct SnsNotifier {
        /// The topic or endpoint.
        #[schemars(extend("x-template" = true))]
        target_arn: String,
        /// The message.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        message: String,
        /// The subject, for subscribers by mail.
        #[serde(default)]
        #[schemars(extend("x-template" = true))]
        subject: Option<String>,
    }
}

impl Parameters for SnsNotifier {
    const NAME: &'static str = "sns";
    const AIRFLOW: &'static str = "airflow.providers.amazon.aws.notifications.sns.SnsNotifier";
    const SUMMARY: &'static str = "Publishes a message to Amazon SNS.";
    const KIND: OperatorKind = OperatorKind::Work;

    fn build(self) -> Result<Runnable, String> {
        Ok(Runnable::Work(Box::new(self)))
    }
}

#[async_trait]
impl Operator for SnsNotifier {
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        let session = session_for(ctx, &self.aws()).await?;
        let call = session.sns().publish().target_arn(&self.target_arn).message(&self.message);
        let call = call.set_subject(self.subject.clone());
        call.send().await.map_err(|error| session.error("sns", "Publish", &error))?;
        Ok(Done::default())
    }
}
