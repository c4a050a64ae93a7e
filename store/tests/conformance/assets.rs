//! Assets: events, what they queue, the runs that stand for them, and what DAGs say of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, json};
use windrose_core::asset::{AssetEvent, AssetSource, EventWindow};
use windrose_core::ids::RunKey;
use windrose_core::run_state::RunType;
use windrose_core::time::Timestamp;
use windrose_store::{
    AssetEventRow, AssetQueueRow, AssetReference, AssetRole, AssetRunRow, Batch, EventsOf, LoadedDag, NewRun, Page,
    StoreError,
};

use crate::fixture::{Fixture, at, dag, new_run};

crate::on_both_databases!(
    events_come_back_as_they_were_written_by_asset_alias_and_run,
    a_run_stands_for_the_events_that_its_window_takes,
    a_queued_asset_is_taken_once,
    an_asset_is_queued_once_for_a_dag,
    a_dag_keeps_since_when_it_refers_to_an_asset_and_lets_go_of_what_is_queued_for_others,
    pruning_keeps_events_that_a_run_stands_for,
);

const ALL: Page = Page { offset: 0, limit: 100 };

fn event(uri: &str, hours: i64, aliases: &[&str]) -> AssetEventRow {
    let event = AssetEvent {
        id: at(hours).as_micros(),
        uri: uri.into(),
        at: at(hours),
        aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        extra: Map::from_iter([("rows".to_owned(), json!(hours))]),
        source: None,
        source_logical_date: None,
        source_data_interval: None,
    };
    AssetEventRow { event, who: "ann".into() }
}

fn queued(uri: &str, hours: i64) -> AssetQueueRow {
    AssetQueueRow { dag_id: dag("consumer"), uri: uri.into(), queued_at: at(hours) }
}

fn asset_run(number: i64, run_after: Timestamp) -> NewRun {
    let mut run = new_run("consumer", number, &["t"]);
    run.facts.run_type = RunType::AssetTriggered;
    run.facts.run_id = format!("asset_triggered__{number}").into();
    (run.facts.logical_date, run.facts.data_interval, run.facts.run_after) = (None, None, run_after);
    run
}

fn window(uris: &[&str], aliases: &[&str], after: Option<i64>, until: i64) -> EventWindow {
    EventWindow {
        uris: uris.iter().map(|uri| (*uri).into()).collect(),
        aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect::<BTreeSet<_>>(),
        after: after.map(at),
        until: at(until),
    }
}

fn consuming(run: NewRun, window: EventWindow, taken: Vec<AssetQueueRow>) -> Batch {
    let row = AssetRunRow { run: run.facts.key, window, taken };
    Batch { new_runs: vec![run], asset_runs: vec![row], ..Batch::default() }
}

async fn events_come_back_as_they_were_written_by_asset_alias_and_run(f: Fixture) {
    let producer = new_run("producer", 1, &["t"]);
    let facts = producer.facts.clone();
    let mut from_task = event("b", 2, &["x", "y"]);
    from_task.event.source = Some(AssetSource {
        dag_id: facts.dag_id.clone(),
        run_id: facts.run_id.clone(),
        task_id: "t".into(),
        map_index: 3,
    });
    let by_hand = event("a", 3, &[]);
    let batch =
        Batch { new_runs: vec![producer], asset_events: vec![from_task.clone(), by_hand.clone()], ..Batch::default() };
    f.store.commit(&batch).await.unwrap();
    from_task.event.source_logical_date = facts.logical_date;
    from_task.event.source_data_interval = facts.data_interval;
    let events = async |of| f.store.asset_events(of, ALL).await.unwrap();
    assert_eq!(events(EventsOf::All).await, [by_hand.clone(), from_task.clone()]);
    let a = "a".into();
    assert_eq!(events(EventsOf::Asset(&a)).await, std::slice::from_ref(&by_hand));
    for alias in ["x", "y"] {
        assert_eq!(events(EventsOf::Alias(alias)).await, [from_task.clone()]);
    }
    let run = asset_run(2, at(3));
    let key = run.facts.key;
    f.store.commit(&consuming(run, window(&["a"], &[], None, 3), vec![])).await.unwrap();
    assert_eq!(events(EventsOf::Run(key)).await, std::slice::from_ref(&by_hand));
    let runs = f.store.runs_of_event(by_hand.event.id).await.unwrap();
    assert_eq!(runs, [("consumer".to_owned(), "asset_triggered__2".to_owned())]);
    assert_eq!(f.store.newest_asset_event().await.unwrap(), Some(at(3)));
    assert_eq!(f.store.asset_aliases().await.unwrap(), [("x".to_owned(), "b".into()), ("y".to_owned(), "b".into())]);
    let counts = f.store.asset_event_counts().await.unwrap();
    assert_eq!((counts["a"].count, counts["b"].newest), (1, at(2)));
    // An instant is one event's.
    let again = Batch { asset_events: vec![event("c", 3, &[])], ..Batch::default() };
    assert!(f.store.commit(&again).await.is_err());
}

async fn a_run_stands_for_the_events_that_its_window_takes(f: Fixture) {
    let rows: Vec<_> = (1..=12)
        .map(|hour| event(["a", "b", "c"][hour as usize % 3], hour, [&[][..], &["x"]][hour as usize % 2]))
        .collect();
    f.store.commit(&Batch { asset_events: rows.clone(), ..Batch::default() }).await.unwrap();
    let windows = [
        window(&["a"], &[], None, 12),
        window(&["a", "b"], &[], Some(3), 9),
        window(&[], &["x"], Some(1), 7),
        window(&["c"], &["x", "unknown"], None, 11),
        window(&["unknown"], &[], None, 12),
    ];
    for (number, window) in (1..).zip(windows) {
        let run = asset_run(number, window.until);
        let key = run.facts.key;
        f.store.commit(&consuming(run, window.clone(), vec![])).await.unwrap();
        let stored = f.store.asset_events(EventsOf::Run(key), ALL).await.unwrap();
        let taken: Vec<_> = rows.iter().rev().filter(|row| window.takes(&row.event)).cloned().collect();
        assert_eq!(stored, taken, "{window:?}");
    }
    let schedule = f.store.asset_schedule(&dag("consumer")).await.unwrap();
    assert_eq!(schedule.previous, Some(at(12)));
}

async fn a_queued_asset_is_taken_once(f: Fixture) {
    let rows = vec![queued("a", 1), queued("b", 2)];
    f.store.commit(&Batch { asset_queue: rows.clone(), ..Batch::default() }).await.unwrap();
    let queue: BTreeMap<_, _> = rows.iter().map(|row| (row.uri.clone(), row.queued_at)).collect();
    assert_eq!(f.store.asset_schedule(&dag("consumer")).await.unwrap().queue, queue);
    assert_eq!(f.store.queued_for(&"b".into()).await.unwrap(), [(dag("consumer"), at(2))]);
    let take = |number| consuming(asset_run(number, at(2)), window(&["a", "b"], &[], None, 2), rows.clone());
    f.store.commit(&take(1)).await.unwrap();
    assert!(f.store.asset_schedule(&dag("consumer")).await.unwrap().queue.is_empty());
    let again = f.store.commit(&take(2)).await;
    assert!(matches!(again, Err(StoreError::Stale { .. })), "{again:?}");
    assert!(
        f.store.run(RunKey(take(2).new_runs[0].facts.key.0)).await.unwrap().is_none(),
        "the whole batch is refused"
    );
}

async fn an_asset_is_queued_once_for_a_dag(f: Fixture) {
    f.store.commit(&Batch { asset_queue: vec![queued("a", 1)], ..Batch::default() }).await.unwrap();
    let again = f.store.commit(&Batch { asset_queue: vec![queued("a", 2)], ..Batch::default() }).await;
    assert!(matches!(again, Err(StoreError::Stale { .. })), "{again:?}");
    // Queued and taken in one batch.
    let mut batch = consuming(asset_run(1, at(3)), window(&["b"], &[], None, 3), vec![queued("b", 3)]);
    batch.asset_queue = vec![queued("b", 3)];
    f.store.commit(&batch).await.unwrap();
    assert_eq!(f.store.asset_schedule(&dag("consumer")).await.unwrap().queue.len(), 1);
}

fn loaded(hash: &str, assets: Vec<AssetReference>) -> LoadedDag {
    LoadedDag { schedule: Some("Asset".into()), assets, ..LoadedDag::plain("consumer", hash, "…") }
}

fn reference(role: AssetRole, task: Option<&str>, name: &str) -> AssetReference {
    AssetReference { role, task: task.map(Into::into), name: name.to_owned() }
}

async fn a_dag_keeps_since_when_it_refers_to_an_asset_and_lets_go_of_what_is_queued_for_others(f: Fixture) {
    let a = reference(AssetRole::Schedule, None, "a");
    let b = reference(AssetRole::Schedule, None, "b");
    let x = reference(AssetRole::ScheduleAlias, None, "x");
    let out = reference(AssetRole::Outlet, Some("t"), "a");
    f.store.put_dag(&loaded("v1", vec![a.clone(), b, out.clone()]), at(1)).await.unwrap();
    let queue = Batch {
        asset_events: vec![event("through_x", 1, &["x"])],
        asset_queue: vec![queued("a", 2), queued("b", 2), queued("through_x", 2)],
        ..Batch::default()
    };
    f.store.commit(&queue).await.unwrap();
    f.store.put_dag(&loaded("v2", vec![a.clone(), x.clone(), out.clone()]), at(3)).await.unwrap();
    let schedule = f.store.asset_schedule(&dag("consumer")).await.unwrap();
    assert_eq!(schedule.since, Some(at(1)));
    assert_eq!(schedule.queue.into_keys().collect::<Vec<_>>(), ["a".into(), "through_x".into()]);
    let stored = f.store.asset_references().await.unwrap();
    let stored: Vec<_> = stored.into_iter().map(|row| (row.reference, row.since)).collect();
    assert_eq!(stored, [(out, at(1)), (a, at(1)), (x, at(3))]);
}

async fn pruning_keeps_events_that_a_run_stands_for(f: Fixture) {
    let events = vec![event("a", 1, &["x"]), event("b", 2, &["x"])];
    f.store.commit(&Batch { asset_events: events, ..Batch::default() }).await.unwrap();
    f.store.commit(&consuming(asset_run(1, at(1)), window(&["a"], &[], None, 1), vec![])).await.unwrap();
    f.store.prune(at(10)).await.unwrap();
    let left = f.store.asset_events(EventsOf::All, ALL).await.unwrap();
    assert_eq!(left.iter().map(|row| row.event.uri.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(left[0].event.aliases, ["x"]);
}
