//! Assets: what tasks and people say of them becomes events, and events become runs, in the transaction of the turn in
//! which they are heard.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::distr::{Alphanumeric, SampleString as _};
use serde_json::Map;
use windrose_core::asset::{AssetEvent, AssetSource, AssetUpdate, Inlet, Outlet};
use windrose_core::dag::Dag;
use windrose_core::ids::{AssetUri, DagId, TaskInstanceKey};
use windrose_core::run::RunFacts;
use windrose_core::run_state::RunType;
use windrose_core::time::Timestamp;
use windrose_core::timetable::{Timetable, run_id_without_date};
use windrose_engine::assets::{AssetDag, AssetRun, AssetTriggers, QueuedAsset};
use windrose_store::{AssetEventRow, AssetQueueRow, AssetReference, AssetRole, AssetRunRow, StoreError};

use crate::drive::Driver;

/// How many letters and digits keep apart the ids of runs of one instant, as in Airflow.
const RANDOM_LETTERS: usize = 8;

/// That an asset has changed, before it has its instant.
#[derive(Debug)]
pub(crate) struct Emission {
    pub(crate) update: AssetUpdate,
    pub(crate) source: Option<AssetSource>,
    pub(crate) who: String,
}

/// What is known of assets in memory.
#[derive(Debug, Default)]
pub(crate) struct Assets {
    pub(crate) triggers: AssetTriggers,
    newest: Option<Timestamp>,
}

impl Emission {
    /// Of a task instance that has succeeded.
    pub(crate) fn of_task(facts: &RunFacts, key: &TaskInstanceKey, update: AssetUpdate) -> Self {
        let source = AssetSource {
            dag_id: facts.dag_id.clone(),
            run_id: facts.run_id.clone(),
            task_id: key.task.clone(),
            map_index: key.map_index,
        };
        Self { update, source: Some(source), who: "scheduler".to_owned() }
    }
}

impl Driver {
    /// Forgets everything about assets and reads it again; the DAGs follow with [`Driver::schedule_assets`].
    pub(crate) async fn restore_assets(&mut self) -> Result<(), StoreError> {
        self.assets = Assets { triggers: AssetTriggers::default(), newest: self.store.newest_asset_event().await? };
        for (alias, uri) in self.store.asset_aliases().await? {
            self.assets.triggers.know_alias(&alias, &uri);
        }
        Ok(())
    }

    /// Says how a DAG's runs come from assets, if they do.
    pub(crate) async fn schedule_assets(&mut self, dag_id: &DagId, dag: &Dag, paused: bool) -> Result<(), StoreError> {
        let Some(condition) = dag.schedule.assets() else {
            self.assets.triggers.remove_dag(dag_id);
            return Ok(());
        };
        let stored = self.store.asset_schedule(dag_id).await?;
        let dag = AssetDag {
            condition: condition.clone(),
            catchup: dag.catchup == windrose_core::dag::Catchup::All,
            since: stored.since.unwrap_or_else(|| self.now()),
            max_active_runs: dag.max_active_runs,
            paused,
            queue: stored.queue,
            previous: stored.previous,
        };
        self.assets.triggers.upsert_dag(dag_id, dag);
        Ok(())
    }

    /// What has been said of assets in this turn becomes events, each with an instant of its own.
    pub(crate) fn note_asset_events(&mut self, now: Timestamp) {
        for Emission { update, source, who } in std::mem::take(&mut self.runs.outbox.emissions) {
            let after = self.assets.newest.map(|newest| newest.plus(Duration::from_micros(1)));
            let at = after.map_or(now, |after| after.max(now));
            self.assets.newest = Some(at);
            let AssetUpdate { uri, aliases, extra } = update;
            let queued = self.assets.triggers.happened(&uri, &aliases, at);
            let event = AssetEvent {
                id: at.as_micros(),
                uri,
                at,
                aliases,
                extra,
                source,
                source_logical_date: None,
                source_data_interval: None,
            };
            let batch = &mut self.runs.outbox.batch;
            batch.asset_events.push(AssetEventRow { event, who });
            batch.asset_queue.extend(queued.into_iter().map(queue_row));
        }
    }

    /// Creates every run that assets have brought about.
    pub(crate) fn create_asset_runs(&mut self, now: Timestamp) {
        let mut triggers = std::mem::take(&mut self.assets.triggers);
        let due = triggers.due(|dag_id| self.active_runs(dag_id));
        self.assets.triggers = triggers;
        for run in due {
            self.create_asset_run(now, run);
        }
    }

    fn create_asset_run(&mut self, now: Timestamp, run: AssetRun) {
        let Some(version) = self.dags.newest(&run.dag_id).cloned() else { return };
        let random = Alphanumeric.sample_string(&mut rand::rng(), RANDOM_LETTERS);
        let facts = RunFacts {
            key: self.next_run_key(now),
            run_id: run_id_without_date(RunType::AssetTriggered, run.run_after, &random),
            dag_id: run.dag_id,
            run_type: RunType::AssetTriggered,
            logical_date: None,
            data_interval: None,
            run_after: run.run_after,
            conf: Map::new(),
            dag_version: version.hash.clone(),
            triggered_by: "asset".to_owned(),
        };
        let taken = run.taken.into_iter().map(queue_row).collect();
        self.runs.outbox.batch.asset_runs.push(AssetRunRow { run: facts.key, window: run.window, taken });
        self.create_run(now, facts, &version);
    }

    /// Whether anything refers to an asset, or anything was ever said of it.
    pub(crate) async fn is_known_asset(&self, uri: &AssetUri) -> Result<bool, StoreError> {
        let named = self.store.asset_references().await?;
        let named = named.iter().any(|row| !row.reference.role.is_alias() && row.reference.name == uri.as_str());
        Ok(named || self.store.asset_event_counts().await?.contains_key(uri))
    }
}

fn queue_row(queued: QueuedAsset) -> AssetQueueRow {
    AssetQueueRow { dag_id: queued.dag_id, uri: queued.uri, queued_at: queued.at }
}

/// A DAG's schedule as short as Airflow shows it.
pub(crate) fn summary(dag: &Dag, timetable: &Timetable) -> String {
    match (dag.schedule.assets(), timetable) {
        (None, _) => timetable.summary(),
        (Some(_), Timetable::Null) => "Asset".to_owned(),
        (Some(_), _) => format!("Asset or {}", timetable.summary()),
    }
}

/// Everything that a DAG says of assets, each once.
pub(crate) fn references(dag: &Dag) -> Vec<AssetReference> {
    let (uris, aliases) = dag.schedule.assets().map(|condition| condition.names()).unwrap_or_default();
    let of_schedule = |role, name: String| AssetReference { role, task: None, name };
    let uris = uris.iter().map(|uri| of_schedule(AssetRole::Schedule, uri.to_string()));
    let aliases = aliases.into_iter().map(|alias| of_schedule(AssetRole::ScheduleAlias, alias));
    let mut all: BTreeSet<AssetReference> = uris.chain(aliases).collect();
    for task in &dag.tasks {
        let outlets = task.outlets.iter().map(|outlet| match outlet {
            Outlet::Asset { uri, .. } => (AssetRole::Outlet, uri.to_string()),
            Outlet::Alias { alias, .. } => (AssetRole::OutletAlias, alias.clone()),
        });
        let inlets = task.inlets.iter().map(|inlet| match inlet {
            Inlet::Asset(uri) => (AssetRole::Inlet, uri.to_string()),
            Inlet::Alias(alias) => (AssetRole::InletAlias, alias.clone()),
        });
        for (role, name) in outlets.chain(inlets) {
            all.insert(AssetReference { role, task: Some(task.id.clone()), name });
        }
    }
    all.into_iter().collect()
}
