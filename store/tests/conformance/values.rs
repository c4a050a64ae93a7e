//! What tasks leave behind: checkpoints, XComs, rendered fields.

use serde_json::json;
use windrose_core::ids::AttemptId;
use windrose_core::task_state::{FinalState, TaskState};
use windrose_store::{Batch, NewTask, RenderedRow, StoreError, XComRow};

use crate::fixture::{Fixture, at, moved, task};

crate::on_both_databases!(
    a_checkpoint_is_read_back_by_the_next_attempt,
    a_checkpoint_of_an_attempt_that_lost_the_task_is_fenced,
    a_checkpoint_of_an_older_generation_is_fenced,
    an_xcom_is_found_by_task_and_name,
    a_mapped_tasks_xcoms_are_a_list_in_order,
    rendered_fields_are_those_of_the_last_attempt,
);

const FIRST: AttemptId = AttemptId(0xfeed);

async fn a_checkpoint_is_read_back_by_the_next_attempt(f: Fixture) {
    let a = task(f.run_with("etl", 1, &["a"]).await, "a");
    assert_eq!(f.store.checkpoint(&a, 0).await.unwrap(), None);
    f.dispatch(&a, FIRST).await;
    f.store.save_checkpoint(FIRST, &a, 0, &json!({ "run": "jr_1" }), at(3)).await.unwrap();
    f.store.save_checkpoint(FIRST, &a, 0, &json!({ "run": "jr_2" }), at(4)).await.unwrap();
    let second = AttemptId(2);
    let handed_over = moved(&a, TaskState::Queued(FIRST), TaskState::Queued(second));
    f.store.commit(&Batch { tasks: vec![handed_over], ..Batch::default() }).await.unwrap();
    assert_eq!(f.store.checkpoint(&a, 0).await.unwrap(), Some(json!({ "run": "jr_2" })));
    assert_eq!(f.store.checkpoint(&a, 1).await.unwrap(), None, "another generation begins anew");
}

async fn a_checkpoint_of_an_attempt_that_lost_the_task_is_fenced(f: Fixture) {
    let a = task(f.run_with("etl", 1, &["a"]).await, "a");
    f.dispatch(&a, FIRST).await;
    let ended = moved(&a, TaskState::Queued(FIRST), TaskState::Final(FinalState::Failed));
    f.store.commit(&Batch { tasks: vec![ended], ..Batch::default() }).await.unwrap();
    let error = f.store.save_checkpoint(FIRST, &a, 0, &json!("late"), at(3)).await.unwrap_err();
    assert!(matches!(error, StoreError::Fenced { attempt } if attempt == FIRST), "{error}");
    assert_eq!(f.store.checkpoint(&a, 0).await.unwrap(), None);
}

async fn a_checkpoint_of_an_older_generation_is_fenced(f: Fixture) {
    let a = task(f.run_with("etl", 1, &["a"]).await, "a");
    f.dispatch(&a, FIRST).await;
    let error = f.store.save_checkpoint(FIRST, &a, 1, &json!("late"), at(3)).await.unwrap_err();
    assert!(matches!(error, StoreError::Fenced { .. }), "{error}");
}

async fn an_xcom_is_found_by_task_and_name(f: Fixture) {
    let run = f.run_with("etl", 1, &["a", "b"]).await;
    let xcom = |name: &str, value| XComRow { key: task(run, "a"), name: name.into(), value, created_at: at(1) };
    let xcoms = vec![xcom("return_value", json!({ "rows": [1, 2.5, null, "ä"] })), xcom("other", json!(null))];
    f.store.commit(&Batch { xcoms: xcoms.clone(), ..Batch::default() }).await.unwrap();
    let found = f.store.xcom(run, "a", None, "return_value").await.unwrap();
    assert_eq!(found, Some(json!({ "rows": [1, 2.5, null, "ä"] })));
    assert_eq!(f.store.xcom(run, "a", Some(-1), "other").await.unwrap(), Some(json!(null)));
    assert_eq!(f.store.xcom(run, "b", None, "return_value").await.unwrap(), None);
    assert_eq!(f.store.xcoms(&task(run, "a")).await.unwrap().len(), 2);
}

async fn a_mapped_tasks_xcoms_are_a_list_in_order(f: Fixture) {
    let run = f.run_with("etl", 1, &["start"]).await;
    let mut batch = Batch::default();
    for map_index in [2, 0, 10, 1] {
        let key = windrose_core::ids::TaskInstanceKey { map_index, ..task(run, "m") };
        batch.new_tasks.push(NewTask { key: key.clone(), max_tries: 0 });
        batch.xcoms.push(XComRow { key, name: "return_value".into(), value: json!(map_index), created_at: at(1) });
    }
    f.store.commit(&batch).await.unwrap();
    assert_eq!(f.store.xcom(run, "m", None, "return_value").await.unwrap(), Some(json!([0, 1, 2, 10])));
    assert_eq!(f.store.xcom(run, "m", Some(10), "return_value").await.unwrap(), Some(json!(10)));
    assert_eq!(f.store.xcom(run, "m", Some(3), "return_value").await.unwrap(), None);
}

async fn rendered_fields_are_those_of_the_last_attempt(f: Fixture) {
    let a = task(f.run_with("etl", 1, &["a"]).await, "a");
    assert_eq!(f.store.rendered_fields(&a).await.unwrap(), None);
    f.store.save_rendered_fields(&a, &json!({ "sql": "SELECT 1" }), at(1)).await.unwrap();
    f.store.save_rendered_fields(&a, &json!({ "sql": "SELECT 2" }), at(2)).await.unwrap();
    assert_eq!(f.store.rendered_fields(&a).await.unwrap(), Some(json!({ "sql": "SELECT 2" })));
    let row =
        |n: i64| RenderedRow { key: a.clone(), fields: json!({ "sql": n }), map_index_name: None, rendered_at: at(n) };
    f.store.commit(&Batch { rendered: vec![row(3), row(4)], ..Batch::default() }).await.unwrap();
    assert_eq!(f.store.rendered_fields(&a).await.unwrap(), Some(json!({ "sql": 4 })));
}
