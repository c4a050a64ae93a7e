//! Attempts whose operator misbehaves, or that are overtaken by another attempt: one outcome at most, and the worker
//! goes on.

use std::sync::LazyLock;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use windrose_core::catalog::OperatorKind;
use windrose_core::cause::Cause;
use windrose_core::dag::Task;
use windrose_core::ids::{AttemptId, RunKey, TaskInstanceKey};
use windrose_core::outcome::Outcome;
use windrose_operators::context::TaskContext;
use windrose_operators::error::TaskError;
use windrose_operators::operator::{Done, Operator, OperatorEntry, Parameters, Runnable};
use windrose_operators::registry;
use windrose_worker::port::WorkerPort;

use crate::desk::{Office, bash, task};

/// An operator that does what it should not.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Stubborn {
    /// What it does.
    act: Act,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Act {
    PanicInBuild,
    PanicInExecute,
    /// Waits, and panics when it is to stop what it has started.
    PanicInCancel,
    /// Waits, and panics when it is told to stop.
    PanicWhenTold,
    /// Saves a checkpoint once it is released, and means to go on after it.
    SaveOnceReleased,
    /// The same with giving its slot back.
    DeferOnceReleased,
}

impl Parameters for Stubborn {
    const NAME: &'static str = "stubborn";
    const AIRFLOW: &'static str = "none";
    const SUMMARY: &'static str = "Does what it should not.";
    const KIND: OperatorKind = OperatorKind::Work;

    fn build(self) -> Result<Runnable, String> {
        assert!(self.act != Act::PanicInBuild, "kaboom in build");
        Ok(Runnable::Work(Box::new(self)))
    }
}

#[async_trait]
impl Operator for Stubborn {
    async fn execute(&self, ctx: &TaskContext) -> Result<Done, TaskError> {
        assert!(self.act != Act::PanicInExecute, "kaboom in execute");
        ctx.info("under way");
        match self.act {
            Act::SaveOnceReleased => {
                released(ctx).await;
                ctx.services.save_checkpoint(&json!("late")).await?;
            }
            Act::DeferOnceReleased => {
                released(ctx).await;
                ctx.services.set_deferred(true).await?;
            }
            _ => ctx.cancelled.cancelled().await,
        }
        assert!(self.act != Act::PanicWhenTold, "kaboom when told");
        ctx.info("still here");
        Ok(Done::default())
    }

    async fn cancel(&self, _ctx: &TaskContext) -> Result<(), TaskError> {
        assert!(self.act != Act::PanicInCancel, "kaboom in cancel");
        Ok(())
    }

    fn stops_itself(&self) -> bool {
        true
    }
}

/// Waits for a file in the DAG's folder.
async fn released(ctx: &TaskContext) {
    while !ctx.info.dag_folder.join("released").exists() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

fn office() -> Office {
    static STUBBORN: LazyLock<OperatorEntry> = LazyLock::new(OperatorEntry::of::<Stubborn>);
    Office::with(|options| {
        options.operators = |name| if name == Stubborn::NAME { Some(&STUBBORN) } else { registry::find(name) };
    })
}

fn stubborn(id: &str, act: &str) -> Task {
    task(id, Stubborn::NAME, OperatorKind::Work, json!({ "act": act }))
}

/// An attempt of another task still gets its outcome.
async fn goes_on(office: &Office) {
    office.desk.offer(office.claim(99, vec![bash("after", "true")]));
    let report = office.desk.report().await;
    assert_eq!((report.attempt, report.outcome), (AttemptId(99), Outcome::Success));
}

#[tokio::test]
async fn a_panic_fails_its_attempt_with_a_sentence_and_no_other() {
    let office = office();
    let file = office.folder.path().join("dags/released");
    let waits = format!("echo waits; while [ ! -e {} ]; do sleep 0.01; done", file.display());
    office.desk.offer(office.claim(1, vec![bash("beside", &waits)]));
    office.logged("beside", "waits").await;
    for (attempt, act, text) in [(2, "panic_in_execute", "kaboom in execute"), (3, "panic_in_build", "kaboom in build")]
    {
        office.desk.offer(office.claim(attempt, vec![stubborn(act, act)]));
        let report = office.desk.report().await;
        assert_eq!(report.attempt, AttemptId(attempt));
        let message = format!("the operator 'stubborn' panicked: {text}");
        let sentence = format!("Windrose itself failed: {message}. Please report this.");
        assert_eq!(report.outcome, Outcome::Failed { cause: Cause::Internal { message }, retry: true });
        let log = office.log_of(act).await;
        assert!(log.contains(&format!("Task failed: {sentence}")), "{log}");
    }
    std::fs::write(file, "").unwrap();
    let report = office.desk.report().await;
    assert_eq!((report.attempt, report.outcome), (AttemptId(1), Outcome::Success));
    goes_on(&office).await;
}

#[tokio::test]
async fn a_panic_while_it_is_cancelled_leaves_it_cancelled() {
    for (act, said) in [
        ("panic_in_cancel", "panicked while it stopped what it had started elsewhere: kaboom in cancel"),
        ("panic_when_told", "panicked while it was being stopped: kaboom when told"),
    ] {
        let office = office();
        office.desk.offer(office.claim(7, vec![stubborn("t", act)]));
        office.logged("t", "under way").await;
        office.desk.cancel(AttemptId(7), "ann in the UI");
        let cause = Cause::Cancelled { by: "ann in the UI".to_owned() };
        assert_eq!(office.desk.report().await.outcome, Outcome::Failed { cause, retry: false });
        let log = office.log_of("t").await;
        assert!(log.contains(said), "{log}");
        goes_on(&office).await;
    }
}

#[tokio::test]
async fn an_attempt_that_was_overtaken_stops_at_its_next_word_and_reports_nothing() {
    for (act, refused) in [("save_once_released", "checkpoint"), ("defer_once_released", "deferral")] {
        let office = office();
        office.desk.offer(office.claim(7, vec![stubborn("t", act)]));
        office.logged("t", "under way").await;
        office.desk.fenced.store(true, Ordering::SeqCst);
        std::fs::write(office.folder.path().join("dags/released"), "").unwrap();
        assert_eq!(office.desk.refused().await, refused);
        office.logged("t", "Another attempt holds this task now").await;
        assert!(!office.log_of("t").await.contains("still here"));
        office.desk.fenced.store(false, Ordering::SeqCst);
        // Had it reported after all, that report would come first.
        goes_on(&office).await;
        let key = TaskInstanceKey::unmapped(RunKey(1), "t".into());
        assert_eq!(office.desk.checkpoint(&key, 0).await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_outcome_that_is_refused_because_of_another_attempt_is_not_repeated() {
    let office = office();
    office.desk.fenced.store(true, Ordering::SeqCst);
    office.desk.offer(office.claim(7, vec![bash("late", "true")]));
    assert_eq!(office.desk.refused().await, "report");
    office.desk.fenced.store(false, Ordering::SeqCst);
    goes_on(&office).await;
    office.shutdown.cancel();
    office.worker.await.unwrap();
    assert!(office.desk.nothing_reported().await);
}
