//! The hot write and its guards.

use serde_json::json;
use windrose_core::attempt::{AttemptEnd, AttemptOutcome};
use windrose_core::cause::Cause;
use windrose_core::ids::AttemptId;
use windrose_core::outcome::Routing;
use windrose_core::run_state::RunState;
use windrose_core::task_instance::{TaskChange, TaskColumns};
use windrose_core::task_state::{FinalState, TaskState};
use windrose_store::{Batch, CommandDone, EventRow, NewTask, Page, RunWrite, StoreError, XComRow};

use crate::fixture::{Fixture, at, dag, dispatched, ended, moved, new_run, task};

crate::on_both_databases!(
    a_batch_writes_all_its_parts_and_they_are_read_back,
    a_task_instance_that_moved_on_makes_the_whole_batch_stale,
    another_attempt_makes_the_batch_stale,
    several_changes_of_one_task_instance_are_one_write,
    changes_that_do_not_follow_one_another_are_stale,
    a_run_id_that_exists_is_named,
    a_second_run_of_the_same_logical_date_is_refused,
    runs_without_a_logical_date_do_not_exclude_one_another,
    several_changes_of_one_run_become_one,
    a_run_that_moved_on_is_stale,
    an_attempt_ends_once,
    a_command_is_done_once,
    a_batch_of_thousands_of_rows_is_written_whole,
    mapped_instances_join_a_run_that_exists,
    the_last_value_of_a_name_wins_and_clearing_comes_first,
);

const FIRST: AttemptId = AttemptId(0xfeed);

async fn a_batch_writes_all_its_parts_and_they_are_read_back(f: Fixture) {
    let run = f.run_with("etl", 1, &["extract", "load"]).await;
    let (extract, load) = (task(run, "extract"), task(run, "load"));
    f.dispatch(&extract, FIRST).await;
    let cause = Cause::ExitCode { code: 3, last_line: Some("no such table".into()) };
    let routing = Routing::Follow { ids: vec!["load".into()] };
    let batch = Batch {
        runs: vec![RunWrite {
            key: run,
            from: RunState::Running,
            to: RunState::Failed,
            started_at: Some(at(2)),
            ended_at: Some(at(5)),
            dag_version: Some("v2".into()),
        }],
        tasks: vec![
            TaskChange {
                columns: TaskColumns {
                    try_number: 2,
                    max_tries: 4,
                    routing: Some(routing.clone()),
                    generation: 1,
                    first_poke_at: Some(at(3)),
                    pokes: 7,
                    queued_at: Some(at(2)),
                    started_at: Some(at(3)),
                    ended_at: Some(at(4)),
                    mapped_length: Some(3),
                },
                cause: Some(cause.clone()),
                ..moved(&extract, TaskState::Queued(FIRST), TaskState::Final(FinalState::Failed))
            },
            moved(&load, TaskState::None, TaskState::UpForRetry(at(9))),
        ],
        attempts_ended: vec![AttemptEnd {
            cause: Some(cause.clone()),
            started_at: Some(at(3)),
            ..ended(&extract, FIRST, AttemptOutcome::Failed)
        }],
        xcoms: vec![XComRow {
            key: extract.clone(),
            name: "return_value".into(),
            value: json!({ "rows": 3 }),
            created_at: at(4),
        }],
        events: vec![EventRow {
            at: at(4),
            dag_id: Some(dag("etl")),
            run_id: Some("scheduled__1".into()),
            task: Some(("extract".into(), -1)),
            what: "failed".into(),
            who: "scheduler".into(),
            detail: Some("exit code 3".into()),
        }],
        ..Batch::default()
    };
    f.store.commit(&batch).await.unwrap();

    let stored = f.store.run(run).await.unwrap().unwrap();
    assert_eq!((stored.state, stored.ended_at), (RunState::Failed, Some(at(5))));
    assert_eq!(stored.facts.dag_version, "v2");
    assert_eq!(stored.facts.conf, new_run("etl", 1, &[]).facts.conf);
    let tasks = f.store.tasks(run).await.unwrap();
    assert_eq!(tasks.len(), 2);
    assert_eq!(tasks[0].state, TaskState::Final(FinalState::Failed));
    assert_eq!((tasks[0].columns.max_tries, &tasks[0].columns.routing), (4, &Some(routing)));
    assert_eq!((tasks[0].columns.try_number, tasks[0].columns.generation, tasks[0].columns.pokes), (2, 1, 7));
    assert_eq!(
        (
            tasks[0].columns.first_poke_at,
            tasks[0].columns.queued_at,
            tasks[0].columns.started_at,
            tasks[0].columns.ended_at
        ),
        (Some(at(3)), Some(at(2)), Some(at(3)), Some(at(4)))
    );
    assert_eq!(tasks[0].cause, Some(cause.clone()));
    assert_eq!(tasks[1].state, TaskState::UpForRetry(at(9)));
    assert_eq!(f.store.task(&load).await.unwrap().unwrap(), tasks[1]);
    let attempts = f.store.attempts(&extract).await.unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!((attempts[0].attempt, attempts[0].outcome.as_deref()), (FIRST, Some("failed")));
    assert_eq!((attempts[0].started_at, attempts[0].ended_at), (Some(at(3)), Some(at(4))));
    assert_eq!(attempts[0].cause, Some(cause));
    assert_eq!(f.store.xcoms(&extract).await.unwrap(), batch.xcoms);
    let page = Page { offset: 0, limit: 10 };
    assert_eq!(f.store.events(&dag("etl"), &"scheduled__1".into(), page).await.unwrap(), batch.events);
}

async fn a_task_instance_that_moved_on_makes_the_whole_batch_stale(f: Fixture) {
    let run = f.run_with("etl", 1, &["a", "b"]).await;
    let (a, b) = (task(run, "a"), task(run, "b"));
    f.dispatch(&b, FIRST).await;
    let batch = Batch {
        tasks: vec![
            moved(&a, TaskState::None, TaskState::Scheduled),
            moved(&b, TaskState::None, TaskState::Final(FinalState::Skipped)),
        ],
        ..Batch::default()
    };
    let error = f.store.commit(&batch).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Stale { what, run: Some(of) } if what.contains("'b'") && *of == run),
        "{error}"
    );
    assert_eq!(f.store.task(&a).await.unwrap().unwrap().state, TaskState::None, "nothing is written");
}

async fn another_attempt_makes_the_batch_stale(f: Fixture) {
    let run = f.run_with("etl", 1, &["a"]).await;
    let a = task(run, "a");
    f.dispatch(&a, FIRST).await;
    let other = moved(&a, TaskState::Queued(AttemptId(2)), TaskState::Running(AttemptId(2)));
    let error = f.store.commit(&Batch { tasks: vec![other], ..Batch::default() }).await.unwrap_err();
    assert!(matches!(error, StoreError::Stale { .. }), "{error}");
    assert_eq!(f.store.task(&a).await.unwrap().unwrap().state, TaskState::Queued(FIRST));
}

async fn several_changes_of_one_task_instance_are_one_write(f: Fixture) {
    let run = f.run_with("etl", 1, &["a"]).await;
    let a = task(run, "a");
    let batch = Batch {
        tasks: vec![
            moved(&a, TaskState::None, TaskState::Scheduled),
            moved(&a, TaskState::Scheduled, TaskState::Queued(FIRST)),
        ],
        ..Batch::default()
    };
    f.store.commit(&batch).await.unwrap();
    assert_eq!(f.store.task(&a).await.unwrap().unwrap().state, TaskState::Queued(FIRST));
}

async fn changes_that_do_not_follow_one_another_are_stale(f: Fixture) {
    let run = f.run_with("etl", 1, &["a"]).await;
    let a = task(run, "a");
    let batch = Batch {
        tasks: vec![
            moved(&a, TaskState::None, TaskState::Scheduled),
            moved(&a, TaskState::None, TaskState::Queued(FIRST)),
        ],
        ..Batch::default()
    };
    assert!(matches!(f.store.commit(&batch).await.unwrap_err(), StoreError::Stale { .. }));
}

async fn a_run_id_that_exists_is_named(f: Fixture) {
    f.run_with("etl", 1, &["a"]).await;
    let mut same = new_run("etl", 1, &["a"]);
    same.facts.key.0 += 500;
    let batch = Batch { new_runs: vec![new_run("etl", 2, &["a"]), same], ..Batch::default() };
    let error = f.store.commit(&batch).await.unwrap_err();
    assert!(matches!(&error, StoreError::RunExists { run_id, .. } if run_id.as_str() == "scheduled__1"), "{error}");
    let second = f.store.find_run(&dag("etl"), &"scheduled__2".into()).await.unwrap();
    assert_eq!(second, None, "nothing is written");
    let first = f.store.find_run(&dag("etl"), &"scheduled__1".into()).await.unwrap();
    assert_eq!(first.unwrap().facts, new_run("etl", 1, &[]).facts);
}

async fn a_second_run_of_the_same_logical_date_is_refused(f: Fixture) {
    f.run_with("etl", 1, &["a"]).await;
    let mut same_date = new_run("etl", 2, &["a"]);
    same_date.facts.logical_date = Some(at(1));
    let error = f.store.commit(&Batch { new_runs: vec![same_date], ..Batch::default() }).await.unwrap_err();
    assert!(matches!(&error, StoreError::RunExists { run_id, .. } if run_id.as_str() == "scheduled__2"), "{error}");
}

async fn runs_without_a_logical_date_do_not_exclude_one_another(f: Fixture) {
    let mut runs = vec![new_run("etl", 1, &["a"]), new_run("etl", 2, &["a"])];
    for run in &mut runs {
        (run.facts.logical_date, run.facts.data_interval) = (None, None);
    }
    f.store.commit(&Batch { new_runs: runs.clone(), ..Batch::default() }).await.unwrap();
    assert_eq!(f.store.run(runs[1].facts.key).await.unwrap().unwrap().facts, runs[1].facts);
}

async fn a_run_that_moved_on_is_stale(f: Fixture) {
    let run = f.run_with("etl", 1, &["a"]).await;
    let write = RunWrite {
        key: run,
        from: RunState::Queued,
        to: RunState::Running,
        started_at: None,
        ended_at: None,
        dag_version: None,
    };
    let batch = Batch { runs: vec![RunWrite { to: RunState::Failed, ..write }], ..Batch::default() };
    let error = f.store.commit(&batch).await.unwrap_err();
    assert!(matches!(error, StoreError::Stale { run: Some(of), .. } if of == run), "{error}");
}

async fn several_changes_of_one_run_become_one(f: Fixture) {
    let run = f.run_with("etl", 1, &["a"]).await;
    let change =
        |from, to, started_at, ended_at| RunWrite { key: run, from, to, started_at, ended_at, dag_version: None };
    let ended = change(RunState::Running, RunState::Success, Some(at(1)), Some(at(2)));
    let cleared = change(RunState::Success, RunState::Queued, None, None);
    let started = change(RunState::Queued, RunState::Running, Some(at(3)), None);
    let batch = Batch { runs: vec![ended.clone(), cleared, started], ..Batch::default() };
    f.store.commit(&batch).await.unwrap();
    let row = f.store.run(run).await.unwrap().unwrap();
    assert_eq!((row.state, row.started_at, row.ended_at), (RunState::Running, Some(at(3)), None));

    let apart = Batch { runs: vec![ended.clone(), ended], ..Batch::default() };
    assert!(matches!(f.store.commit(&apart).await.unwrap_err(), StoreError::Stale { run: Some(of), .. } if of == run));
}

async fn an_attempt_ends_once(f: Fixture) {
    let run = f.run_with("etl", 1, &["a"]).await;
    f.dispatch(&task(run, "a"), FIRST).await;
    let end = ended(&task(run, "a"), FIRST, AttemptOutcome::Success);
    let batch = Batch { attempts_ended: vec![end], ..Batch::default() };
    f.store.commit(&batch).await.unwrap();
    assert!(matches!(f.store.commit(&batch).await.unwrap_err(), StoreError::Stale { .. }));
}

async fn a_command_is_done_once(f: Fixture) {
    let id = f.store.insert_command("clear", &json!({ "tasks": ["a"] }), "ann", at(1)).await.unwrap();
    let pending = f.store.pending_commands().await.unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!((pending[0].kind.as_str(), &pending[0].payload), ("clear", &json!({ "tasks": ["a"] })));
    let done = CommandDone { id: id.clone(), done_at: at(2), result: json!("cleared 1 task instance") };
    let batch = Batch { commands_done: vec![done.clone()], ..Batch::default() };
    f.store.commit(&batch).await.unwrap();
    assert!(matches!(f.store.commit(&batch).await.unwrap_err(), StoreError::Stale { .. }));
    assert!(matches!(f.store.finish_command(&done).await.unwrap_err(), StoreError::Stale { .. }));
    assert!(f.store.pending_commands().await.unwrap().is_empty());
    let command = f.store.command(&id).await.unwrap().unwrap();
    assert_eq!((command.done_at, command.result), (Some(at(2)), Some(json!("cleared 1 task instance"))));
}

async fn a_batch_of_thousands_of_rows_is_written_whole(f: Fixture) {
    let names: Vec<String> = (0..3001).map(|n| format!("t{n:05}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let run = f.run_with("wide", 1, &names).await;
    let writes = names.iter().map(|name| moved(&task(run, name), TaskState::None, TaskState::Scheduled));
    f.store.commit(&Batch { tasks: writes.collect(), ..Batch::default() }).await.unwrap();
    let tasks = f.store.tasks(run).await.unwrap();
    assert_eq!(tasks.len(), 3001);
    assert!(tasks.iter().all(|task| task.state == TaskState::Scheduled));
}

async fn mapped_instances_join_a_run_that_exists(f: Fixture) {
    let run = f.run_with("etl", 1, &["a"]).await;
    let mut mapped = task(run, "a");
    mapped.map_index = 4;
    let batch = Batch { new_tasks: vec![NewTask { key: mapped.clone(), max_tries: 5 }], ..Batch::default() };
    f.store.commit(&batch).await.unwrap();
    let stored = f.store.task(&mapped).await.unwrap().unwrap();
    assert_eq!((stored.state, stored.columns.max_tries), (TaskState::None, 5));
    assert!(matches!(f.store.commit(&batch).await.unwrap_err(), StoreError::Stale { .. }));
}

async fn the_last_value_of_a_name_wins_and_clearing_comes_first(f: Fixture) {
    let run = f.run_with("etl", 1, &["a"]).await;
    let a = task(run, "a");
    let xcom =
        |name: &str, value: i64| XComRow { key: a.clone(), name: name.into(), value: json!(value), created_at: at(1) };
    let mut batch = dispatched(&a, FIRST);
    batch.xcoms = vec![xcom("old", 1), xcom("n", 1), xcom("n", 2)];
    f.store.commit(&batch).await.unwrap();
    assert_eq!(f.store.xcoms(&a).await.unwrap(), [xcom("n", 2), xcom("old", 1)]);
    let batch = Batch { clear_xcoms: vec![a.clone()], xcoms: vec![xcom("n", 3)], ..Batch::default() };
    f.store.commit(&batch).await.unwrap();
    assert_eq!(f.store.xcoms(&a).await.unwrap(), [xcom("n", 3)]);
}
