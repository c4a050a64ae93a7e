//! Aliases, new DAGs and restarts of asset-triggered runs: what the vectors do not show, and properties.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use windrose_core::asset::{AssetCondition, AssetEvent};
use windrose_core::ids::{AssetUri, DagId};
use windrose_core::time::Timestamp;
use windrose_engine::assets::{AssetDag, AssetRun, AssetTriggers};

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

fn on(condition: AssetCondition) -> AssetDag {
    AssetDag {
        condition,
        catchup: false,
        since: at(0),
        max_active_runs: 16,
        paused: false,
        queue: BTreeMap::new(),
        previous: None,
    }
}

fn asset(uri: &str) -> AssetCondition {
    AssetCondition::Asset(uri.into())
}

fn event(uri: &str, aliases: &[&str], second: i64) -> AssetEvent {
    AssetEvent {
        id: second,
        uri: uri.into(),
        at: at(second),
        aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        extra: serde_json::Map::new(),
        source: None,
        source_logical_date: None,
        source_data_interval: None,
    }
}

fn none_active(_: &DagId) -> u32 {
    0
}

#[test]
fn an_event_through_an_alias_queues_the_dags_that_wait_for_the_alias() {
    let mut triggers = AssetTriggers::default();
    triggers.upsert_dag(&"d".into(), on(AssetCondition::Alias("daily".to_owned())));
    assert!(triggers.happened(&"s3://b/1".into(), &[], at(1)).is_empty(), "it did not come through the alias");
    let queued = triggers.happened(&"s3://b/1".into(), &["daily".to_owned()], at(2));
    assert_eq!(queued.len(), 1);
    let runs = triggers.due(none_active);
    assert_eq!(runs.len(), 1);
    assert!(!runs[0].window.takes(&event("s3://b/1", &[], 1)));
    assert!(runs[0].window.takes(&event("s3://b/1", &["daily"], 2)));
}

#[test]
fn an_alias_in_a_condition_stands_for_all_assets_that_ever_came_through_it() {
    let mut triggers = AssetTriggers::default();
    let condition = AssetCondition::All(vec![asset("a"), AssetCondition::Alias("x".to_owned())]);
    triggers.upsert_dag(&"d".into(), on(condition));
    triggers.happened(&"a".into(), &[], at(1));
    assert!(triggers.due(none_active).is_empty());
    triggers.know_alias("x", &"a".into());
    assert_eq!(triggers.due(none_active).len(), 1);
}

#[test]
fn the_first_run_of_a_new_dag_takes_old_events_only_with_catchup() {
    for catchup in [false, true] {
        let mut triggers = AssetTriggers::default();
        triggers.happened(&"a".into(), &[], at(1));
        triggers.upsert_dag(&"d".into(), AssetDag { catchup, since: at(2), ..on(asset("a")) });
        assert!(triggers.due(none_active).is_empty(), "an old event alone brings about no run");
        triggers.happened(&"a".into(), &[], at(3));
        let runs = triggers.due(none_active);
        assert_eq!(runs[0].window.takes(&event("a", &[], 1)), catchup);
        assert!(runs[0].window.takes(&event("a", &[], 3)));
    }
}

/// What can happen to one DAG that waits for a and b.
#[derive(Debug, Clone, Copy)]
enum Step {
    Event(bool),
    Pause(bool),
    Ended,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<bool>().prop_map(Step::Event),
        1 => any::<bool>().prop_map(Step::Pause),
        2 => Just(Step::Ended),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 0..60)
}

/// Plays the steps; with `restarts` the triggers are built anew from what rows would hold.
fn play(steps: &[Step], any: bool, restarts: bool) -> (Vec<AssetRun>, Vec<AssetEvent>) {
    let (dag_id, parts) = (DagId::from("d"), vec![asset("a"), asset("b")]);
    let condition = if any { AssetCondition::Any(parts) } else { AssetCondition::All(parts) };
    let fresh = AssetDag { max_active_runs: 2, ..on(condition) };
    let (mut triggers, mut paused, mut active) = (AssetTriggers::default(), false, 0_u32);
    triggers.upsert_dag(&dag_id, fresh.clone());
    let (mut runs, mut events) = (Vec::<AssetRun>::new(), Vec::new());
    for (second, step) in (1..).zip(steps) {
        match *step {
            Step::Event(first) => {
                let uri: AssetUri = if first { "a" } else { "b" }.into();
                triggers.happened(&uri, &[], at(second));
                events.push(event(uri.as_str(), &[], second));
            }
            Step::Pause(pause) => {
                paused = pause;
                triggers.set_paused(&dag_id, paused);
            }
            Step::Ended => {
                active = active.saturating_sub(1);
                triggers.run_ended(&dag_id);
            }
            Step::Restart if restarts => {
                let queue = triggers.queue(&dag_id).unwrap().clone();
                let previous = runs.last().map(|run| run.run_after);
                triggers = AssetTriggers::default();
                triggers.upsert_dag(&dag_id, AssetDag { queue, previous, paused, ..fresh.clone() });
            }
            Step::Restart => {}
        }
        let due = triggers.due(|_| active);
        active += u32::try_from(due.len()).unwrap();
        assert!(active <= 2);
        runs.extend(due);
    }
    (runs, events)
}

proptest! {
    #[test]
    fn no_event_is_taken_twice_and_none_before_the_last_run_is_left_out(steps in steps(), any in any::<bool>()) {
        let (runs, events) = play(&steps, any, true);
        for event in &events {
            let taken = runs.iter().filter(|run| run.window.takes(event)).count();
            let due = runs.last().is_some_and(|last| event.at <= last.window.until);
            prop_assert_eq!(taken, usize::from(due));
        }
    }

    #[test]
    fn a_restart_changes_nothing(steps in steps(), any in any::<bool>()) {
        prop_assert_eq!(play(&steps, any, true), play(&steps, any, false));
    }

    #[test]
    fn what_is_missing_is_what_makes_a_condition_hold(condition in condition(), there in any::<[bool; 4]>()) {
        let queued: Vec<AssetUri> = URIS.into_iter().zip(there).filter(|(_, there)| *there).map(|(uri, _)| uri.into()).collect();
        let of_nothing = |_: &str| false;
        let holds = condition.holds(&|uri| queued.contains(uri), &of_nothing);
        let missing = condition.missing(&|uri| queued.contains(uri), &of_nothing);
        prop_assert_eq!(missing.is_none(), holds);
        if let Some(missing) = missing {
            let (named, _) = missing.names();
            prop_assert!(named.iter().all(|uri| !queued.contains(uri)), "{} names what is there", missing);
            let with = |uri: &AssetUri| queued.contains(uri) || named.contains(uri);
            prop_assert!(condition.holds(&with, &of_nothing), "{} is not enough", missing);
        }
    }
}

const URIS: [&str; 4] = ["a", "b", "c", "d"];

fn condition() -> impl Strategy<Value = AssetCondition> {
    let leaf = proptest::sample::select(&URIS[..]).prop_map(asset);
    leaf.prop_recursive(3, 12, 4, |part| {
        let parts = proptest::collection::vec(part, 1..4);
        prop_oneof![parts.clone().prop_map(AssetCondition::All), parts.prop_map(AssetCondition::Any)]
    })
}
