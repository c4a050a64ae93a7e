//! `windrose assets`

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Serialize;
use serde_json::{Map, Value, json};
use windrose_core::asset::normalise;
use windrose_core::ids::AssetUri;
use windrose_core::time::Timestamp;
use windrose_scheduler::Command;
use windrose_store::{AssetEventRow, AssetReferenceRow, AssetRole, EventsOf, Page, Store};

use crate::args::AssetsCommand;
use crate::cmd::Session;
use crate::cmd::commands::{self, Answer, QUEUED};
use crate::output::{self, Row};

/// How many events `show` shows.
const LAST_EVENTS: u32 = 10;

#[derive(Serialize, Default)]
struct Shown {
    uri: String,
    /// `dag.task`
    changed_by: BTreeSet<String>,
    read_by: BTreeSet<String>,
    dags_waiting: BTreeSet<String>,
    events: u64,
    last_event: Option<Timestamp>,
}

impl Row for Shown {
    const HEADS: &'static [&'static str] = &["asset", "changed by", "starts", "events", "last event"];

    fn cells(&self) -> Vec<String> {
        let all = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
        let last = self.last_event.map(|at| at.to_string()).unwrap_or_default();
        vec![self.uri.clone(), all(&self.changed_by), all(&self.dags_waiting), self.events.to_string(), last]
    }
}

#[derive(Serialize)]
struct ShownEvent {
    uri: String,
    at: Timestamp,
    from: String,
    aliases: Vec<String>,
    extra: Map<String, Value>,
    /// `dag run`
    runs: Vec<String>,
}

impl Row for ShownEvent {
    const HEADS: &'static [&'static str] = &["at", "asset", "from", "extra", "runs"];

    fn cells(&self) -> Vec<String> {
        let extra = if self.extra.is_empty() { String::new() } else { Value::from(self.extra.clone()).to_string() };
        vec![self.at.to_string(), self.uri.clone(), self.from.clone(), extra, self.runs.join(", ")]
    }
}

pub(crate) async fn run(session: &Session, command: AssetsCommand) -> Result<ExitCode> {
    let store = session.store().await?;
    match command {
        AssetsCommand::List { search } => {
            let mut rows = all(&store).await?;
            rows.retain(|row| search.as_ref().is_none_or(|text| row.uri.contains(text)));
            output::list(&rows, session.json)?;
        }
        AssetsCommand::Show { uri } => show(session, &store, &parse(&uri)?).await?,
        AssetsCommand::Events { uri, alias, limit } => {
            let uri = uri.as_deref().map(parse).transpose()?;
            let of = match (&uri, &alias) {
                (Some(uri), _) => EventsOf::Asset(uri),
                (None, Some(alias)) => EventsOf::Alias(alias),
                (None, None) => EventsOf::All,
            };
            output::list(&events(&store, of, limit).await?, session.json)?;
        }
        AssetsCommand::Emit { uri, extra } => return emit(session, &store, parse(&uri)?, extra.as_deref()).await,
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(text: &str) -> Result<AssetUri> {
    normalise(text).map_err(|why| anyhow!("{why}"))
}

async fn all(store: &Store) -> Result<Vec<Shown>> {
    let mut assets: BTreeMap<String, Shown> = BTreeMap::new();
    for AssetReferenceRow { dag_id, reference, .. } in store.asset_references().await? {
        if reference.role.is_alias() {
            continue;
        }
        let row = assets.entry(reference.name).or_default();
        let task = reference.task.map_or_else(|| dag_id.to_string(), |task| format!("{dag_id}.{task}"));
        match reference.role {
            AssetRole::Outlet => row.changed_by.insert(task),
            AssetRole::Inlet => row.read_by.insert(task),
            _ => row.dags_waiting.insert(task),
        };
    }
    for (uri, count) in store.asset_event_counts().await? {
        let row = assets.entry(uri.to_string()).or_default();
        (row.events, row.last_event) = (count.count, Some(count.newest));
    }
    Ok(assets.into_iter().map(|(uri, row)| Shown { uri, ..row }).collect())
}

async fn events(store: &Store, of: EventsOf<'_>, limit: u32) -> Result<Vec<ShownEvent>> {
    let mut shown = Vec::new();
    for AssetEventRow { event, who } in store.asset_events(of, Page { offset: 0, limit }).await? {
        let runs = store.runs_of_event(event.id).await?;
        let from = event.source.as_ref().map(|source| {
            let index = if source.map_index < 0 { String::new() } else { format!("[{}]", source.map_index) };
            format!("{}.{}{index} of {}", source.dag_id, source.task_id, source.run_id)
        });
        shown.push(ShownEvent {
            uri: event.uri.to_string(),
            at: event.at,
            from: from.unwrap_or(who),
            aliases: event.aliases,
            extra: event.extra,
            runs: runs.into_iter().map(|(dag, run)| format!("{dag} {run}")).collect(),
        });
    }
    Ok(shown)
}

async fn show(session: &Session, store: &Store, uri: &AssetUri) -> Result<()> {
    let Some(asset) = all(store).await?.into_iter().find(|row| row.uri == uri.as_str()) else {
        bail!("there is no asset '{uri}'; see 'windrose assets list'");
    };
    let queued = store.queued_for(uri).await?;
    let events = events(store, EventsOf::Asset(uri), LAST_EVENTS).await?;
    if session.json {
        let queued: Vec<_> = queued.iter().map(|(dag, at)| json!({ "dag_id": dag, "since": at })).collect();
        return output::object(&json!({ "asset": asset, "queued": queued, "events": events }));
    }
    output::list(&[asset], false)?;
    for (dag, since) in queued {
        outln!("queued for {dag} since {since}: its run waits for other assets, for a place, or until it is unpaused");
    }
    outln!();
    output::list(&events, false)
}

async fn emit(session: &Session, store: &Store, uri: AssetUri, extra: Option<&str>) -> Result<ExitCode> {
    let extra: Map<String, Value> = match extra {
        None => Map::new(),
        Some(text) => serde_json::from_str(text).context("--extra must be a JSON object, such as '{\"rows\": 10}'")?,
    };
    match commands::give(store, &Command::EmitAsset { uri: uri.clone(), extra }).await? {
        Answer::Done(result) => {
            if session.json {
                output::object(&result)?;
                return Ok(ExitCode::SUCCESS);
            }
            let queued = result.get("queued").and_then(Value::as_array).into_iter().flatten();
            let queued: Vec<&str> = queued.filter_map(Value::as_str).collect();
            let told = if queued.is_empty() { "no DAG that is not paused".to_owned() } else { queued.join(", ") };
            eprintln!("the event of '{uri}' is noted for {told}");
            Ok(ExitCode::SUCCESS)
        }
        Answer::Queued(sentence) => {
            if session.json {
                output::object(&json!({ "uri": uri, "status": "queued" }))?;
            }
            eprintln!("{sentence}");
            Ok(ExitCode::from(QUEUED))
        }
    }
}
