use std::sync::Arc;

use futures::FutureExt as _;
use serde_json::{Value, json};
use windrose_core::cause::Cause;
use windrose_core::outcome::Routing;

use crate::error::TaskError;
use crate::operator::{Done, Runnable};
use crate::registry;
use crate::testing::TestTask;
use crate::testing_approvals::TestApprovals;

fn built(operator: &str, parameters: Value) -> Result<Runnable, String> {
    let Value::Object(parameters) = parameters else { panic!("an object") };
    registry::find(operator).unwrap().build(parameters)
}

/// Runs the operator; after its first look somebody answers, if there is an answer.
async fn run(operator: &str, parameters: Value, answer: Option<&'static [&'static str]>) -> Result<Done, TaskError> {
    let people = Arc::new(TestApprovals::default());
    let there = Arc::clone(&people);
    let task = TestTask::new("ask").approvals(Arc::clone(&people)).during_sleeps(move || {
        let there = Arc::clone(&there);
        async move {
            if let (Some(chosen), Some(asked)) = (answer, there.look()) {
                there.answer(chosen, "ann", asked.asked_at);
            }
        }
        .boxed()
    });
    built(operator, parameters).unwrap().execute(&task.build().0).await
}

#[tokio::test]
async fn an_approval_goes_on_and_a_rejection_skips_what_is_downstream() {
    let ask = json!({ "subject": "Load?" });
    let done = run("approval", ask.clone(), Some(&["Approve"])).await.unwrap();
    let value = done.value.unwrap();
    assert_eq!((&value["chosen_options"], &value["responded_by_user"]["id"]), (&json!(["Approve"]), &json!("ann")));
    assert_eq!(done.routing, None);
    let done = run("approval", ask, Some(&["Reject"])).await.unwrap();
    assert_eq!(done.routing, Some(Routing::SkipDownstream { ignore_trigger_rules: false }));
    let strict = json!({ "subject": "Load?", "fail_on_reject": true });
    let error = run("approval", strict, Some(&["Reject"])).await.unwrap_err();
    assert!(error.to_string().contains("rejected by ann"), "{error}");
}

#[tokio::test]
async fn when_time_is_up_the_default_counts_or_the_task_fails() {
    let default = json!({ "subject": "Load?", "defaults": "Reject", "response_timeout": "1h" });
    let done = run("approval", default, None).await.unwrap();
    let value = done.value.unwrap();
    assert_eq!((&value["timedout"], &value["responded_by_user"]), (&json!(true), &Value::Null));
    assert!(done.routing.is_some());
    let none = json!({ "subject": "Load?", "response_timeout": 60 });
    match run("approval", none, None).await.unwrap_err() {
        TaskError::Failed { cause: Cause::Timeout { limit_seconds, .. }, .. } => assert!(limit_seconds > 0.0),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_branch_follows_the_ids_of_what_was_chosen() {
    let ask = json!({ "subject": "Which?", "options": ["Big", "small"], "multiple": true, "options_mapping": { "Big": "load_big" } });
    let done = run("hitl_branch", ask, Some(&["Big", "small"])).await.unwrap();
    assert_eq!(done.routing, Some(Routing::Follow { ids: vec!["load_big".into(), "small".into()] }));
    let done = run("hitl", json!({ "subject": "Which?", "options": ["a", "b"] }), Some(&["b"])).await.unwrap();
    assert_eq!((done.value.unwrap()["chosen_options"].clone(), done.routing), (json!(["b"]), None));
}

#[tokio::test]
async fn a_later_attempt_of_the_same_try_does_not_ask_again() {
    let people = Arc::new(TestApprovals::default());
    let entry = built("hitl_entry", json!({ "subject": "Rows?" })).unwrap();
    let (first, _) = TestTask::new("ask").approvals(Arc::clone(&people)).build();
    // Cut off while it waits, as by a kill.
    let cancelled = first.cancelled.clone();
    let there = Arc::clone(&people);
    let cut_off = async move {
        while there.look().is_none() {
            tokio::task::yield_now().await;
        }
        cancelled.cancel();
    };
    let (ended, ()) = futures::join!(entry.execute(&first), cut_off);
    assert!(matches!(ended, Err(TaskError::Cancelled)), "{ended:?}");
    let asked_at = people.look().unwrap().asked_at;
    people.answer(&["OK"], "bob", asked_at);
    let (second, _) = TestTask::new("ask").approvals(Arc::clone(&people)).build();
    assert_eq!(entry.execute(&second).await.unwrap().value.unwrap()["responded_by_user"]["id"], "bob");
    assert_eq!(people.times(), 1);
}

#[test]
fn what_cannot_be_asked_is_refused() {
    for (operator, parameters, says) in [
        ("hitl", json!({ "subject": "?", "options": [] }), "cannot be empty"),
        ("hitl", json!({ "subject": "?", "options": ["a", "a"] }), "stands twice"),
        ("hitl", json!({ "subject": "?", "options": ["a"], "defaults": ["b"] }), "subset of options"),
        (
            "hitl",
            json!({ "subject": "?", "options": ["a", "b"], "defaults": ["a", "b"] }),
            "\"multiple\" is set to False",
        ),
        (
            "hitl_branch",
            json!({ "subject": "?", "options": ["a"], "options_mapping": { "x": "y" } }),
            "not in `options`",
        ),
        ("approval", json!({ "options": ["a"] }), "subject"),
    ] {
        let refused = built(operator, parameters.clone()).err().unwrap();
        assert!(refused.contains(says), "{parameters}: {refused}");
    }
}

#[test]
fn notifiers_are_checked_like_those_of_tasks() {
    use crate::catalog::check_parameters;
    let entry = registry::find("approval").unwrap();
    let told = |notifiers: Value| {
        let Value::Object(parameters) = json!({ "subject": "{{ x }}", "notifiers": notifiers }) else { unreachable!() };
        check_parameters(entry, &parameters).iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(told(json!([{ "notifier": "webhook", "url": "http://here/{{ ds }}" }])), "");
    assert!(told(json!({ "url": "http://here/" })).contains("'notifier' is missing"));
    assert!(told(json!({ "notifier": "pigeon" })).contains("no notifier 'pigeon'"));
    assert!(told(json!({ "notifier": "webhook", "link": "http://here/" })).contains("'link' is not a parameter"));
}
