//! How mapped tasks are expanded and reduced, against what Airflow did.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "../../core/tests/vector_file/mod.rs"]
mod vector_file;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use vector_file::{Family, read_rows};
use windrose_core::catalog::OperatorKind;
use windrose_core::dag::{Dag, Task};
use windrose_core::mapping::{Expansion, Source};
use windrose_core::trigger_rule::TriggerRule;
use windrose_engine::Plan;
use windrose_engine::simulate::{Outcomes, SimReport, simulate_plan};

fn source_of(value: &Value) -> Result<Source, String> {
    let many = |values: &Value| values.as_array().unwrap().iter().map(source_of).collect::<Result<_, _>>();
    match value {
        Value::Array(items) => Ok(Source::List(items.clone())),
        Value::Object(table) => match (table.get("xcom"), table.get("zip"), table.get("concat")) {
            (Some(task), ..) => Ok(Source::XCom(task.as_str().unwrap().into())),
            (_, Some(sources), _) => Ok(Source::Zip { sources: many(sources)?, fill: table.get("fillvalue").cloned() }),
            (.., Some(sources)) => Ok(Source::Concat(many(sources)?)),
            _ => Ok(Source::Table(table.clone().into_iter().collect())),
        },
        other => Err(format!("{other} cannot be mapped over")),
    }
}

fn expansion_of(task: &Value) -> Result<Option<Expansion>, String> {
    if let Some(kwargs) = task.get("expand_kwargs") {
        if kwargs.as_array().is_some_and(|items| items.iter().any(|item| !item.is_object())) {
            return Err("expand_kwargs needs tables".to_owned());
        }
        return source_of(kwargs).map(|source| Some(Expansion::Kwargs(source)));
    }
    let Some(expand) = task.get("expand") else { return Ok(None) };
    let pairs = expand.as_object().unwrap().iter().map(|(name, value)| Ok((name.clone(), source_of(value)?)));
    pairs.collect::<Result<_, String>>().map(|pairs| Some(Expansion::Product(pairs)))
}

/// Tasks that a value names: `{"xcom": task}`, at any depth.
fn named_in(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(table) => {
            names.extend(table.get("xcom").and_then(Value::as_str).map(str::to_owned));
            table.values().for_each(|value| named_in(value, names));
        }
        Value::Array(items) => items.iter().for_each(|value| named_in(value, names)),
        _ => {}
    }
}

fn dag_of(row: &Value) -> Result<Dag, String> {
    let rows = row["tasks"].as_array().unwrap();
    let position = |id: &str| rows.iter().position(|task| task["id"] == id).unwrap();
    let (mut tasks, mut edges) = (Vec::new(), Vec::new());
    for (below, written) in (0_u32..).zip(rows) {
        let mut task = Task::new(written["id"].as_str().unwrap().into(), "python", OperatorKind::Work);
        task.expansion = expansion_of(written)?;
        task.retries = written["retries"].as_u64().unwrap_or(0).try_into().unwrap();
        if let Some(rule) = written["trigger_rule"].as_str() {
            task.trigger_rule = TriggerRule::parse(rule).unwrap();
        }
        let plain = written["args"].as_object().cloned().unwrap_or_default();
        task.parameters = plain.into_iter().filter(|(_, value)| value.get("xcom").is_none()).collect();
        let mut above: Vec<String> = Vec::new();
        for field in ["args", "expand", "expand_kwargs"] {
            named_in(written.get(field).unwrap_or(&Value::Null), &mut above);
        }
        above.extend(written["upstream"].as_array().into_iter().flatten().map(|id| id.as_str().unwrap().to_owned()));
        edges.extend(above.iter().map(|id| (u32::try_from(position(id)).unwrap(), below)));
        tasks.push(task);
    }
    let mut dag = Dag::new("mapping".into(), tasks, edges);
    // As in the rows, nothing waits for a slot.
    dag.max_active_tasks = u32::MAX;
    Ok(dag)
}

fn outcomes_of(row: &Value) -> Outcomes {
    let mut script: Map<String, Value> = row["script"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(id, words)| (id.clone(), json!({ "attempts": words })))
        .collect();
    for task in row["tasks"].as_array().unwrap() {
        let id = task["id"].as_str().unwrap();
        let returns = task.get("returns").cloned().unwrap_or_else(|| json!("echo"));
        let instances: Vec<String> =
            script.keys().filter(|name| name.starts_with(&format!("{id}["))).cloned().collect();
        for name in instances.into_iter().chain([id.to_owned()]) {
            script.entry(name).or_insert_with(|| json!({}))["returns"] = returns.clone();
        }
    }
    serde_json::from_value(json!({ "runs": [{ "run_type": "scheduled", "script": script }] })).unwrap()
}

/// What each executed instance got. Plain arguments that name a task get what it had returned by then, as a reduce does.
fn received(row: &Value, report: &SimReport) -> Value {
    let tis = &report.runs[0].tis;
    let returned = |reader: &str, task: &str| -> Value {
        let before = |name: &str| tis[name].wave < tis[reader].wave;
        let one = tis.get(task).filter(|_| before(task)).and_then(|ti| ti.returned.clone());
        let is_mapped = |t: &Value| t["id"] == task && (t.get("expand").is_some() || t.get("expand_kwargs").is_some());
        if !row["tasks"].as_array().unwrap().iter().any(is_mapped) {
            return one.unwrap_or_default();
        }
        let of_task =
            |name: &&String| name.strip_prefix(task).is_some_and(|rest| rest.starts_with('[')) && before(name);
        tis.keys().filter(of_task).filter_map(|name| tis[name].returned.clone()).collect()
    };
    let plain: HashMap<&str, &Map<String, Value>> = row["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|task| Some((task["id"].as_str().unwrap(), task.get("args")?.as_object().unwrap())))
        .collect();
    let got = tis.iter().filter_map(|(name, ti)| {
        let mut received = ti.received.clone()?;
        let task = name.split('[').next().unwrap();
        for (argument, value) in plain.get(task).into_iter().flat_map(|args| args.iter()) {
            if let Some(source) = value["xcom"].as_str() {
                received.insert(argument.clone(), returned(name, source));
            }
        }
        received.retain(|_, value| !value.is_null());
        Some((name.clone(), Value::Object(received)))
    });
    Value::Object(got.collect())
}

/// In which waves marks travel is not prescribed where a task is mapped over a mapped one: Airflow sees some of them in
/// the pass that makes them.
fn same_but_for_waves(got: &Value, want: &Value) -> bool {
    let without = |value: &Value| {
        let mut value = value.clone();
        value["end_wave"] = Value::Null;
        for ti in value["tis"].as_object_mut().unwrap().values_mut() {
            ti["wave"] = json!(ti["wave"].is_u64());
        }
        value
    };
    without(got) == without(want)
}

/// Whether what became ready later than something upstream of it still does.
fn waves_in_order(dag: &Dag, got: &Value, want: &Value) -> bool {
    let tis = want["tis"].as_object().unwrap();
    let of_task = |id: &str| -> Vec<&String> { tis.keys().filter(|name| name.split('[').next() == Some(id)).collect() };
    let wave = |report: &Value, name: &str| report["tis"][name]["wave"].as_u64();
    dag.graph.raw_edges().iter().all(|edge| {
        let [above, below] = [edge.source(), edge.target()].map(|at| of_task(dag.tasks[at.index()].id.as_str()));
        above.iter().all(|a| below.iter().all(|b| wave(want, a) >= wave(want, b) || wave(got, a) < wave(got, b)))
    })
}

fn check(row: &Value) -> Result<(), String> {
    let dag = match (dag_of(row), row.get("definition_error")) {
        (Err(_), Some(_)) => return Ok(()),
        (Err(why), None) => return Err(why),
        (Ok(_), Some(error)) => return Err(format!("Airflow refuses it: {error}")),
        (Ok(dag), None) => dag,
    };
    let most = row["max_map_length"].as_u64().map_or(1024, |most| usize::try_from(most).unwrap());
    let plan = Arc::new(Plan::new(Arc::new(dag)).with_max_map_length(most));
    let report = simulate_plan(&plan, &outcomes_of(row), &[]).map_err(|e| e.to_string())?;
    let run = &serde_json::to_value(&report).unwrap()["runs"][0];
    let got = json!({ "state": run["state"], "end_wave": run["end_wave"], "tis": run["tis"], "received": received(row, &report) });
    let mut want = row["expect"].clone();
    want.as_object_mut().unwrap().remove("errors");
    if got == want || (same_but_for_waves(&got, &want) && waves_in_order(plan.dag(), &got, &want)) {
        Ok(())
    } else {
        Err(format!("\n    want {want}\n    got  {got}\n{}", report.story()))
    }
}

#[test]
fn mapped_tasks_resolve_as_in_airflow() {
    let mut family = Family::new("mapping");
    for row in read_rows("mapping.jsonl") {
        family.judge(&row, check);
    }
    Family::finish(&[family]);
}
