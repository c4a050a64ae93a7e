//! Whatever an operator did becomes one report, here and nowhere else.

use serde_json::Value;
use windrose_core::asset::AssetUpdate;
use windrose_core::cause::Cause;
use windrose_core::claim::Claim;
use windrose_core::outcome::{Outcome, RETURN_VALUE, Report, Routing, XCom};
use windrose_core::time::Timestamp;
use windrose_operators::error::TaskError;
use windrose_operators::operator::Done;

use crate::masker::Masker;

/// What came of running an operator.
pub(crate) enum Ended {
    /// It ended by itself.
    ByItself(Result<Done, TaskError>),
    /// It was told to stop; by whom or what.
    Cancelled(String),
    /// Its own code panicked.
    Panicked(String),
}

/// What an attempt leaves behind besides its result.
pub(crate) struct Left {
    /// Values it has pushed.
    pub(crate) xcoms: Vec<XCom>,
    /// Assets it changes if it succeeds.
    pub(crate) assets: Vec<AssetUpdate>,
}

/// The report of an attempt, without secrets.
pub(crate) fn report(
    claim: &Claim,
    ended: Ended,
    left: Left,
    masker: &Masker,
    (started_at, ended_at): (Timestamp, Timestamp),
) -> Report {
    let (outcome, done) = match ended {
        Ended::ByItself(Ok(done)) => match bad_routing(claim, &done) {
            None => (Outcome::Success, done),
            Some(message) => (failed(Cause::Failed { message }, true), Done::default()),
        },
        Ended::ByItself(Err(error)) => (of_error(error), Done::default()),
        Ended::Cancelled(by) => (failed(Cause::Cancelled { by }, false), Done::default()),
        Ended::Panicked(message) => {
            let message = format!("the operator '{}' panicked: {message}", claim.task().operator);
            (failed(Cause::Internal { message }, true), Done::default())
        }
    };
    let Left { mut xcoms, mut assets } = left;
    if let Some(value) = done.value
        && claim.task().do_xcom_push
    {
        xcoms.push(XCom { key: RETURN_VALUE.to_owned(), value });
    }
    for xcom in &mut xcoms {
        xcom.value = masker.mask_value(std::mem::take(&mut xcom.value));
    }
    if outcome != Outcome::Success {
        assets.clear();
    }
    for update in &mut assets {
        if let Value::Object(extra) = masker.mask_value(Value::Object(std::mem::take(&mut update.extra))) {
            update.extra = extra;
        }
    }
    let outcome = match outcome {
        Outcome::Failed { cause, retry } => Outcome::Failed { cause: masker.mask_cause(cause), retry },
        Outcome::Skipped { reason } => Outcome::Skipped { reason: masker.mask(&reason).into_owned() },
        other => other,
    };
    Report { attempt: claim.attempt, outcome, xcoms, routing: done.routing, assets, started_at, ended_at }
}

fn of_error(error: TaskError) -> Outcome {
    match error {
        TaskError::Failed { cause, retry } => failed(cause, retry),
        TaskError::Skip { reason } => Outcome::Skipped { reason },
        TaskError::Reschedule { at } => Outcome::Reschedule { at },
        TaskError::Cancelled => failed(Cause::Cancelled { by: "the operator itself".to_owned() }, true),
    }
}

fn failed(cause: Cause, retry: bool) -> Outcome {
    Outcome::Failed { cause, retry }
}

/// A branch may choose among its direct downstream tasks and the groups they begin.
fn bad_routing(claim: &Claim, done: &Done) -> Option<String> {
    let Some(Routing::Follow { ids }) = &done.routing else { return None };
    let dag = &claim.dag;
    let mut allowed = Vec::new();
    for position in dag.downstream(claim.position) {
        let task = &dag.tasks[position];
        allowed.push(task.id.as_str());
        let mut group = task.group.as_deref();
        while let Some(id) = group {
            allowed.push(id);
            group = dag.groups.get(id).and_then(|group| group.parent.as_deref());
        }
    }
    let wrong: Vec<_> = ids.iter().map(|id| id.as_str()).filter(|id| !allowed.contains(id)).collect();
    (!wrong.is_empty()).then(|| {
        format!(
            "A branch must choose among the tasks directly downstream of it. Invalid tasks found: {}. Possible are {}.",
            wrong.join(", "),
            if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") }
        )
    })
}
