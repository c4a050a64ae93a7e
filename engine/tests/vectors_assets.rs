//! Asset-triggered runs, against what Airflow's asset manager and scheduler do.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "../../core/tests/vector_file/mod.rs"]
mod vector_file;

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};
use vector_file::{Family, read_rows};
use windrose_core::asset::{AssetCondition, AssetEvent};
use windrose_core::ids::DagId;
use windrose_core::time::Timestamp;
use windrose_engine::assets::{AssetDag, AssetTriggers};

fn condition(schedule: &Value) -> AssetCondition {
    let parts = |list: &Value| list.as_array().unwrap().iter().map(condition).collect();
    match schedule {
        Value::String(uri) => AssetCondition::Asset(uri.as_str().into()),
        Value::Array(_) => AssetCondition::All(parts(schedule)),
        _ if schedule.get("all").is_some() => AssetCondition::All(parts(&schedule["all"])),
        _ => AssetCondition::Any(parts(&schedule["any"])),
    }
}

/// Airflow as the row sees it: DAGs, their active runs, and all events with the step they came in.
#[derive(Default)]
struct World {
    triggers: AssetTriggers,
    active: HashMap<DagId, u32>,
    events: Vec<(usize, AssetEvent)>,
}

impl World {
    fn add_dag(&mut self, row: &Value, since: Timestamp) {
        let dag_id: DagId = row["dag_id"].as_str().unwrap().into();
        let dag = AssetDag {
            condition: condition(&row["schedule"]),
            catchup: row["catchup"] == true,
            since,
            max_active_runs: row["max_active_runs"].as_u64().map_or(16, |n| u32::try_from(n).unwrap()),
            paused: row["paused"] == true,
            queue: BTreeMap::new(),
            previous: None,
        };
        self.triggers.upsert_dag(&dag_id, dag);
    }

    fn event(&mut self, step: usize, asset: &str, at: Timestamp) {
        self.triggers.happened(&asset.into(), &[], at);
        let event = AssetEvent {
            id: at.as_micros(),
            uri: asset.into(),
            at,
            aliases: Vec::new(),
            extra: Map::new(),
            source: None,
            source_logical_date: None,
            source_data_interval: None,
        };
        self.events.push((step, event));
    }

    fn tick(&mut self) -> Vec<Value> {
        let active = &mut self.active;
        let runs = self.triggers.due(|dag_id| active.get(dag_id).copied().unwrap_or(0));
        let created = runs.into_iter().map(|run| {
            *active.entry(run.dag_id.clone()).or_default() += 1;
            let consumed: Vec<_> =
                self.events.iter().filter(|(_, event)| run.window.takes(event)).map(|(step, _)| step).collect();
            json!({
                "dag_id": run.dag_id, "run_type": "asset_triggered", "logical_date": null, "state": "queued",
                "consumed": consumed,
            })
        });
        created.collect()
    }
}

fn check(row: &Value) -> Result<(), String> {
    let dags = row["dags"].as_array().unwrap();
    let mut world = World::default();
    for dag in dags.iter().filter(|dag| dag["added_later"] != true) {
        world.add_dag(dag, Timestamp::from_micros(0));
    }
    let mut ticks = Vec::new();
    for (at, step) in row["steps"].as_array().unwrap().iter().enumerate() {
        let now = Timestamp::from_micros(i64::try_from(at).unwrap() * 1_000_000 + 1);
        let (what, value) = step.as_object().unwrap().iter().next().unwrap();
        match (what.as_str(), value.as_str()) {
            ("event", Some(asset)) => world.event(at, asset, now),
            ("tick", _) => ticks.push(json!({ "step": at, "created": world.tick() })),
            ("pause", Some(dag)) => world.triggers.set_paused(&dag.into(), true),
            ("unpause", Some(dag)) => world.triggers.set_paused(&dag.into(), false),
            ("finish", Some(dag)) => {
                world.active.remove(dag);
                world.triggers.run_ended(&dag.into());
            }
            ("add_dag", Some(dag)) => world.add_dag(dags.iter().find(|row| row["dag_id"] == dag).unwrap(), now),
            other => return Err(format!("unknown step {other:?}")),
        }
    }
    let queued = dags.iter().flat_map(|dag| {
        let queue = world.triggers.queue(&dag["dag_id"].as_str().unwrap().into());
        queue.into_iter().flat_map(|queue| queue.keys()).map(|uri| json!([dag["dag_id"], uri]))
    });
    let got = json!({ "ticks": ticks, "left_in_queue": queued.collect::<Vec<_>>() });
    if got == row["expect"] { Ok(()) } else { Err(format!("\n    want {}\n    got  {got}", row["expect"])) }
}

#[test]
fn asset_events_bring_about_the_runs_that_they_do_in_airflow() {
    let mut family = Family::new("assets");
    for row in read_rows("assets.jsonl") {
        family.judge(&row, check);
    }
    Family::finish(&[family]);
}
