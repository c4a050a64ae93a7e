//! Runs that changed assets bring about: which DAGs an event queues, when a DAG's condition holds, and which events its run
//! then stands for. The rules are those of Airflow 3, odd as some are:
//!
//! - An event queues its asset for every DAG that names it (or an alias it came through) and is not paused. An asset that
//!   is queued already stays queued since its first event.
//! - A DAG whose condition holds over what is queued for it gets one run, as of the instant at which the last of its
//!   assets was queued, and its queue is emptied. It waits while the DAG is paused or full.
//! - The run stands for every event of the DAG's assets up to that instant and after the one of its run before, also for
//!   those that came while the DAG was paused. An event behind that instant is the next run's, but queues none by itself.
//! - The first run stands for what came since the DAG began to wait for assets; with `catchup` for all there ever was.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use windrose_core::asset::{AssetCondition, EventWindow};
use windrose_core::ids::{AssetUri, DagId};
use windrose_core::time::Timestamp;

/// What the asset-triggered runs of a DAG depend on.
#[derive(Debug, Clone)]
pub struct AssetDag {
    /// What it waits for.
    pub condition: AssetCondition,
    /// Its first run stands for events of before it was there, too.
    pub catchup: bool,
    /// Since when it waits for assets.
    pub since: Timestamp,
    /// No run is created while so many are queued or running.
    pub max_active_runs: u32,
    /// A paused DAG gets no runs, and events queue nothing for it.
    pub paused: bool,
    /// What is queued, and since when.
    pub queue: BTreeMap<AssetUri, Timestamp>,
    /// The instant up to which its newest asset-triggered run stands for events.
    pub previous: Option<Timestamp>,
}

/// An asset that an event has queued for a DAG.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct QueuedAsset {
    /// The DAG.
    pub dag_id: DagId,
    /// The asset.
    pub uri: AssetUri,
    /// Since when.
    pub at: Timestamp,
}

/// A run that is to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetRun {
    /// The DAG.
    pub dag_id: DagId,
    /// The instant at which it became due.
    pub run_after: Timestamp,
    /// The events it stands for.
    pub window: EventWindow,
    /// What it takes from the queue: all there is for the DAG.
    pub taken: Vec<QueuedAsset>,
}

/// Decides on the asset-triggered runs of all DAGs.
#[derive(Debug, Clone, Default)]
pub struct AssetTriggers {
    dags: BTreeMap<DagId, AssetDag>,
    by_uri: HashMap<AssetUri, BTreeSet<DagId>>,
    by_alias: HashMap<String, BTreeSet<DagId>>,
    /// The assets that have come through each alias.
    aliases: HashMap<String, BTreeSet<AssetUri>>,
    /// DAGs that something has happened to since they were last looked at.
    changed: BTreeSet<DagId>,
}

impl AssetTriggers {
    /// A DAG that waits for assets is new, has changed, or is to be decided on again from what the store holds.
    pub fn upsert_dag(&mut self, dag_id: &DagId, dag: AssetDag) {
        self.remove_dag(dag_id);
        let (uris, aliases) = dag.condition.names();
        for uri in uris {
            self.by_uri.entry(uri).or_default().insert(dag_id.clone());
        }
        for alias in aliases {
            self.by_alias.entry(alias).or_default().insert(dag_id.clone());
        }
        self.dags.insert(dag_id.clone(), dag);
        self.changed.insert(dag_id.clone());
    }

    /// A DAG is gone, or waits for assets no more.
    pub fn remove_dag(&mut self, dag_id: &DagId) {
        let Some(dag) = self.dags.remove(dag_id) else { return };
        let (uris, aliases) = dag.condition.names();
        for uri in uris {
            self.by_uri.get_mut(&uri).map(|dags| dags.remove(dag_id));
        }
        for alias in aliases {
            self.by_alias.get_mut(&alias).map(|dags| dags.remove(dag_id));
        }
        self.changed.remove(dag_id);
    }

    /// An asset has come through an alias before.
    pub fn know_alias(&mut self, alias: &str, uri: &AssetUri) {
        self.aliases.entry(alias.to_owned()).or_default().insert(uri.clone());
        self.changed.extend(self.by_alias.get(alias).into_iter().flatten().cloned());
    }

    /// A DAG is paused or unpaused.
    pub fn set_paused(&mut self, dag_id: &DagId, paused: bool) {
        if let Some(dag) = self.dags.get_mut(dag_id) {
            dag.paused = paused;
            self.changed.insert(dag_id.clone());
        }
    }

    /// A run of a DAG has ended, so there may be a place for another one.
    pub fn run_ended(&mut self, dag_id: &DagId) {
        if self.dags.contains_key(dag_id) {
            self.changed.insert(dag_id.clone());
        }
    }

    /// An asset has changed, at an instant later than that of any event before. Returns what this queues.
    pub fn happened(&mut self, uri: &AssetUri, aliases: &[String], at: Timestamp) -> Vec<QueuedAsset> {
        for alias in aliases {
            self.know_alias(alias, uri);
        }
        let through_aliases = aliases.iter().filter_map(|alias| self.by_alias.get(alias));
        let waiting: BTreeSet<&DagId> = self.by_uri.get(uri).into_iter().chain(through_aliases).flatten().collect();
        let mut queued = Vec::new();
        for dag_id in waiting {
            let Some(dag) = self.dags.get_mut(dag_id).filter(|dag| !dag.paused) else { continue };
            if !dag.queue.contains_key(uri) {
                dag.queue.insert(uri.clone(), at);
                queued.push(QueuedAsset { dag_id: dag_id.clone(), uri: uri.clone(), at });
                self.changed.insert(dag_id.clone());
            }
        }
        queued
    }

    /// The runs that are to be created now, by DAG, at most one for each. `active` says how many runs of a DAG are queued or
    /// running, those of backfills left out. A DAG costs nothing unless something has happened to it since the last call.
    pub fn due(&mut self, active: impl Fn(&DagId) -> u32) -> Vec<AssetRun> {
        let mut runs = Vec::new();
        for dag_id in std::mem::take(&mut self.changed) {
            let Some(dag) = self.dags.get(&dag_id) else { continue };
            if dag.paused || dag.queue.is_empty() || !self.holds(dag) || active(&dag_id) >= dag.max_active_runs {
                continue;
            }
            runs.extend(self.take(&dag_id));
        }
        runs
    }

    /// What is queued for a DAG, and since when.
    #[must_use]
    pub fn queue(&self, dag_id: &DagId) -> Option<&BTreeMap<AssetUri, Timestamp>> {
        self.dags.get(dag_id).map(|dag| &dag.queue)
    }

    /// What a DAG still waits for before it gets a run; none if its condition holds, or if it waits for no assets.
    #[must_use]
    pub fn missing(&self, dag_id: &DagId) -> Option<AssetCondition> {
        let dag = self.dags.get(dag_id)?;
        let queued = |uri: &AssetUri| dag.queue.contains_key(uri);
        dag.condition.missing(&queued, &|alias| self.any_of_alias(alias, queued))
    }

    fn holds(&self, dag: &AssetDag) -> bool {
        let queued = |uri: &AssetUri| dag.queue.contains_key(uri);
        dag.condition.holds(&queued, &|alias| self.any_of_alias(alias, queued))
    }

    fn any_of_alias(&self, alias: &str, queued: impl Fn(&AssetUri) -> bool) -> bool {
        self.aliases.get(alias).into_iter().flatten().any(queued)
    }

    fn take(&mut self, dag_id: &DagId) -> Option<AssetRun> {
        let dag = self.dags.get_mut(dag_id)?;
        let until = dag.queue.values().copied().max()?;
        let floor = if dag.catchup { None } else { Some(dag.since) };
        let (uris, aliases) = dag.condition.names();
        let window = EventWindow { uris, aliases, after: dag.previous.or(floor), until };
        let taken = std::mem::take(&mut dag.queue).into_iter();
        dag.previous = dag.previous.max(Some(until));
        Some(AssetRun {
            dag_id: dag_id.clone(),
            run_after: until,
            window,
            taken: taken.map(|(uri, at)| QueuedAsset { dag_id: dag_id.clone(), uri, at }).collect(),
        })
    }
}
