//! Runs: loading, lists, and the runs before a run.

use std::collections::HashMap;

use windrose_core::ids::RunKey;
use windrose_core::run_state::{RunState, RunType};
use windrose_core::task_state::{TaskState, TaskStateName};
use windrose_store::{ActiveRuns, Batch, NewRun, Page, RunFilter};

use crate::fixture::{Fixture, at, dag, moved, new_run, task};

crate::on_both_databases!(
    active_runs_are_those_that_are_not_over_oldest_first,
    runs_are_listed_newest_first_page_by_page,
    every_filter_of_the_list_narrows_it,
    the_schedule_goes_on_from_the_last_automated_run,
    active_runs_are_counted_per_dag,
    the_previous_run_is_the_one_before_by_logical_date,
    the_previous_success_leaves_failures_out,
    a_run_without_a_logical_date_has_no_previous_run,
    the_last_ended_runs_of_a_dag_are_listed_newest_first,
    task_instances_are_counted_by_state,
);

const ALL: Page = Page { offset: 0, limit: 100 };

/// Runs of a DAG in these states, in order of their dates.
async fn runs_in(f: &Fixture, dag: &str, states: &[(RunType, RunState)]) -> Vec<NewRun> {
    let runs: Vec<NewRun> = (1..)
        .zip(states)
        .map(|(number, (run_type, state))| {
            let mut run = new_run(dag, number, &["a"]);
            (run.facts.run_type, run.state) = (*run_type, *state);
            run
        })
        .collect();
    f.store.commit(&Batch { new_runs: runs.clone(), ..Batch::default() }).await.unwrap();
    runs
}

use RunState::{Failed, Queued, Running, Success};
use RunType::{AssetTriggered, Backfill, Manual, Scheduled};

fn numbers(rows: &[windrose_store::RunRow]) -> Vec<&str> {
    rows.iter().map(|row| row.facts.run_id.as_str().rsplit('_').next().unwrap()).collect()
}

async fn active_runs_are_those_that_are_not_over_oldest_first(f: Fixture) {
    let states = [(Scheduled, Success), (Scheduled, Running), (Scheduled, Failed), (Manual, Queued)];
    let runs = runs_in(&f, "etl", &states).await;
    let active = f.store.active_runs().await.unwrap();
    assert_eq!(numbers(&active), ["2", "4"]);
    assert_eq!(active[0].facts, runs[1].facts);
    assert_eq!((active[0].created_at, active[0].started_at), (runs[1].created_at, runs[1].started_at));
}

async fn runs_are_listed_newest_first_page_by_page(f: Fixture) {
    runs_in(&f, "etl", &[(Scheduled, Success); 7]).await;
    let first = f.store.runs(&RunFilter::default(), Page { offset: 0, limit: 3 }).await.unwrap();
    assert_eq!((numbers(&first.rows), first.total), (vec!["7", "6", "5"], 7));
    let last = f.store.runs(&RunFilter::default(), Page { offset: 6, limit: 3 }).await.unwrap();
    assert_eq!((numbers(&last.rows), last.total), (vec!["1"], 7));
}

async fn every_filter_of_the_list_narrows_it(f: Fixture) {
    runs_in(&f, "etl", &[(Scheduled, Success), (Manual, Failed), (Backfill, Running)]).await;
    runs_in(&f, "other", &[(AssetTriggered, Success)]).await;
    let none = RunFilter::default;
    let cases = [
        (RunFilter { dag_id: Some(dag("etl")), ..none() }, vec!["3", "2", "1"]),
        (RunFilter { state: Some(Failed), ..none() }, vec!["2"]),
        (RunFilter { run_type: Some(Backfill), ..none() }, vec!["3"]),
        (RunFilter { run_type: Some(AssetTriggered), ..none() }, vec!["1"]),
        (RunFilter { dag_id: Some(dag("etl")), run_after_from: Some(at(3)), ..none() }, vec!["3", "2"]),
        (RunFilter { dag_id: Some(dag("etl")), run_after_before: Some(at(3)), ..none() }, vec!["1"]),
        (RunFilter { dag_id: Some(dag("etl")), logical_date_from: Some(at(3)), ..none() }, vec!["3"]),
        (RunFilter { dag_id: Some(dag("etl")), logical_date_before: Some(at(2)), ..none() }, vec!["1"]),
        (RunFilter { run_id_contains: Some("_3".into()), ..none() }, vec!["3"]),
        (RunFilter { run_id_contains: Some("%".into()), ..none() }, vec![]),
        (RunFilter { dag_id: Some(dag("etl")), run_id_contains: Some(String::new()), ..none() }, vec!["3", "2", "1"]),
    ];
    for (filter, expected) in cases {
        let listed = f.store.runs(&filter, ALL).await.unwrap();
        assert_eq!(numbers(&listed.rows), expected, "{filter:?}");
        assert_eq!(listed.total, expected.len() as u64, "{filter:?}");
    }
}

async fn the_schedule_goes_on_from_the_last_automated_run(f: Fixture) {
    let etl = runs_in(&f, "etl", &[(Scheduled, Success), (Backfill, Success), (Manual, Success)]).await;
    let other = runs_in(&f, "other", &[(Scheduled, Running)]).await;
    runs_in(&f, "by_hand", &[(Manual, Success)]).await;
    let last = f.store.last_automated_runs().await.unwrap();
    let keys: HashMap<_, _> = last.into_iter().map(|(dag, run)| (dag, run.facts.key)).collect();
    let expected = HashMap::from([(dag("etl"), etl[1].facts.key), (dag("other"), other[0].facts.key)]);
    assert_eq!(keys, expected);
    let one = f.store.last_automated_run(&dag("etl")).await.unwrap().unwrap();
    assert_eq!(one.facts, etl[1].facts);
    assert_eq!(f.store.last_automated_run(&dag("by_hand")).await.unwrap(), None);
}

async fn active_runs_are_counted_per_dag(f: Fixture) {
    runs_in(&f, "etl", &[(Scheduled, Queued), (Scheduled, Running), (Scheduled, Running), (Manual, Failed)]).await;
    runs_in(&f, "quiet", &[(Scheduled, Success)]).await;
    let counts = f.store.active_run_counts().await.unwrap();
    assert_eq!(counts, HashMap::from([(dag("etl"), ActiveRuns { queued: 1, running: 2 })]));
}

async fn the_previous_run_is_the_one_before_by_logical_date(f: Fixture) {
    let runs = runs_in(&f, "etl", &[(Scheduled, Failed), (Manual, Success), (Scheduled, Running)]).await;
    runs_in(&f, "other", &[(Scheduled, Success); 3]).await;
    let a = task(runs[1].facts.key, "a");
    let change = moved(&a, TaskState::None, TaskState::UpForRetry(at(9)));
    f.store.commit(&Batch { tasks: vec![change], ..Batch::default() }).await.unwrap();
    let third = runs[2].facts.key;
    let (previous, tasks) = f.store.previous_run(third, false).await.unwrap().unwrap();
    assert_eq!(previous.facts, runs[1].facts);
    assert_eq!(tasks.iter().map(|task| task.state).collect::<Vec<_>>(), [TaskState::UpForRetry(at(9))]);
    let (scheduled, _) = f.store.previous_run(third, true).await.unwrap().unwrap();
    assert_eq!(scheduled.facts, runs[0].facts);
    assert_eq!(f.store.previous_run(runs[0].facts.key, false).await.unwrap(), None);
}

async fn the_previous_success_leaves_failures_out(f: Fixture) {
    let runs = runs_in(&f, "etl", &[(Scheduled, Success), (Scheduled, Failed), (Scheduled, Running)]).await;
    let success = f.store.previous_success(runs[2].facts.key).await.unwrap().unwrap();
    assert_eq!(success.facts, runs[0].facts);
    assert_eq!(f.store.previous_success(runs[0].facts.key).await.unwrap(), None);
}

async fn a_run_without_a_logical_date_has_no_previous_run(f: Fixture) {
    runs_in(&f, "etl", &[(Scheduled, Success)]).await;
    let mut dateless = new_run("etl", 2, &["a"]);
    dateless.facts.logical_date = None;
    let key = dateless.facts.key;
    f.store.commit(&Batch { new_runs: vec![dateless], ..Batch::default() }).await.unwrap();
    assert_eq!(f.store.previous_run(key, false).await.unwrap(), None);
    assert_eq!(f.store.previous_success(key).await.unwrap(), None);
}

async fn the_last_ended_runs_of_a_dag_are_listed_newest_first(f: Fixture) {
    runs_in(&f, "etl", &[(Scheduled, Success), (Scheduled, Failed), (Scheduled, Failed), (Scheduled, Running)]).await;
    let ended = f.store.last_ended_runs(&dag("etl"), 2).await.unwrap();
    assert_eq!(numbers(&ended), ["3", "2"]);
}

async fn task_instances_are_counted_by_state(f: Fixture) {
    let run = f.run_with("etl", 1, &["a", "b", "c"]).await;
    let other = f.run_with("etl", 2, &["a"]).await;
    let a = moved(&task(run, "a"), TaskState::None, TaskState::Scheduled);
    f.store.commit(&Batch { tasks: vec![a], ..Batch::default() }).await.unwrap();
    let counts = f.store.task_counts(&[run, other, RunKey(-5)]).await.unwrap();
    let of = |pairs: &[(TaskStateName, u32)]| pairs.iter().copied().collect::<HashMap<_, _>>();
    let expected = HashMap::from([
        (run, of(&[(TaskStateName::None, 2), (TaskStateName::Scheduled, 1)])),
        (other, of(&[(TaskStateName::None, 1)])),
    ]);
    assert_eq!(counts, expected);
}
