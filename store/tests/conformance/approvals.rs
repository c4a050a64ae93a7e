//! Questions to people: kept once per try, open while the try goes on, answered once.

use serde_json::{Map, Value, json};
use windrose_core::approval::{Answer, Question};
use windrose_core::ids::{AttemptId, TaskInstanceKey};
use windrose_core::task_state::{FinalState, TaskState};
use windrose_store::{ApprovalFilter, AskingTry, Batch, NewQuestion, StoreError};

use crate::fixture::{Fixture, at, dag, moved, task};

crate::on_both_databases!(
    a_question_is_kept_once_and_read_back,
    a_question_is_open_while_its_try_goes_on,
    the_first_answer_counts,
);

const ATTEMPT: AttemptId = AttemptId(7);

fn question(subject: &str) -> Question {
    Question {
        subject: subject.to_owned(),
        body: Some("*why*".to_owned()),
        options: vec!["Approve".to_owned(), "Reject".to_owned()],
        defaults: Some(vec!["Reject".to_owned()]),
        multiple: false,
        assigned_users: vec!["ann".to_owned()],
        params: Default::default(),
        expires_at: Some(at(9)),
    }
}

fn answer(chosen: &str, user: Option<&str>) -> Answer {
    let params_input = Map::from_iter([("rows".to_owned(), json!(3))]);
    Answer { chosen_options: vec![chosen.to_owned()], params_input, user: user.map(str::to_owned), at: at(5) }
}

fn of(key: &TaskInstanceKey) -> AskingTry {
    AskingTry { key: key.clone(), try_number: 1 }
}

async fn ask(f: &Fixture, key: &TaskInstanceKey, subject: &str) {
    let row = NewQuestion { of: of(key), generation: 0, question: question(subject), asked_at: at(4) };
    f.store.commit(&Batch { questions: vec![row], ..Batch::default() }).await.unwrap();
}

async fn give(f: &Fixture, key: &TaskInstanceKey, answer: Answer) -> Result<(), StoreError> {
    f.store.commit(&Batch { answers: vec![(of(key), answer)], ..Batch::default() }).await
}

/// The subjects of questions that pass the filter, and whether they are open.
async fn listed(f: &Fixture, filter: &ApprovalFilter) -> Value {
    let rows = f.store.approvals(filter, 10).await.unwrap();
    rows.iter().map(|row| json!([row.asked.question.subject, row.is_open])).collect()
}

async fn a_question_is_kept_once_and_read_back(f: Fixture) {
    let run = f.run_with("etl", 1, &["ask"]).await;
    let key = task(run, "ask");
    assert_eq!(f.store.asked(&of(&key)).await.unwrap(), None);
    ask(&f, &key, "first").await;
    ask(&f, &key, "second").await;
    let asked = f.store.asked(&of(&key)).await.unwrap().unwrap();
    assert_eq!((asked.question, asked.asked_at, asked.answer), (question("first"), at(4), None));
    let row = f.store.approvals(&ApprovalFilter::default(), 10).await.unwrap().pop().unwrap();
    assert_eq!((row.dag_id.as_str(), row.run_id.as_str(), row.of), ("etl", "scheduled__1", of(&key)));
}

async fn a_question_is_open_while_its_try_goes_on(f: Fixture) {
    let run = f.run_with("etl", 1, &["ask", "other"]).await;
    let (key, other) = (task(run, "ask"), task(run, "other"));
    f.dispatch(&key, ATTEMPT).await;
    ask(&f, &key, "here").await;
    // Its try has not begun as far as the database knows.
    ask(&f, &other, "there").await;
    let open = ApprovalFilter { open_only: true, ..ApprovalFilter::default() };
    assert_eq!(listed(&f, &open).await, json!([["here", true]]));
    let filter = ApprovalFilter { dag_id: Some(dag("etl")), run: Some(run), ..ApprovalFilter::default() };
    assert_eq!(listed(&f, &filter).await, json!([["here", true], ["there", false]]));
    let filter = ApprovalFilter { task: Some(("other".into(), -1)), ..ApprovalFilter::default() };
    assert_eq!(listed(&f, &filter).await, json!([["there", false]]));
    let filter = ApprovalFilter { dag_id: Some(dag("no")), ..ApprovalFilter::default() };
    assert_eq!(listed(&f, &filter).await, json!([]));
    let ends = moved(&key, TaskState::Queued(ATTEMPT), TaskState::Final(FinalState::Failed));
    f.store.commit(&Batch { tasks: vec![ends], ..Batch::default() }).await.unwrap();
    assert_eq!(listed(&f, &open).await, json!([]));
}

async fn the_first_answer_counts(f: Fixture) {
    let run = f.run_with("etl", 1, &["ask", "late"]).await;
    let (key, late) = (task(run, "ask"), task(run, "late"));
    for (asking, attempt) in [(&key, ATTEMPT), (&late, AttemptId(8))] {
        f.dispatch(asking, attempt).await;
        ask(&f, asking, "?").await;
    }
    give(&f, &key, answer("Approve", Some("ann"))).await.unwrap();
    let second = give(&f, &key, answer("Reject", Some("bob"))).await;
    assert!(matches!(second, Err(StoreError::Stale { .. })), "{second:?}");
    f.store.answer_by_default(&of(&key), &answer("Reject", None)).await.unwrap();
    let asked = f.store.asked(&of(&key)).await.unwrap().unwrap();
    assert_eq!(asked.answer, Some(answer("Approve", Some("ann"))));
    f.store.answer_by_default(&of(&late), &answer("Reject", None)).await.unwrap();
    assert!(give(&f, &late, answer("Approve", Some("ann"))).await.is_err());
    assert_eq!(f.store.asked(&of(&late)).await.unwrap().unwrap().answer, Some(answer("Reject", None)));
    let open = ApprovalFilter { open_only: true, ..ApprovalFilter::default() };
    assert_eq!(listed(&f, &open).await, json!([]));
}
