//! `triggering_asset_events` and `inlet_events`.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use minijinja::Error;
use minijinja::value::{Enumerator, Object, Value};
use serde_json::{Map, Value as Json, json};

use super::context::{TemplateContext, iso};
use super::lookup::{AssetEventQuery, Lookup};
use super::names::date_or_none;
use super::value::{Dict, List, Record, from_json, refused};
use crate::asset::{AssetEvent, Inlet};

fn by_asset(events: Vec<AssetEvent>) -> IndexMap<String, Vec<AssetEvent>> {
    let mut sorted: IndexMap<String, Vec<AssetEvent>> = IndexMap::new();
    for event in events {
        sorted.entry(event.uri.to_string()).or_default().push(event);
    }
    sorted
}

/// The events that the run stands for, oldest first, by asset.
pub(super) fn triggering(lookup: &Arc<dyn Lookup>) -> Result<Value, Error> {
    let events = lookup.asset_events(&AssetEventQuery::Triggering).map_err(refused)?;
    let lists = by_asset(events).into_iter().map(|(uri, events)| (Value::from(uri), list(&events)));
    Ok(Dict::value(lists))
}

/// The part of both that JSON can hold, for processes.
pub(super) fn for_processes(ctx: &TemplateContext, lookup: &Arc<dyn Lookup>) -> Result<(Json, Json), String> {
    let shown = |events: &[AssetEvent]| events.iter().map(event_json).collect::<Vec<_>>().into();
    let triggering = by_asset(lookup.asset_events(&AssetEventQuery::Triggering)?);
    let triggering: Map<String, Json> = triggering.into_iter().map(|(uri, events)| (uri, shown(&events))).collect();
    let mut inlets = Map::new();
    for inlet in &ctx.task().inlets {
        let (name, query) = of_inlet(inlet);
        inlets.insert(name.to_owned(), shown(&lookup.asset_events(&query)?));
    }
    Ok((triggering.into(), inlets.into()))
}

fn event_json(event: &AssetEvent) -> Json {
    let source = event.source.as_ref();
    json!({
        "asset": {"name": event.uri, "uri": event.uri},
        "uri": event.uri,
        "timestamp": iso(event.at),
        "extra": event.extra,
        "source_aliases": event.aliases,
        "source_dag_id": source.map(|source| &source.dag_id),
        "source_run_id": source.map(|source| &source.run_id),
        "source_task_id": source.map(|source| &source.task_id),
        "source_map_index": source.map_or(-1, |source| source.map_index),
    })
}

fn list(events: &[AssetEvent]) -> Value {
    List::value(events.iter().map(event_value).collect())
}

fn event_value(event: &AssetEvent) -> Value {
    let asset = || {
        let uri = Value::from(event.uri.as_str());
        Record::value(format!("Asset(name='{0}', uri='{0}')", event.uri), [("name", uri.clone()), ("uri", uri)])
    };
    let source = event.source.as_ref();
    let text = |value: Option<&str>| value.map_or_else(|| Value::from(()), Value::from);
    let run = source.map_or_else(
        || Value::from(()),
        |source| {
            let interval = event.source_data_interval;
            Record::value(
                format!("<DagRun {} {}>", source.dag_id, source.run_id),
                [
                    ("dag_id", Value::from(source.dag_id.as_str())),
                    ("run_id", Value::from(source.run_id.as_str())),
                    ("logical_date", date_or_none(event.source_logical_date)),
                    ("data_interval_start", date_or_none(interval.map(|i| i.start))),
                    ("data_interval_end", date_or_none(interval.map(|i| i.end))),
                ],
            )
        },
    );
    Record::value(
        format!("AssetEvent({})", event.uri),
        [
            ("id", Value::from(event.id)),
            ("asset", asset()),
            ("uri", Value::from(event.uri.as_str())),
            ("timestamp", date_or_none(Some(event.at))),
            ("extra", from_json(&Json::Object(event.extra.clone()))),
            ("source_aliases", List::value(event.aliases.iter().map(|alias| Value::from(alias.as_str())).collect())),
            ("source_dag_id", text(source.map(|source| source.dag_id.as_str()))),
            ("source_run_id", text(source.map(|source| source.run_id.as_str()))),
            ("source_task_id", text(source.map(|source| source.task_id.as_str()))),
            ("source_map_index", Value::from(source.map_or(-1, |source| source.map_index))),
            ("source_dag_run", run),
        ],
    )
}

fn of_inlet(inlet: &Inlet) -> (&str, AssetEventQuery) {
    match inlet {
        Inlet::Asset(uri) => (uri.as_str(), AssetEventQuery::Asset(uri.clone())),
        Inlet::Alias(alias) => (alias, AssetEventQuery::Alias(alias.clone())),
    }
}

/// `inlet_events`: by the inlet's URI, its alias, or its place in the list.
pub(super) struct InletEvents {
    ctx: Arc<TemplateContext>,
    lookup: Arc<dyn Lookup>,
}

impl InletEvents {
    pub(super) fn value(ctx: &Arc<TemplateContext>, lookup: &Arc<dyn Lookup>) -> Value {
        Value::from_object(Self { ctx: Arc::clone(ctx), lookup: Arc::clone(lookup) })
    }
}

impl fmt::Debug for InletEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("inlet_events")
    }
}

impl Object for InletEvents {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let inlets = &self.ctx.task().inlets;
        let inlet = match (key.as_str(), key.as_i64()) {
            (Some(name), _) => {
                let uri = crate::asset::normalise(name).ok();
                let is_meant = |inlet: &&Inlet| match inlet {
                    Inlet::Asset(own) => Some(own) == uri.as_ref(),
                    Inlet::Alias(alias) => alias == name,
                };
                inlets.iter().find(is_meant)?
            }
            (None, Some(place)) => {
                let from_end = i64::try_from(inlets.len()).ok()?.checked_add(place)?;
                inlets.get(usize::try_from(if place < 0 { from_end } else { place }).ok()?)?
            }
            _ => return None,
        };
        Some(match self.lookup.asset_events(&of_inlet(inlet).1) {
            Ok(events) => list(&events),
            Err(why) => Value::from(refused(why)),
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.ctx.task().inlets.iter().map(|inlet| Value::from(of_inlet(inlet).0)).collect())
    }
}
