//! What people change about runs that exist: clear, mark, stop. One [`Change`] can reach many runs of a DAG; what it does
//! to each is said beforehand by a rehearsal on a copy of the run's machine.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use windrose_core::catalog::Catalog;
use windrose_core::dag_file::{self, DagSource, Defaults};
use windrose_core::ids::{DagId, RunId, RunKey};
use windrose_core::run::RunFacts;
use windrose_core::run_state::RunState;
use windrose_core::time::Timestamp;
use windrose_engine::{Event, MarkedState, Plan, Rehearsal, RunMachine, Selection};
use windrose_store::{Page, RunFilter, RunRow, RunWrite, Store, StoreError};

use crate::commands::Failed;
use crate::dag_set::Version;
use crate::deadlines::RunNews;
use crate::drive::Driver;
use crate::restore::snapshots;

/// What is done to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Have task instances decided again.
    Clear {
        /// Which.
        selection: Selection,
    },
    /// Say where task instances stand.
    MarkTasks {
        /// Which.
        selection: Selection,
        /// Where.
        state: MarkedState,
    },
    /// Say how the run ended.
    MarkRun {
        /// Success or failure.
        success: bool,
    },
}

/// What a person wants to change about runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The DAG.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// And all runs of the DAG with an earlier logical date.
    #[serde(default)]
    pub past: bool,
    /// And all with a later one.
    #[serde(default)]
    pub future: bool,
    /// The runs go on under the newest version of the DAG; otherwise each keeps its own.
    #[serde(default)]
    pub new_version: bool,
    /// What is done.
    pub action: Action,
}

/// What a [`Change`] would do to one run.
#[derive(Debug, Clone, PartialEq)]
pub struct RunPlan {
    /// The run.
    pub run: RunFacts,
    /// The hash of the DAG version under which it would go on.
    pub version: String,
    /// Whether that is the newest one.
    pub newest: bool,
    /// What would change.
    pub rehearsal: Rehearsal,
}

impl Change {
    /// The same as events of a run's machine, in their order.
    fn events(&self, newest: Option<&Arc<Plan>>, by: &str) -> Vec<Event> {
        let by = by.to_owned();
        let version = newest.map(|plan| Event::NewVersion { plan: Arc::clone(plan), by: by.clone() });
        let action = match self.action.clone() {
            Action::Clear { selection } => Event::Clear { selection, by },
            Action::MarkTasks { selection, state } => Event::MarkTasks { selection, state, by },
            Action::MarkRun { success } => Event::MarkRun { success, by },
        };
        version.into_iter().chain([action]).collect()
    }

    /// The runs that it is about, oldest first.
    async fn runs(&self, store: &Store) -> Result<Vec<RunRow>, Failed> {
        let (dag_id, run_id) = (&self.dag_id, &self.run_id);
        let Some(run) = store.find_run(dag_id, run_id).await? else {
            return Err(Failed::Refused(format!(
                "DAG '{dag_id}' has no run '{run_id}'; see 'windrose runs list {dag_id}'"
            )));
        };
        if !self.past && !self.future {
            return Ok(vec![run]);
        }
        let Some(date) = run.facts.logical_date else {
            return Err(Failed::Refused(format!(
                "run '{run_id}' has no logical date, so no run is before or after it; leave --past and --future out"
            )));
        };
        let filter = RunFilter {
            dag_id: Some(dag_id.clone()),
            logical_date_from: (!self.past).then_some(date),
            logical_date_before: (!self.future).then(|| date.plus(std::time::Duration::from_micros(1))),
            ..RunFilter::default()
        };
        let mut rows = store.runs(&filter, Page { offset: 0, limit: u32::MAX >> 1 }).await?.rows;
        rows.retain(|row| row.facts.logical_date.is_some());
        rows.sort_by_key(|row| row.facts.logical_date);
        Ok(rows)
    }

    /// A run that has not begun holds nothing to be cleared or marked; only the named one is worth a word.
    fn passes_over(&self, row: &RunRow) -> Result<bool, Failed> {
        if row.state != RunState::Queued || matches!(self.action, Action::MarkRun { success: false }) {
            return Ok(false);
        }
        if row.facts.run_id == self.run_id {
            return Err(Failed::Refused(format!(
                "run '{}' of DAG '{}' has not begun: nothing is to be cleared or marked",
                self.run_id, self.dag_id
            )));
        }
        Ok(true)
    }
}

/// What a change would do, from the rows and by the code that does it. Nothing is changed, and no scheduler is needed.
///
/// # Errors
/// With a sentence, if the change would be refused or the database refuses.
pub async fn plan_change(
    store: &Store,
    catalog: &dyn Catalog,
    defaults: &Defaults,
    change: &Change,
    now: Timestamp,
) -> Result<Vec<RunPlan>, Failed> {
    let mut plans = Vec::new();
    let newest = store.dag(&change.dag_id).await?.map(|dag| dag.version).unwrap_or_default();
    let mut read: Vec<(String, Arc<Plan>)> = Vec::new();
    for row in change.runs(store).await? {
        if change.passes_over(&row)? {
            continue;
        }
        let own = row.facts.dag_version.clone();
        for hash in [&own, &newest] {
            if !read.iter().any(|(known, _)| known == hash) {
                read.push((hash.clone(), version(store, catalog, defaults, &change.dag_id, hash).await?));
            }
        }
        let plan_of = |hash: &str| read.iter().find(|(known, _)| known == hash).map(|(_, plan)| plan);
        let Some(plan) = plan_of(&own) else { continue };
        let tasks = snapshots(store.tasks(row.facts.key).await?, plan.dag());
        let facts = Arc::new(row.facts);
        let machine =
            RunMachine::restore(Arc::clone(plan), Arc::clone(&facts), row.state, row.started_at, row.ended_at, tasks);
        let moves = change.new_version && own != newest;
        let rehearsal = machine
            .rehearse(now, change.events(plan_of(&newest).filter(|_| moves), ""))
            .map_err(|refused| Failed::Refused(refused.to_string()))?;
        let version = if moves { newest.clone() } else { own };
        plans.push(RunPlan { run: facts.as_ref().clone(), newest: version == newest, version, rehearsal });
    }
    Ok(plans)
}

/// A version as the database keeps it.
pub(crate) async fn version(
    store: &Store,
    catalog: &dyn Catalog,
    defaults: &Defaults,
    dag_id: &DagId,
    hash: &str,
) -> Result<Arc<Plan>, Failed> {
    let Some(row) = store.dag_version(dag_id, hash).await? else {
        return Err(Failed::Refused(format!("the database holds no version {hash} of DAG '{dag_id}'; load it again")));
    };
    let source = DagSource { path: PathBuf::from(&row.file), text: row.source };
    let dag = dag_file::parse(&source, catalog, defaults).map_err(|errors| Failed::Refused(errors.to_string()))?;
    Ok(Arc::new(Plan::new(Arc::new(dag))))
}

/// What was done.
#[derive(Debug, Default)]
struct Done {
    runs: u32,
    cleared: usize,
    marked: usize,
    stopped: usize,
}

impl Driver {
    /// Does it, and says to how many task instances of how many runs.
    pub(crate) async fn change(&mut self, now: Timestamp, change: &Change, by: &str) -> Result<Value, Failed> {
        let mut done = Done::default();
        let mut rows: VecDeque<RunRow> = change.runs(&self.store).await?.into();
        while let Some(row) = rows.pop_front() {
            let run = row.facts.key;
            let in_memory = self.runs.live.contains_key(&run);
            // The rows may be older than what this batch has decided.
            if !in_memory && self.runs.waiting.contains_key(&run) {
                if matches!(change.action, Action::MarkRun { success: false }) {
                    self.cancel(now, &row.facts.dag_id, &row.facts.run_id, by).await?;
                    done.runs += 1;
                } else {
                    change.passes_over(&RunRow { state: RunState::Queued, ..row })?;
                }
                continue;
            }
            let what = self.change_run(now, change, row, by).await?;
            let Some(rehearsal) = what else { continue };
            done.runs += 1;
            let cleared = rehearsal.changes.iter().filter(|c| c.to.as_str() == "none").count();
            done.cleared += cleared;
            done.marked += rehearsal.changes.len() - cleared;
            done.stopped += rehearsal.changes.iter().filter(|c| c.stops).count();
        }
        Ok(json!({ "cleared": done.cleared, "marked": done.marked, "stopped": done.stopped, "runs": done.runs }))
    }

    /// `None` if there is nothing to change.
    async fn change_run(
        &mut self,
        now: Timestamp,
        change: &Change,
        row: RunRow,
        by: &str,
    ) -> Result<Option<Rehearsal>, Failed> {
        let (run, facts) = (row.facts.key, row.facts.clone());
        let newest = self.dags.newest(&change.dag_id).filter(|_| change.new_version).cloned();
        let ended = if self.runs.live.contains_key(&run) { None } else { Some(self.load_run(row).await?) };
        let machine = match (&ended, self.runs.live.get(&run)) {
            (Some((machine, _)), _) => machine,
            (None, Some(live)) => &live.machine,
            (None, None) => return Ok(None),
        };
        let newest = newest.filter(|version| version.hash != machine.facts().dag_version);
        let events = change.events(newest.as_ref().map(|version| &version.plan), by);
        let refused = |refused: windrose_engine::Refused| Failed::Refused(refused.to_string());
        let rehearsal = machine.copied().rehearse(now, events.clone()).map_err(refused)?;
        if rehearsal.changes.is_empty() && rehearsal.from == rehearsal.to {
            return Ok(None);
        }
        if let Some((machine, folder)) = ended {
            self.revive(now, machine, folder).await?;
        }
        for event in events {
            self.runs.feed(now, run, event).map_err(refused)?;
        }
        if let Some(version) = newest {
            self.repin(now, run, &version).await?;
        }
        self.after_change(run);
        self.log_event(now, &facts.dag_id, &facts.run_id, change.word(), by, None);
        Ok(Some(rehearsal))
    }

    /// A cleared run waits for its place, one that has ended does not any more.
    pub(crate) fn after_change(&mut self, run: RunKey) {
        match self.runs.live.get(&run).map(|live| live.machine.state()) {
            Some(RunState::Queued) => self.runs.enqueue_live(run),
            Some(RunState::Success | RunState::Failed) => drop(self.runs.waiting.remove(&run)),
            _ => {}
        }
    }

    /// A run that has ended, as its rows say.
    pub(crate) async fn load_run(&mut self, row: RunRow) -> Result<(RunMachine, PathBuf), Failed> {
        let facts = Arc::new(row.facts);
        let version = self.dags.version(&facts.dag_id, &facts.dag_version, &self.store).await?;
        let tasks = snapshots(self.store.tasks(facts.key).await?, version.plan.dag());
        let folder = version.folder();
        Ok((RunMachine::restore(version.plan, facts, row.state, row.started_at, row.ended_at, tasks), folder))
    }

    /// Takes such a run into memory again.
    pub(crate) async fn revive(
        &mut self,
        now: Timestamp,
        machine: RunMachine,
        folder: PathBuf,
    ) -> Result<(), StoreError> {
        let (run, depends) = (machine.facts().key, machine.plan().depends_on_past());
        self.runs.adopt(now, machine, folder);
        if depends {
            self.tell_previous(now, run).await?;
        }
        Ok(())
    }

    /// The run goes on under this version from now on.
    pub(crate) async fn repin(&mut self, now: Timestamp, run: RunKey, version: &Version) -> Result<(), StoreError> {
        let folder = version.folder();
        let Some(live) = self.runs.live.get_mut(&run) else { return Ok(()) };
        live.folder = folder;
        let facts = RunFacts { dag_version: version.hash.clone(), ..live.machine.facts().as_ref().clone() };
        live.machine.set_facts(Arc::new(facts));
        if !live.machine.state().is_final() {
            self.runs.run_news.push(RunNews::repinned(live.machine.facts()));
        }
        let state = live.machine.state();
        self.runs.outbox.batch.runs.push(RunWrite {
            key: run,
            from: state,
            to: state,
            started_at: live.machine.started_at(),
            ended_at: live.machine.ended_at(),
            dag_version: Some(version.hash.clone()),
        });
        if version.plan.depends_on_past() {
            self.tell_previous(now, run).await?;
        }
        Ok(())
    }
}

impl Change {
    /// For the event log.
    const fn word(&self) -> &'static str {
        match &self.action {
            Action::Clear { .. } => "cleared",
            Action::MarkTasks { .. } => "tasks marked",
            Action::MarkRun { success: true } => "marked success",
            Action::MarkRun { success: false } => "marked failed",
        }
    }
}
