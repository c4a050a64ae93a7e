//! Logs, processes, commands in order, and retention.

use serde_json::json;
use windrose_core::ids::{AttemptId, RunKey};
use windrose_core::run_state::{RunState, RunType};
use windrose_store::{AuditRow, Batch, EventRow, LoadedDag, Page, ProcessRow, RunFilter, XComRow};

use crate::fixture::{Fixture, at, dag, new_run, task};

crate::on_both_databases!(
    the_audit_log_is_listed_newest_first,
    events_of_a_run_come_in_the_order_they_were_written,
    commands_are_taken_in_the_order_they_were_given,
    a_heartbeat_moves_when_a_process_was_seen,
    pruning_removes_old_runs_with_all_that_belongs_to_them,
    pruning_keeps_the_run_from_which_a_schedule_goes_on,
    pruning_removes_versions_that_nothing_names,
);

const ALL: Page = Page { offset: 0, limit: 100 };

async fn the_audit_log_is_listed_newest_first(f: Fixture) {
    let row = |hour, detail| AuditRow {
        at: at(hour),
        who: "ann".into(),
        action: "dag.pause".into(),
        object: "etl".into(),
        detail,
    };
    let rows = [row(1, None), row(2, Some(json!({ "paused": true }))), row(3, None)];
    for row in &rows {
        f.store.insert_audit(row).await.unwrap();
    }
    let listed = f.store.audit(Page { offset: 0, limit: 2 }).await.unwrap();
    assert_eq!((listed.rows, listed.total), (vec![rows[2].clone(), rows[1].clone()], 3));
}

async fn events_of_a_run_come_in_the_order_they_were_written(f: Fixture) {
    let event = |what: &str| EventRow {
        at: at(1),
        dag_id: Some(dag("etl")),
        run_id: Some("r".into()),
        task: None,
        what: what.into(),
        who: "scheduler".into(),
        detail: None,
    };
    let events = ["queued", "running", "success"].map(event);
    for batch in events.chunks(2) {
        f.store.commit(&Batch { events: batch.to_vec(), ..Batch::default() }).await.unwrap();
    }
    assert_eq!(f.store.events(&dag("etl"), &"r".into(), ALL).await.unwrap(), events);
    let second = f.store.events(&dag("etl"), &"r".into(), Page { offset: 1, limit: 1 }).await.unwrap();
    assert_eq!(second, events[1..2]);
}

async fn commands_are_taken_in_the_order_they_were_given(f: Fixture) {
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(f.store.insert_command("trigger", &json!({ "n": number }), "ann", at(1)).await.unwrap());
    }
    let pending = f.store.pending_commands().await.unwrap();
    assert_eq!(pending.iter().map(|command| &command.id).collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>());
    assert_eq!((pending[4].payload.clone(), pending[4].who.as_str()), (json!({ "n": 4 }), "ann"));
}

async fn a_heartbeat_moves_when_a_process_was_seen(f: Fixture) {
    let process = |id: &str, hour| ProcessRow {
        process_id: id.into(),
        kind: "standalone".into(),
        host: "alpha".into(),
        pid: 17,
        version: "0.1.0".into(),
        started_at: at(1),
        seen_at: at(hour),
    };
    f.store.heartbeat(&process("p1", 1)).await.unwrap();
    f.store.heartbeat(&process("p2", 2)).await.unwrap();
    f.store.heartbeat(&process("p1", 3)).await.unwrap();
    assert_eq!(f.store.processes().await.unwrap(), [process("p1", 3), process("p2", 2)]);
}

/// A run that ended in the hour after its date.
async fn ended_run(f: &Fixture, number: i64, run_type: RunType) -> RunKey {
    let mut run = new_run("etl", number, &["a"]);
    run.facts.run_type = run_type;
    run.facts.dag_version = format!("v{number}");
    let key = run.facts.key;
    f.store.commit(&Batch { new_runs: vec![run], ..Batch::default() }).await.unwrap();
    let end = windrose_store::RunWrite {
        key,
        from: RunState::Running,
        to: RunState::Success,
        started_at: Some(at(number + 1)),
        ended_at: Some(at(number + 1)),
        dag_version: None,
    };
    f.store.commit(&Batch { runs: vec![end], ..Batch::default() }).await.unwrap();
    key
}

async fn pruning_removes_old_runs_with_all_that_belongs_to_them(f: Fixture) {
    let old = ended_run(&f, 1, RunType::Manual).await;
    let new = ended_run(&f, 20, RunType::Manual).await;
    let living = f.run_with("etl", 2, &["a"]).await;
    let a = task(old, "a");
    f.dispatch(&a, AttemptId(1)).await;
    f.store.save_checkpoint(AttemptId(1), &a, 0, &json!(1), at(1)).await.unwrap();
    f.store.save_rendered_fields(&a, &json!(1), at(1)).await.unwrap();
    let xcom = XComRow { key: a.clone(), name: "n".into(), value: json!(1), created_at: at(1) };
    f.store.commit(&Batch { xcoms: vec![xcom], ..Batch::default() }).await.unwrap();
    let pruned = f.store.prune(at(10)).await.unwrap();
    assert_eq!(pruned.runs, 1);
    let left = f.store.runs(&RunFilter::default(), ALL).await.unwrap();
    assert_eq!(left.rows.iter().map(|run| run.facts.key).collect::<Vec<_>>(), [new, living]);
    assert!(f.store.tasks(old).await.unwrap().is_empty());
    assert!(f.store.attempts(&a).await.unwrap().is_empty());
    assert!(f.store.xcoms(&a).await.unwrap().is_empty());
    assert_eq!(f.store.checkpoint(&a, 0).await.unwrap(), None);
    assert_eq!(f.store.rendered_fields(&a).await.unwrap(), None);
    assert_eq!(f.store.tasks(living).await.unwrap().len(), 1);
}

async fn pruning_keeps_the_run_from_which_a_schedule_goes_on(f: Fixture) {
    for number in 1..=120 {
        ended_run(&f, number, RunType::Scheduled).await;
    }
    assert_eq!(f.store.prune(at(1000)).await.unwrap().runs, 119);
    let left = f.store.last_automated_run(&dag("etl")).await.unwrap().unwrap();
    assert_eq!(left.facts.logical_date, Some(at(120)));
}

async fn pruning_removes_versions_that_nothing_names(f: Fixture) {
    ended_run(&f, 1, RunType::Scheduled).await;
    for hash in ["v1", "unused", "newest"] {
        f.store.put_dag(&LoadedDag::plain("etl", hash, ""), at(1)).await.unwrap();
    }
    f.store
        .insert_audit(&AuditRow { at: at(1), who: "a".into(), action: "b".into(), object: "c".into(), detail: None })
        .await
        .unwrap();
    let pruned = f.store.prune(at(10)).await.unwrap();
    assert_eq!((pruned.dag_versions, pruned.records), (1, 1));
    let left = f.store.dag_versions(&dag("etl")).await.unwrap();
    let mut hashes: Vec<_> = left.iter().map(|version| version.hash.as_str()).collect();
    hashes.sort_unstable();
    assert_eq!(hashes, ["newest", "v1"]);
}
