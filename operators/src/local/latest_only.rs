//! `latest_only`: skips what is downstream in runs that are not the schedule's latest, such as those of a catch-up.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use windrose_core::catalog::OperatorKind;
use windrose_core::outcome::Routing;
use windrose_core::run_state::RunType;

use crate::context::TaskContext;
use crate::error::TaskError;
use crate::operator::{Done, Operator, Parameters, Runnable};

/// Parameters of `latest_only`: none.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatestOnly {}

impl Parameters for LatestOnly {
    const NAME: &'static str = "latest_only";
    const AIRFLOW: &'static str = "LatestOnlyOperator";
    const SUMMARY: &'static str = "Skips the direct downstream tasks unless the run is the latest of its schedule.";
    const KIND: OperatorKind = OperatorKind::Branch;

    fn build(self) -> Result<Runnable, String> {
        Ok(Runnable::Work(Box::new(self)))
    }
}

#[async_trait]
impl Operator for LatestOnly {
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        let (goes_on, why) = match ctx.info.next_run_after {
            _ if ctx.info.run_type == RunType::Manual => {
                (true, "Manually triggered DAG_Run: allowing execution to proceed.")
            }
            None => (true, "Last scheduled execution: allowing execution to proceed."),
            Some(next) if ctx.services.now() <= next => (true, "Latest, allowing execution to proceed."),
            Some(_) => (false, "Not latest execution, skipping downstream."),
        };
        ctx.info(why);
        let routing = (!goes_on).then_some(Routing::Follow { ids: Vec::new() });
        Ok(Done { value: None, routing })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::TestTask;

    /// The routing of a run whose successor is due `ahead` seconds from now.
    async fn routing(run_type: RunType, ahead: Option<i64>) -> Option<Routing> {
        let now = TestTask::new("latest").build().0.services.now();
        let due = |seconds: i64| {
            let distance = Duration::from_secs(seconds.unsigned_abs());
            if seconds < 0 { now.minus(distance) } else { now.plus(distance) }
        };
        let task = TestTask::new("latest").with(|info| {
            info.run_type = run_type;
            info.next_run_after = ahead.map(due);
        });
        LatestOnly {}.execute(&task.build().0).await.unwrap().routing
    }

    #[tokio::test]
    async fn a_run_is_the_latest_until_the_next_one_is_due() {
        assert_eq!(routing(RunType::Scheduled, Some(60)).await, None);
        assert_eq!(routing(RunType::Scheduled, None).await, None);
        assert_eq!(routing(RunType::Scheduled, Some(-60)).await, Some(Routing::Follow { ids: vec![] }));
    }

    #[tokio::test]
    async fn a_run_made_by_hand_goes_on() {
        assert_eq!(routing(RunType::Manual, Some(-60)).await, None);
    }
}
