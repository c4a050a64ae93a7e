//! Notifications, missed deadlines, and what a schedule remembers of its DAG.

use serde_json::json;
use windrose_core::ids::RunKey;
use windrose_core::run::DataInterval;
use windrose_core::run_state::{RunState, RunType};
use windrose_store::{
    Batch, DagWrite, LoadedDag, MissedDeadline, NewNotification, Page, RunWrite, SendingFailed, StoreError,
};

use crate::fixture::{Fixture, at, dag, new_run};

crate::on_both_databases!(
    a_notification_waits_until_it_was_sent_or_given_up,
    a_missed_deadline_is_written_once,
    a_dag_is_paused_and_remembers_a_run_that_was_passed_over,
    the_run_before_a_date_is_found_with_and_without_manual_ones,
    the_last_success_is_that_of_the_newest_run,
);

fn about(name: &str) -> NewNotification {
    NewNotification {
        id: name.to_owned(),
        dag_id: dag("etl"),
        run: Some(RunKey(7)),
        task: Some(("load".into(), -1)),
        reason: "on_failure".to_owned(),
        notifier: json!({ "notifier": "webhook", "url": name }),
        facts: json!({ "cause": "It failed." }),
        created_at: at(1),
    }
}

async fn a_notification_waits_until_it_was_sent_or_given_up(f: Fixture) {
    let of_dag = NewNotification { run: None, task: None, dag_id: dag("other"), ..about("3") };
    let notifications = vec![about("1"), about("2"), of_dag.clone()];
    f.store.commit(&Batch { notifications: notifications.clone(), ..Batch::default() }).await.unwrap();
    let waiting = f.store.waiting_notifications(10).await.unwrap();
    assert_eq!(waiting.iter().map(|row| row.content.clone()).collect::<Vec<_>>(), notifications);
    assert_eq!((waiting[0].due_at, waiting[0].tries), (Some(at(1)), 0));

    let again = SendingFailed { error: "refused".to_owned(), next: Some(at(2)) };
    f.store.notification_failed(&waiting[0].id, &again).await.unwrap();
    f.store.notification_sent(&waiting[1].id, at(3)).await.unwrap();
    let sent_again = f.store.notification_sent(&waiting[1].id, at(4)).await;
    assert!(matches!(sent_again, Err(StoreError::Stale { .. })), "{sent_again:?}");
    let left = f.store.waiting_notifications(10).await.unwrap();
    assert_eq!(left.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), [&waiting[2].id, &waiting[0].id]);
    assert_eq!((left[1].tries, left[1].error.as_deref(), left[1].due_at), (1, Some("refused"), Some(at(2))));
    let over = SendingFailed { error: "gone".to_owned(), next: None };
    f.store.notification_failed(&waiting[0].id, &over).await.unwrap();
    assert_eq!(f.store.waiting_notifications(10).await.unwrap().len(), 1);

    let page = Page { offset: 0, limit: 10 };
    let of_etl = f.store.notifications(Some(&dag("etl")), page).await.unwrap();
    let shown: Vec<_> = of_etl.iter().map(|row| (row.sent_at, row.error.as_deref())).collect();
    assert_eq!(shown, [(Some(at(3)), None), (None, Some("gone"))]);
    let all = f.store.notifications(None, page).await.unwrap();
    assert_eq!((all.len(), &all[0].content), (3, &of_dag));
    assert_eq!(f.store.prune(at(5)).await.unwrap().records, 2);
}

async fn a_missed_deadline_is_written_once(f: Fixture) {
    let run = f.run_with("etl", 1, &["a"]).await;
    let of_run = MissedDeadline {
        dag_id: dag("etl"),
        run: Some(run),
        deadline: "not done".to_owned(),
        counted_from: at(1),
        missed_at: at(2),
    };
    let of_dag = MissedDeadline { run: None, missed_at: at(3), ..of_run.clone() };
    let missed_deadlines = vec![of_run.clone(), of_dag.clone()];
    f.store.commit(&Batch { missed_deadlines, ..Batch::default() }).await.unwrap();
    assert_eq!(f.store.missed_deadlines().await.unwrap(), [of_run.clone(), of_dag.clone()]);

    let batch = Batch { missed_deadlines: vec![of_run], notifications: vec![about("4")], ..Batch::default() };
    assert!(matches!(f.store.commit(&batch).await, Err(StoreError::Stale { .. })));
    assert_eq!(f.store.waiting_notifications(10).await.unwrap(), [], "nothing of it is written");

    let end = RunWrite {
        key: run,
        from: RunState::Running,
        to: RunState::Success,
        started_at: Some(at(1)),
        ended_at: Some(at(4)),
        dag_version: None,
    };
    f.store.commit(&Batch { runs: vec![end], ..Batch::default() }).await.unwrap();
    assert_eq!(f.store.missed_deadlines().await.unwrap(), [of_dag]);
}

async fn a_dag_is_paused_and_remembers_a_run_that_was_passed_over(f: Fixture) {
    let loaded = LoadedDag {
        dag_id: dag("etl"),
        file: "etl.toml".to_owned(),
        hash: "v1".to_owned(),
        source: String::new(),
        description: None,
        owner: None,
        tags: Vec::new(),
        schedule: None,
        git_commit: None,
        author: None,
        assets: Vec::new(),
    };
    f.store.put_dag(&loaded, false, at(0)).await.unwrap();
    assert_eq!(f.store.dag(&dag("etl")).await.unwrap().unwrap().passed_over, None);
    let data_interval = DataInterval { start: at(1), end: at(2) };
    let dags = vec![DagWrite::PassedOver { dag_id: dag("etl"), data_interval }, DagWrite::Pause(dag("etl"))];
    f.store.commit(&Batch { dags, ..Batch::default() }).await.unwrap();
    f.store.put_dag(&LoadedDag { hash: "v2".to_owned(), ..loaded }, false, at(3)).await.unwrap();
    let row = f.store.dag(&dag("etl")).await.unwrap().unwrap();
    assert_eq!((row.paused, row.passed_over), (true, Some(data_interval)));
}

async fn the_run_before_a_date_is_found_with_and_without_manual_ones(f: Fixture) {
    let mut new_runs = vec![new_run("etl", 1, &[])];
    for number in 2..300 {
        let mut manual = new_run("etl", number, &[]);
        manual.facts.run_type = RunType::Manual;
        new_runs.push(manual);
    }
    let keys: Vec<_> = new_runs.iter().map(|run| run.facts.key).collect();
    f.store.commit(&Batch { new_runs, ..Batch::default() }).await.unwrap();
    f.run_with("other", 250, &[]).await;
    let before =
        async |hour, scheduled_only| f.store.run_before_date(&dag("etl"), at(hour), scheduled_only).await.unwrap();
    assert_eq!(before(300, false).await, Some((keys[298], at(299))));
    assert_eq!(before(300, true).await, Some((keys[0], at(1))));
    assert_eq!(before(1, false).await, None);
}

async fn the_last_success_is_that_of_the_newest_run(f: Fixture) {
    assert_eq!(f.store.last_success_of(&dag("etl")).await.unwrap(), None);
    for (number, to) in [(1, RunState::Success), (2, RunState::Success), (3, RunState::Failed)] {
        let key = f.run_with("etl", number, &[]).await;
        let write = RunWrite {
            key,
            from: RunState::Running,
            to,
            started_at: Some(at(number)),
            ended_at: Some(at(10 + number)),
            dag_version: None,
        };
        f.store.commit(&Batch { runs: vec![write], ..Batch::default() }).await.unwrap();
    }
    assert_eq!(f.store.last_success_of(&dag("etl")).await.unwrap(), Some(at(12)));
}
