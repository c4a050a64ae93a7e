use std::sync::Mutex;

use serde_json::json;
use windrose_core::cause::Cause;

use super::*;
use crate::testing::TestTask;

/// Remote work that answers polls from a list, and notes what was asked of it.
struct Job {
    answers: Mutex<Vec<Result<Progress, TaskError>>>,
    calls: Mutex<Vec<String>>,
    waits: bool,
    reattaches: bool,
    deferrable: bool,
}

impl Job {
    fn answering(answers: Vec<Result<Progress, TaskError>>) -> Self {
        let answers = Mutex::new(answers.into_iter().rev().collect());
        Self { answers, calls: Mutex::default(), waits: true, reattaches: true, deferrable: false }
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn note(&self, call: String) {
        self.calls.lock().unwrap().push(call);
    }
}

#[async_trait]
impl RemoteJob for Job {
    async fn submit(&self, ctx: &TaskContext) -> Result<Value, TaskError> {
        self.note(format!("submit {}", ctx.idempotency_token()));
        Ok(json!("new"))
    }

    async fn poll(&self, ctx: &TaskContext, handle: &Value) -> Result<Progress, TaskError> {
        assert_eq!(ctx.services.checkpoint().await.unwrap().as_ref(), Some(handle), "saved before it is waited for");
        self.note(format!("poll {}", handle.as_str().unwrap()));
        self.answers.lock().unwrap().pop().unwrap_or(Ok(Progress::Succeeded))
    }

    async fn finish(&self, _ctx: &TaskContext, handle: &Value) -> Result<Done, TaskError> {
        Ok(Done::with(handle.clone()))
    }

    async fn cancel(&self, _ctx: &TaskContext, handle: &Value) -> Result<(), TaskError> {
        self.note(format!("cancel {}", handle.as_str().unwrap()));
        Ok(())
    }

    fn poll_interval(&self) -> Duration {
        Duration::from_secs(6)
    }

    fn waits(&self) -> bool {
        self.waits
    }

    fn deferrable(&self) -> bool {
        self.deferrable
    }

    fn reattaches(&self) -> bool {
        self.reattaches
    }
}

fn running() -> Result<Progress, TaskError> {
    Ok(Progress::Running("RUNNING".to_owned()))
}

fn aws_error(code: &str) -> Result<Progress, TaskError> {
    Err(TaskError::retryable(Cause::Aws {
        service: "glue".to_owned(),
        operation: "GetJobRun".to_owned(),
        code: code.to_owned(),
        message: "no".to_owned(),
        request_id: None,
        identity: None,
        throttled: code.starts_with("Throttl"),
    }))
}

#[tokio::test]
async fn the_handle_is_durable_before_the_first_poll() {
    let job = Job::answering(vec![running(), running()]);
    let (ctx, services) = TestTask::new("job").build();
    let done = run_remote(&job, &ctx).await.unwrap();
    assert_eq!((done.value, services.checkpoints()), (Some(json!("new")), vec![json!("new")]));
    assert_eq!(services.sleeps(), [Duration::from_secs(6); 2]);
}

#[tokio::test]
async fn work_of_the_last_attempt_that_still_runs_is_taken_hold_of() {
    let job = Job::answering(vec![running(), running()]);
    let (ctx, services) = TestTask::new("job").checkpoint(json!("old")).build();
    let done = run_remote(&job, &ctx).await.unwrap();
    assert_eq!(done.value, Some(json!("old")));
    assert!(job.calls().iter().all(|call| call == "poll old"), "{:?}", job.calls());
    assert!(services.log_text().contains("Reconnecting to existing job old"));
}

#[tokio::test]
async fn work_of_the_last_attempt_that_has_succeeded_is_not_done_twice() {
    let job = Job::answering(vec![Ok(Progress::Succeeded)]);
    let (ctx, services) = TestTask::new("job").checkpoint(json!("old")).build();
    assert_eq!(run_remote(&job, &ctx).await.unwrap().value, Some(json!("old")));
    assert_eq!(job.calls(), ["poll old"]);
    assert!(services.log_text().contains("Job already completed successfully, skipping resubmission"));
}

#[tokio::test]
async fn work_that_failed_or_is_unknown_is_submitted_anew_under_another_token() {
    let fresh = Job::answering(vec![]);
    run_remote(&fresh, &TestTask::new("job").build().0).await.unwrap();
    for ended in [Progress::Failed(TaskError::failed("died")), Progress::Unknown] {
        let job = Job::answering(vec![Ok(ended)]);
        let (ctx, services) = TestTask::new("job").checkpoint(json!("old")).build();
        assert_eq!(run_remote(&job, &ctx).await.unwrap().value, Some(json!("new")));
        assert_eq!((job.calls().len(), services.checkpoints()), (3, vec![json!("new")]));
        assert_ne!(job.calls()[1], fresh.calls()[0], "the token of work that has ended gives that work back");
        assert!(services.log_text().contains("resubmitting fresh"));
    }
}

#[tokio::test]
async fn the_token_is_the_same_when_an_attempt_died_before_its_handle_was_saved() {
    let (first, second) = (Job::answering(vec![]), Job::answering(vec![]));
    run_remote(&first, &TestTask::new("job").build().0).await.unwrap();
    run_remote(&second, &TestTask::new("job").with(|info| info.try_number = 2).build().0).await.unwrap();
    assert_eq!(first.calls()[0], second.calls()[0]);
}

#[tokio::test]
async fn a_job_that_does_not_reattach_is_submitted_anew() {
    let job = Job { reattaches: false, ..Job::answering(vec![]) };
    let (ctx, _) = TestTask::new("job").checkpoint(json!("old")).build();
    assert_eq!(run_remote(&job, &ctx).await.unwrap().value, Some(json!("new")));
}

#[tokio::test]
async fn without_waiting_the_work_is_not_polled() {
    let job = Job { waits: false, ..Job::answering(vec![]) };
    let (ctx, services) = TestTask::new("job").build();
    run_remote(&job, &ctx).await.unwrap();
    assert_eq!((job.calls().len(), services.checkpoints().len()), (1, 1));
}

#[tokio::test]
async fn polls_that_are_throttled_or_lost_do_not_fail_the_task() {
    let throttled = || aws_error("ThrottlingException");
    let job = Job::answering(vec![throttled(), throttled(), aws_error("DispatchFailure"), running()]);
    let (ctx, services) = TestTask::new("job").build();
    run_remote(&job, &ctx).await.unwrap();
    assert_eq!(job.calls().len(), 6);
    assert!(services.log_text().contains("trying again"));
}

#[tokio::test]
async fn a_refused_poll_fails_the_attempt() {
    let job = Job::answering(vec![aws_error("AccessDeniedException")]);
    let (ctx, _) = TestTask::new("job").build();
    assert!(matches!(run_remote(&job, &ctx).await.unwrap_err(), TaskError::Failed { cause: Cause::Aws { .. }, .. }));
}

#[tokio::test]
async fn failed_work_fails_the_attempt_with_the_jobs_own_error() {
    let job = Job::answering(vec![running(), Ok(Progress::Failed(TaskError::failed("out of disk")))]);
    let (ctx, _) = TestTask::new("job").build();
    assert_eq!(run_remote(&job, &ctx).await.unwrap_err().to_string(), "out of disk");
}

#[tokio::test]
async fn a_deferrable_job_gives_its_slot_back_once_and_only_if_it_has_to_wait() {
    let job = Job { deferrable: true, ..Job::answering(vec![running(), running()]) };
    let (ctx, services) = TestTask::new("job").build();
    run_remote(&job, &ctx).await.unwrap();
    assert_eq!(services.deferrals(), [true]);

    let quick = Job { deferrable: true, ..Job::answering(vec![]) };
    let (ctx, services) = TestTask::new("job").build();
    run_remote(&quick, &ctx).await.unwrap();
    assert!(services.deferrals().is_empty());
}

#[tokio::test]
async fn cancelling_ends_the_wait() {
    let job = Job::answering(vec![running()]);
    let (ctx, _) = TestTask::new("job").checkpoint(json!("old")).build();
    ctx.cancelled.cancel();
    assert!(matches!(run_remote(&job, &ctx).await.unwrap_err(), TaskError::Cancelled));
}

#[tokio::test]
async fn a_cancellation_during_a_submit_waits_for_the_handle() {
    struct Slow;
    #[async_trait]
    impl RemoteJob for Slow {
        async fn submit(&self, ctx: &TaskContext) -> Result<Value, TaskError> {
            ctx.cancelled.cancel();
            tokio::task::yield_now().await;
            Ok(json!("late"))
        }
        async fn poll(&self, _: &TaskContext, _: &Value) -> Result<Progress, TaskError> {
            running()
        }
        async fn finish(&self, _: &TaskContext, _: &Value) -> Result<Done, TaskError> {
            Ok(Done::default())
        }
        async fn cancel(&self, ctx: &TaskContext, handle: &Value) -> Result<(), TaskError> {
            ctx.info(format!("stopped {}", shown(handle)));
            Ok(())
        }
        fn poll_interval(&self) -> Duration {
            Duration::from_secs(1)
        }
    }
    let (ctx, services) = TestTask::new("job").build();
    let runnable = crate::operator::Runnable::Remote(Box::new(Slow));
    assert!(matches!(runnable.execute(&ctx).await.unwrap_err(), TaskError::Cancelled));
    runnable.cancel(&ctx).await.unwrap();
    assert!(services.log_text().contains("stopped late"));
}
