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
    the_last_deadline_that_a_dag_missed_is_not_forgotten,
    a_cleared_run_says_since_when_it_waits,
    a_dag_is_paused_and_remembers_a_run_that_was_passed_over,
    the_run_before_a_date_is_found_with_and_without_manual_ones,
    the_last_success_is_the_one_that_ended_last_without_backfills,
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
    assert_eq!(f.store.missed_deadlines(&dag("etl"), Some(run)).await.unwrap(), std::slice::from_ref(&of_run));
    assert_eq!(f.store.missed_deadlines(&dag("etl"), None).await.unwrap(), std::slice::from_ref(&of_dag));
    assert_eq!(f.store.missed_deadlines(&dag("other"), None).await.unwrap(), []);
    assert_eq!(f.store.last_missed_deadlines(&dag("etl"), 9).await.unwrap(), [of_dag.clone(), of_run.clone()]);
    assert_eq!(f.store.last_missed_deadlines(&dag("etl"), 1).await.unwrap(), [of_dag]);

    let batch = Batch { missed_deadlines: vec![of_run], notifications: vec![about("4")], ..Batch::default() };
    assert!(matches!(f.store.commit(&batch).await, Err(StoreError::Stale { .. })));
    assert_eq!(f.store.waiting_notifications(10).await.unwrap(), [], "nothing of it is written");
}

async fn the_last_deadline_that_a_dag_missed_is_not_forgotten(f: Fixture) {
    let missed = |counted_from, missed_at| MissedDeadline {
        dag_id: dag("etl"),
        run: None,
        deadline: "fresh".to_owned(),
        counted_from: at(counted_from),
        missed_at: at(missed_at),
    };
    let missed_deadlines = vec![missed(1, 2), missed(3, 4)];
    f.store.commit(&Batch { missed_deadlines, ..Batch::default() }).await.unwrap();
    assert_eq!(f.store.prune(at(9)).await.unwrap().records, 1);
    assert_eq!(f.store.missed_deadlines(&dag("etl"), None).await.unwrap(), [missed(3, 4)]);
}

async fn a_cleared_run_says_since_when_it_waits(f: Fixture) {
    let run = f.run_with("etl", 1, &["a"]).await;
    assert_eq!(f.store.run(run).await.unwrap().unwrap().queued_at, None);
    f.store.commit(&Batch { requeued: vec![(run, at(7))], ..Batch::default() }).await.unwrap();
    assert_eq!(f.store.run(run).await.unwrap().unwrap().queued_at, Some(at(7)));
    let gone = f.store.commit(&Batch { requeued: vec![(RunKey(1), at(7))], ..Batch::default() }).await;
    assert!(matches!(gone, Err(StoreError::Stale { .. })), "{gone:?}");
}

async fn a_dag_is_paused_and_remembers_a_run_that_was_passed_over(f: Fixture) {
    let loaded = LoadedDag::plain("etl", "v1", "");
    f.store.put_dag(&loaded, at(0)).await.unwrap();
    assert_eq!(f.store.dag(&dag("etl")).await.unwrap().unwrap().passed_over, None);
    let data_interval = DataInterval { start: at(1), end: at(2) };
    let dags = vec![DagWrite::PassedOver { dag_id: dag("etl"), data_interval }, DagWrite::Pause(dag("etl"))];
    f.store.commit(&Batch { dags, ..Batch::default() }).await.unwrap();
    f.store.put_dag(&LoadedDag { hash: "v2".to_owned(), ..loaded }, at(3)).await.unwrap();
    let row = f.store.dag(&dag("etl")).await.unwrap().unwrap();
    assert_eq!((row.paused, row.passed_over, row.active_since), (true, Some(data_interval), None));
    let active = DagWrite::Active { dag_id: dag("etl"), since: at(4) };
    f.store.commit(&Batch { dags: vec![active], ..Batch::default() }).await.unwrap();
    let since = async || f.store.dag(&dag("etl")).await.unwrap().unwrap().active_since;
    assert_eq!(since().await, Some(at(4)));
    f.store.set_paused(&dag("etl"), false).await.unwrap();
    assert_eq!(since().await, None, "unpausing begins anew");
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

async fn the_last_success_is_the_one_that_ended_last_without_backfills(f: Fixture) {
    assert_eq!(f.store.last_success_of(&dag("etl")).await.unwrap(), None);
    use RunType::{Backfill, Scheduled};
    let runs = [
        (1, Scheduled, RunState::Success, 30),
        (2, Scheduled, RunState::Success, 20),
        (3, Scheduled, RunState::Failed, 40),
        (4, Backfill, RunState::Success, 50),
    ];
    for (number, run_type, to, ended_at) in runs {
        let mut run = new_run("etl", number, &[]);
        run.facts.run_type = run_type;
        let key = run.facts.key;
        let write = RunWrite {
            key,
            from: RunState::Running,
            to,
            started_at: Some(at(number)),
            ended_at: Some(at(ended_at)),
            dag_version: None,
        };
        f.store.commit(&Batch { new_runs: vec![run], runs: vec![write], ..Batch::default() }).await.unwrap();
    }
    assert_eq!(f.store.last_success_of(&dag("etl")).await.unwrap(), Some(at(30)));
    let hours = async |ended_by, limit| {
        let runtimes = f.store.runtimes(&dag("etl"), at(ended_by), limit).await.unwrap();
        runtimes.iter().map(|runtime| runtime.as_secs() / 3600).collect::<Vec<_>>()
    };
    assert_eq!(hours(60, 9).await, [46, 18, 29], "newest first, the failed one left out");
    assert_eq!(hours(30, 1).await, [18], "as it was then");
}
