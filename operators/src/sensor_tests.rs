use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::json;

use super::*;
use crate::testing::{TestTask, sensor_settings};

/// Holds at look number `at` (never, if 0); before that it answers with `before`.
struct Condition {
    at: u32,
    looks: AtomicU32,
    before: fn() -> Result<Poke, TaskError>,
}

impl Condition {
    fn at(at: u32) -> Self {
        Self { at, looks: AtomicU32::new(0), before: || Ok(Poke::NotYet) }
    }

    fn answering(before: fn() -> Result<Poke, TaskError>) -> Self {
        Self { at: 3, looks: AtomicU32::new(0), before }
    }

    fn looks(&self) -> u32 {
        self.looks.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Sensor for Condition {
    async fn poke(&self, _ctx: &TaskContext) -> Result<Poke, TaskError> {
        let look = self.looks.fetch_add(1, Ordering::SeqCst) + 1;
        if look == self.at { Ok(Poke::Done(Some(json!("found")))) } else { (self.before)() }
    }
}

fn settings(mode: SensorMode, change: impl FnOnce(&mut SensorSettings)) -> SensorSettings {
    let mut settings = sensor_settings(mode);
    change(&mut settings);
    settings
}

#[tokio::test]
async fn a_condition_that_holds_is_found_at_once() {
    let (ctx, services) = TestTask::new("wait").sensor(sensor_settings(SensorMode::Poke)).build();
    let done = run_sensor(&Condition::at(1), &ctx).await.unwrap();
    assert_eq!((done.value, services.sleeps()), (Some(json!("found")), vec![]));
}

#[tokio::test]
async fn poke_mode_waits_the_interval_between_looks_and_keeps_its_slot() {
    let (ctx, services) = TestTask::new("wait").sensor(sensor_settings(SensorMode::Poke)).build();
    run_sensor(&Condition::at(3), &ctx).await.unwrap();
    assert_eq!(services.sleeps(), [Duration::from_secs(60); 2]);
    assert!(services.deferrals().is_empty());
}

#[tokio::test]
async fn deferred_mode_gives_its_slot_back_once() {
    let (ctx, services) = TestTask::new("wait").sensor(sensor_settings(SensorMode::Deferred)).build();
    run_sensor(&Condition::at(4), &ctx).await.unwrap();
    assert_eq!(services.deferrals(), [true]);
}

#[tokio::test]
async fn reschedule_mode_ends_the_attempt_after_a_look() {
    let (ctx, services) = TestTask::new("wait").sensor(sensor_settings(SensorMode::Reschedule)).build();
    let condition = Condition::at(2);
    let TaskError::Reschedule { at } = run_sensor(&condition, &ctx).await.unwrap_err() else { panic!("no reschedule") };
    assert_eq!(at, ctx.services.now().plus(Duration::from_secs(60)));
    assert_eq!((condition.looks(), services.sleeps()), (1, vec![]));
    assert!(services.log_text().contains("UP_FOR_RESCHEDULE"));
}

#[tokio::test]
async fn reschedule_mode_counts_its_time_from_the_first_look_of_the_try() {
    let settings = settings(SensorMode::Reschedule, |s| s.timeout = Duration::from_secs(100));
    let (ctx, _) = TestTask::new("wait").sensor(settings).build();
    let first = ctx.services.now().minus(Duration::from_secs(101));
    let (ctx, _) = TestTask::new("wait").sensor(settings).with(|info| info.first_poke_at = Some(first)).build();
    let error = run_sensor(&Condition::at(0), &ctx).await.unwrap_err();
    assert!(
        matches!(&error, TaskError::Failed { cause: Cause::Timeout { what, .. }, retry: false } if what == "sensor timeout"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_timeout_comes_after_one_more_look_and_is_not_retried() {
    let settings = settings(SensorMode::Poke, |s| s.timeout = Duration::from_secs(120));
    let (ctx, services) = TestTask::new("wait").sensor(settings).build();
    let condition = Condition::at(0);
    let error = run_sensor(&condition, &ctx).await.unwrap_err();
    assert!(matches!(error, TaskError::Failed { cause: Cause::Timeout { .. }, retry: false }));
    // At 0, 60, 120 (not yet more than the timeout) and 180 seconds.
    assert_eq!(condition.looks(), 4);
    assert!(services.log_text().contains("Sensor has timed out; run duration of 180 seconds"));
}

#[tokio::test]
async fn soft_fail_turns_a_timeout_into_a_skip() {
    let settings = settings(SensorMode::Poke, |s| {
        s.timeout = Duration::from_secs(1);
        s.soft_fail = true;
    });
    let (ctx, _) = TestTask::new("wait").sensor(settings).build();
    assert!(matches!(run_sensor(&Condition::at(0), &ctx).await.unwrap_err(), TaskError::Skip { .. }));
}

#[tokio::test]
async fn an_error_in_a_look_ends_the_attempt() {
    let (ctx, _) = TestTask::new("wait").sensor(sensor_settings(SensorMode::Poke)).build();
    let error = run_sensor(&Condition::answering(|| Err(TaskError::failed("broken"))), &ctx).await.unwrap_err();
    assert!(
        matches!(error, TaskError::Failed { cause: Cause::Failed { message }, retry: true } if message == "broken")
    );
}

#[tokio::test]
async fn silent_fail_logs_an_error_and_goes_on() {
    let settings = settings(SensorMode::Poke, |s| s.silent_fail = true);
    let (ctx, services) = TestTask::new("wait").sensor(settings).build();
    let done = run_sensor(&Condition::answering(|| Err(TaskError::failed("broken"))), &ctx).await.unwrap();
    assert_eq!(done.value, Some(json!("found")));
    assert!(services.log_text().contains("broken"));
}

#[tokio::test]
async fn never_fail_turns_an_error_into_a_skip() {
    let settings = settings(SensorMode::Poke, |s| s.never_fail = true);
    let (ctx, _) = TestTask::new("wait").sensor(settings).build();
    let error = run_sensor(&Condition::answering(|| Err(TaskError::failed("broken"))), &ctx).await.unwrap_err();
    assert!(matches!(error, TaskError::Skip { reason } if reason.contains("never_fail") && reason.contains("broken")));
}

#[tokio::test]
async fn a_look_that_never_ends_is_given_up_when_the_attempt_is_cancelled() {
    struct Stuck;
    #[async_trait]
    impl Sensor for Stuck {
        async fn poke(&self, ctx: &TaskContext) -> Result<Poke, TaskError> {
            ctx.cancelled.cancel();
            std::future::pending().await
        }
    }
    let (ctx, _) = TestTask::new("wait").sensor(sensor_settings(SensorMode::Poke)).build();
    assert!(matches!(run_sensor(&Stuck, &ctx).await.unwrap_err(), TaskError::Cancelled));
}

#[tokio::test]
async fn an_execution_timeout_is_softened_by_soft_fail_only() {
    let cause = Cause::Timeout { what: "execution timeout".to_owned(), limit_seconds: 1.0, ran_seconds: 1.0 };
    let (ctx, _) = TestTask::new("wait").build();
    let hard = after_execution_timeout(&ctx, sensor_settings(SensorMode::Poke), cause.clone());
    assert!(matches!(hard, TaskError::Failed { retry: true, .. }), "{hard:?}");
    let soft = after_execution_timeout(&ctx, settings(SensorMode::Poke, |s| s.soft_fail = true), cause);
    assert!(matches!(soft, TaskError::Skip { .. }), "{soft:?}");
}
