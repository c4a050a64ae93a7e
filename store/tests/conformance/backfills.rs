//! Backfills: their dates, their turns and their end; and the notes of runs.

use serde_json::{Map, json};
use windrose_core::backfill::{NoRun, Reprocess};
use windrose_core::ids::RunKey;
use windrose_core::run::DataInterval;
use windrose_core::run_state::{RunState, RunType};
use windrose_core::timetable::DueRun;
use windrose_store::{BackfillRow, BackfillRun, BackfillWrite, Batch, StoreError};

use crate::fixture::{Fixture, at, dag, new_run};

crate::on_both_databases!(
    a_backfill_is_kept_with_its_dates_in_order,
    each_date_gets_its_turn_once,
    a_dag_has_one_backfill_under_way,
    a_paused_backfill_goes_on_and_an_ended_one_stays_ended,
    an_adopted_run_becomes_part_of_a_backfill,
    ended_backfills_are_pruned_with_their_dates,
    what_is_noted_about_a_run_is_kept,
);

fn backfill(id: i64, of: &str) -> BackfillRow {
    let mut conf = Map::new();
    conf.insert("rows".into(), json!(3));
    BackfillRow {
        id,
        dag_id: dag(of),
        from: at(0),
        to: at(50),
        backwards: true,
        reprocess: Reprocess::Failed,
        max_active_runs: 4,
        conf,
        new_version: true,
        paused: false,
        cancelled: false,
        created_by: "ann".into(),
        created_at: at(60),
        ended_at: None,
    }
}

fn due(number: i64) -> DueRun {
    let interval = DataInterval { start: at(number), end: at(number + 1) };
    DueRun { logical_date: Some(at(number)), data_interval: Some(interval), run_after: at(number + 1) }
}

async fn write(f: &Fixture, backfills: Vec<BackfillWrite>) -> Result<(), StoreError> {
    f.store.commit(&Batch { backfills, ..Batch::default() }).await
}

fn create(row: &BackfillRow, numbers: impl Iterator<Item = i64>) -> BackfillWrite {
    BackfillWrite::Create { row: Box::new(row.clone()), dates: numbers.map(due).collect() }
}

async fn a_backfill_is_kept_with_its_dates_in_order(f: Fixture) {
    assert_eq!(f.store.next_backfill_id().await.unwrap(), 1);
    let (first, other) = (backfill(1, "etl"), backfill(2, "other"));
    write(&f, vec![create(&first, (0..300).rev()), create(&other, 0..1)]).await.unwrap();
    assert_eq!(f.store.next_backfill_id().await.unwrap(), 3);
    assert_eq!(f.store.backfill(1).await.unwrap().as_ref(), Some(&first));
    assert_eq!(f.store.backfills(None).await.unwrap(), [other.clone(), first.clone()]);
    assert_eq!(f.store.backfills(Some(&dag("etl"))).await.unwrap(), std::slice::from_ref(&first));
    assert_eq!(f.store.backfills_under_way().await.unwrap(), [first, other]);
    let dates = f.store.backfill_dates(1).await.unwrap();
    assert!(dates.iter().map(|date| date.due).eq((0..300).rev().map(due)));
    assert!(dates.iter().zip(0..).all(|(date, place)| date.place == place && date.run.is_none()));
}

async fn each_date_gets_its_turn_once(f: Fixture) {
    let run = f.run_with("etl", 7, &["a"]).await;
    write(&f, vec![create(&backfill(1, "etl"), 0..3)]).await.unwrap();
    let turn = |place, outcome| BackfillWrite::Turn { backfill: 1, place, outcome };
    write(&f, vec![turn(0, Ok(run)), turn(1, Err(NoRun::AlreadyExists))]).await.unwrap();
    let again = write(&f, vec![turn(0, Err(NoRun::InFlight))]).await;
    assert!(matches!(again, Err(StoreError::Stale { .. })), "{again:?}");
    let dates = f.store.backfill_dates(1).await.unwrap();
    let now = Some(("scheduled__7".into(), RunState::Running));
    assert_eq!(dates[0].run, Some(BackfillRun { key: run, now }));
    assert_eq!((&dates[1].run, dates[1].no_run), (&None, Some(NoRun::AlreadyExists)));
    assert_eq!((&dates[2].run, dates[2].no_run), (&None, None));
    write(&f, vec![turn(2, Ok(RunKey(99)))]).await.unwrap();
    let gone = f.store.backfill_dates(1).await.unwrap()[2].run.clone();
    assert_eq!(gone, Some(BackfillRun { key: RunKey(99), now: None }));
}

async fn a_dag_has_one_backfill_under_way(f: Fixture) {
    write(&f, vec![create(&backfill(1, "etl"), 0..1)]).await.unwrap();
    let second = write(&f, vec![create(&backfill(2, "etl"), 0..1)]).await;
    assert!(matches!(second, Err(StoreError::Stale { .. })), "{second:?}");
    write(&f, vec![BackfillWrite::End { backfill: 1, at: at(70), cancelled: false }]).await.unwrap();
    write(&f, vec![create(&backfill(2, "etl"), 0..1)]).await.unwrap();
    assert_eq!(f.store.backfills_under_way().await.unwrap().len(), 1);
}

async fn a_paused_backfill_goes_on_and_an_ended_one_stays_ended(f: Fixture) {
    write(&f, vec![create(&backfill(1, "etl"), 0..1)]).await.unwrap();
    for paused in [true, false] {
        write(&f, vec![BackfillWrite::Pause { backfill: 1, paused }]).await.unwrap();
        assert_eq!(f.store.backfill(1).await.unwrap().unwrap().paused, paused);
    }
    write(&f, vec![BackfillWrite::End { backfill: 1, at: at(70), cancelled: true }]).await.unwrap();
    let ended = f.store.backfill(1).await.unwrap().unwrap();
    assert_eq!((ended.ended_at, ended.cancelled), (Some(at(70)), true));
    for late in [
        BackfillWrite::Pause { backfill: 1, paused: true },
        BackfillWrite::End { backfill: 1, at: at(80), cancelled: false },
    ] {
        assert!(matches!(write(&f, vec![late]).await, Err(StoreError::Stale { .. })));
    }
}

async fn an_adopted_run_becomes_part_of_a_backfill(f: Fixture) {
    let run = f.run_with("etl", 7, &["a"]).await;
    let before = f.store.run(run).await.unwrap().unwrap();
    assert_eq!(f.store.run_at(&dag("etl"), at(7)).await.unwrap().as_ref(), Some(&before));
    assert_eq!(f.store.run_at(&dag("etl"), at(8)).await.unwrap(), None);
    write(&f, vec![BackfillWrite::Adopt { run, conf: None }]).await.unwrap();
    let after = f.store.run(run).await.unwrap().unwrap();
    assert_eq!((after.facts.run_type, &after.facts.conf), (RunType::Backfill, &before.facts.conf));
    write(&f, vec![BackfillWrite::Adopt { run, conf: Some(backfill(1, "etl").conf) }]).await.unwrap();
    let after = f.store.run(run).await.unwrap().unwrap();
    assert_eq!((after.facts.conf["rows"].clone(), after.facts.triggered_by.as_str()), (json!(3), "backfill"));
    let nobody = write(&f, vec![BackfillWrite::Adopt { run: RunKey(1), conf: None }]).await;
    assert!(matches!(nobody, Err(StoreError::Stale { .. })), "{nobody:?}");
}

async fn ended_backfills_are_pruned_with_their_dates(f: Fixture) {
    write(&f, vec![create(&backfill(1, "etl"), 0..2), create(&backfill(2, "other"), 0..2)]).await.unwrap();
    write(&f, vec![BackfillWrite::End { backfill: 1, at: at(70), cancelled: false }]).await.unwrap();
    assert_eq!(f.store.prune(at(71)).await.unwrap().records, 3, "one backfill and its two dates");
    assert_eq!(f.store.backfill(1).await.unwrap(), None);
    assert_eq!(f.store.backfill_dates(1).await.unwrap(), []);
    assert_eq!(f.store.backfill_dates(2).await.unwrap().len(), 2);
}

async fn what_is_noted_about_a_run_is_kept(f: Fixture) {
    let run = new_run("etl", 1, &["a"]);
    let key = run.facts.key;
    let notes = vec![(key, "for the audit".to_owned())];
    f.store.commit(&Batch { new_runs: vec![run], notes, ..Batch::default() }).await.unwrap();
    assert_eq!(f.store.run(key).await.unwrap().unwrap().note.as_deref(), Some("for the audit"));
    let stray = f.store.commit(&Batch { notes: vec![(RunKey(1), String::new())], ..Batch::default() }).await;
    assert!(matches!(stray, Err(StoreError::Stale { .. })), "{stray:?}");
}
