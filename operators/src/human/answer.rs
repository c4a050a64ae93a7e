//! Asking, and waiting for the answer, written once for all of them.

use std::time::Duration;

use serde_json::{Value, json};
use windrose_core::approval::{Answer, Asked};
use windrose_core::cause::Cause;

use super::question::Asking;
use crate::context::TaskContext;
use crate::error::TaskError;

/// How often the question is looked at although nobody has said that it is answered.
const SWEEP: Duration = Duration::from_secs(30);

/// Asks, unless an attempt of this try has asked before, and waits for the answer, holding nothing.
pub(super) async fn answer_to(
    asking: &Asking,
    options: &[String],
    multiple: bool,
    ctx: &TaskContext,
) -> Result<Answer, TaskError> {
    let approvals = ctx.services.approvals();
    let mut deferred = false;
    loop {
        let Some(asked) = approvals.asked().await? else {
            let question = asking.question(ctx, options, multiple);
            ctx.info(format!("Waiting for response: {} ({})", question.subject, question.options.join(", ")));
            approvals.ask(&question, &asking.notifiers()).await?;
            continue;
        };
        if let Some(answer) = asked.answer {
            let user = answer.user.as_deref().unwrap_or("nobody in time, so the default is taken");
            ctx.info(format!("responded_by={user} options={} at {}", answer.chosen_options.join(", "), answer.at));
            return Ok(answer);
        }
        let left = time_left(&asked, ctx);
        if left.is_some_and(|left| left.is_zero()) {
            let default = asked.by_default(ctx.services.now()).ok_or_else(|| too_late(&asked, ctx))?;
            approvals.answer_by_default(&default).await?;
            continue;
        }
        if !deferred {
            ctx.services.set_deferred(true).await?;
            deferred = true;
        }
        tokio::select! {
            () = approvals.answered() => {}
            waited = ctx.sleep(left.map_or(SWEEP, |left| left.min(SWEEP))) => waited?,
        }
    }
}

/// None if it waits for ever.
fn time_left(asked: &Asked, ctx: &TaskContext) -> Option<Duration> {
    asked.question.expires_at.map(|at| at.since(ctx.services.now()))
}

fn too_late(asked: &Asked, ctx: &TaskContext) -> TaskError {
    let limit = asked.question.expires_at.map(|at| at.since(asked.asked_at)).unwrap_or_default();
    TaskError::retryable(Cause::Timeout {
        what: "response_timeout, and nobody has answered,".to_owned(),
        limit_seconds: limit.as_secs_f64(),
        ran_seconds: ctx.services.now().since(asked.asked_at).as_secs_f64(),
    })
}

/// What the task leaves behind, in Airflow's shape.
pub(super) fn returned(answer: &Answer) -> Value {
    json!({
        "chosen_options": answer.chosen_options,
        "params_input": answer.params_input,
        "responded_at": answer.at,
        "responded_by_user": answer.user.as_ref().map(|user| json!({ "id": user, "name": user })),
        "timedout": answer.user.is_none(),
    })
}
