//! Backfills under way: their dates get their turn as long as their own limit allows it. The dates and what is done with
//! each come from [`windrose_engine::backfill`].

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use windrose_core::backfill::{BackfillStep, NoRun, Reprocess};
use windrose_core::catalog::Catalog;
use windrose_core::dag::Dag;
use windrose_core::dag_file::Defaults;
use windrose_core::ids::{DagId, RunId, RunKey};
use windrose_core::params::check_conf;
use windrose_core::run::RunFacts;
use windrose_core::run_state::{RunState, RunType};
use windrose_core::time::Timestamp;
use windrose_core::timetable::DueRun;
use windrose_engine::backfill::{Request, TurnObstacle, dates, run_id_of, step, turn_obstacle};
use windrose_engine::{Event, Selection};
use windrose_store::{BackfillRow, BackfillWrite, EventRow, Page, RunFilter, Store, StoreError};

use crate::change::version;
use crate::commands::Failed;
use crate::drive::Driver;

/// How many dates get their turn in one round of a turn; dates that need no run must not hold up everything else.
const AT_ONCE: usize = 100;

/// A backfill as a person wants it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackfillRequest {
    /// The DAG.
    pub dag_id: DagId,
    /// The first date.
    pub from: Timestamp,
    /// The last date, included.
    pub to: Timestamp,
    /// The newest date goes first.
    #[serde(default)]
    pub backwards: bool,
    /// What is done with dates that have a run.
    #[serde(default)]
    pub reprocess: Reprocess,
    /// How many of its runs may be under way at once, apart from the DAG's own limit.
    pub max_active_runs: u32,
    /// Parameters of its runs.
    #[serde(default)]
    pub conf: Map<String, Value>,
    /// Runs that run again take the newest version of the DAG.
    #[serde(default)]
    pub new_version: bool,
}

impl BackfillRequest {
    /// Its dates, if it can be at all.
    fn dates(&self, dag: &Dag, now: Timestamp) -> Result<Vec<DueRun>, Failed> {
        check_conf(dag, &self.conf).map_err(|refused| Failed::Refused(refused.to_string()))?;
        let request = Request {
            from: self.from,
            to: self.to,
            backwards: self.backwards,
            reprocess: self.reprocess,
            max_active_runs: self.max_active_runs,
        };
        dates(dag, &request, now).map_err(|refusal| Failed::Refused(refusal.to_string()))
    }
}

/// A date of a backfill that is only planned.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedDate {
    /// The date.
    pub due: DueRun,
    /// What would be done.
    pub step: BackfillStep,
    /// The run that there is, or that would be made.
    pub run_id: RunId,
}

/// What a backfill would do.
#[derive(Debug, Clone, PartialEq)]
pub struct BackfillPlan {
    /// The newest version of the DAG, under which new runs run.
    pub version: String,
    /// Its dates in the order of their turns.
    pub dates: Vec<PlannedDate>,
}

/// What a backfill would do as the runs stand now, by the code that does it. Nothing is changed.
///
/// # Errors
/// With a sentence, if it would be refused or the database refuses.
pub async fn plan_backfill(
    store: &Store,
    catalog: &dyn Catalog,
    defaults: &Defaults,
    request: &BackfillRequest,
    now: Timestamp,
) -> Result<BackfillPlan, Failed> {
    let dag_id = &request.dag_id;
    let Some(row) = store.dag(dag_id).await? else {
        return Err(Failed::Refused(format!("there is no DAG '{dag_id}'; see 'windrose dags list'")));
    };
    let plan = version(store, catalog, defaults, dag_id, &row.version).await?;
    let dates = request.dates(plan.dag(), now)?;
    let under_way = store.backfills_under_way().await?;
    if let Some(other) = under_way.iter().find(|other| other.dag_id == *dag_id) {
        return Err(another(dag_id, other.id));
    }
    let logical = || dates.iter().filter_map(|due| due.logical_date);
    let filter = RunFilter {
        dag_id: Some(dag_id.clone()),
        logical_date_from: logical().min(),
        logical_date_before: logical().max().map(|last| last.plus(std::time::Duration::from_micros(1))),
        ..RunFilter::default()
    };
    let runs = store.runs(&filter, Page { offset: 0, limit: u32::MAX >> 1 }).await?.rows;
    let by_date: HashMap<_, _> = runs.iter().map(|run| (run.facts.logical_date, run)).collect();
    let planned = dates.into_iter().map(|due| {
        let run = by_date.get(&due.logical_date);
        PlannedDate {
            due,
            step: step(run.map(|run| run.state), request.reprocess),
            run_id: run.map_or_else(|| run_id_of(&due), |run| run.facts.run_id.clone()),
        }
    });
    Ok(BackfillPlan { version: row.version, dates: planned.collect() })
}

fn another(dag_id: &DagId, id: i64) -> Failed {
    Failed::Refused(format!(
        "backfill {id} of DAG '{dag_id}' is under way, and a DAG has one at a time; wait for its end, or end it with \
         'windrose backfill cancel {id}'"
    ))
}

/// A backfill that has not ended.
pub(crate) struct UnderWay {
    pub(crate) row: BackfillRow,
    /// Dates that wait for their turn, with their places.
    pub(crate) pending: VecDeque<(u32, DueRun)>,
    /// Its runs that have not ended.
    pub(crate) runs: BTreeSet<RunKey>,
}

/// The backfills that have not ended, by number.
#[derive(Default)]
pub(crate) struct Backfills {
    under_way: BTreeMap<i64, UnderWay>,
    /// The last round ended before all turns were taken.
    more: bool,
}

impl Backfills {
    /// A run has ended, and makes room if it is a backfill's.
    pub(crate) fn run_ended(&mut self, run: RunKey) {
        for backfill in self.under_way.values_mut() {
            backfill.runs.remove(&run);
        }
    }

    /// A run of a paused backfill that has not begun does not begin.
    pub(crate) fn hold(&self, run: RunKey) -> bool {
        self.under_way.values().any(|backfill| backfill.row.paused && backfill.runs.contains(&run))
    }

    /// There are turns to be taken at once.
    pub(crate) const fn has_more(&self) -> bool {
        self.more
    }

    /// The next date whose turn it is.
    fn next_turn(&mut self, id: i64) -> Option<(u32, DueRun)> {
        let backfill = self.under_way.get_mut(&id)?;
        if backfill.obstacle().is_some() { None } else { backfill.pending.pop_front() }
    }

    /// The one of a DAG, if it has not ended.
    pub(crate) fn of_dag(&self, dag_id: &DagId) -> Option<&UnderWay> {
        self.under_way.values().find(|backfill| backfill.row.dag_id == *dag_id)
    }

    /// The one that a run is of.
    pub(crate) fn of_run(&self, run: RunKey) -> Option<&BackfillRow> {
        self.under_way.values().find(|backfill| backfill.runs.contains(&run)).map(|backfill| &backfill.row)
    }
}

impl UnderWay {
    /// Why no date gets its turn now.
    pub(crate) fn obstacle(&self) -> Option<TurnObstacle> {
        turn_obstacle(self.row.paused, self.runs.len(), self.row.max_active_runs)
    }
}

impl Driver {
    pub(crate) async fn restore_backfills(&mut self) -> Result<(), StoreError> {
        self.backfills = Backfills::default();
        for row in self.store.backfills_under_way().await? {
            let dates = self.store.backfill_dates(row.id).await?;
            let living = |run: &windrose_store::BackfillRun| {
                run.now.as_ref().filter(|(_, state)| !state.is_final()).map(|_| run.key)
            };
            let runs = dates.iter().filter_map(|date| living(date.run.as_ref()?)).collect();
            let waits = dates.iter().filter(|date| date.run.is_none() && date.no_run.is_none());
            let pending = waits.map(|date| (date.place, date.due)).collect();
            self.backfills.under_way.insert(row.id, UnderWay { row, pending, runs });
        }
        Ok(())
    }

    pub(crate) async fn create_backfill(
        &mut self,
        now: Timestamp,
        request: &BackfillRequest,
        who: &str,
    ) -> Result<Value, Failed> {
        let dag_id = &request.dag_id;
        let Some(version) = self.dags.newest(dag_id) else {
            return Err(Failed::Refused(format!("there is no DAG '{dag_id}'; see 'windrose dags list'")));
        };
        if let Some(other) = self.backfills.of_dag(dag_id) {
            return Err(another(dag_id, other.row.id));
        }
        let dates = request.dates(version.plan.dag(), now)?;
        // Another one may have been made in this batch.
        let newest = self.backfills.under_way.keys().next_back().map_or(0, |id| id + 1);
        let id = self.store.next_backfill_id().await?.max(newest);
        let row = BackfillRow {
            id,
            dag_id: dag_id.clone(),
            from: request.from,
            to: request.to,
            backwards: request.backwards,
            reprocess: request.reprocess,
            max_active_runs: request.max_active_runs,
            conf: request.conf.clone(),
            new_version: request.new_version,
            paused: false,
            cancelled: false,
            created_by: who.to_owned(),
            created_at: now,
            ended_at: None,
        };
        let count = dates.len();
        let pending = (0..).zip(dates.iter().copied()).collect();
        self.backfills.under_way.insert(id, UnderWay { row: row.clone(), pending, runs: BTreeSet::new() });
        self.runs.outbox.batch.backfills.push(BackfillWrite::Create { row: Box::new(row), dates });
        self.log_backfill(now, dag_id, "backfill created", who, id);
        Ok(json!({ "backfill_id": id, "dates": count }))
    }

    pub(crate) fn pause_backfill(&mut self, now: Timestamp, id: i64, paused: bool, who: &str) -> Result<Value, Failed> {
        let Some(backfill) = self.backfills.under_way.get_mut(&id) else { return Err(not_under_way(id)) };
        let changed = std::mem::replace(&mut backfill.row.paused, paused) != paused;
        let dag_id = backfill.row.dag_id.clone();
        if changed {
            self.runs.places_changed = true;
            self.runs.outbox.batch.backfills.push(BackfillWrite::Pause { backfill: id, paused });
            self.log_backfill(now, &dag_id, if paused { "backfill paused" } else { "backfill resumed" }, who, id);
        }
        Ok(json!({ "backfill_id": id, "dag_id": dag_id, "paused": paused, "changed": changed }))
    }

    /// As in Airflow, what has not begun does not, and what runs goes on, unless that is to be stopped too.
    pub(crate) async fn cancel_backfill(
        &mut self,
        now: Timestamp,
        id: i64,
        running: bool,
        who: &str,
    ) -> Result<Value, Failed> {
        let Some(backfill) = self.backfills.under_way.remove(&id) else { return Err(not_under_way(id)) };
        let (mut stopped, mut left) = (0, 0);
        for run in &backfill.runs {
            let waits = self.runs.waiting.contains_key(run);
            let facts = match (self.runs.waiting.get(run), self.runs.live.get(run)) {
                (Some(waiting), _) => waiting.facts.clone(),
                (None, Some(live)) => live.machine.facts().clone(),
                (None, None) => continue,
            };
            if waits || running {
                self.cancel(now, &facts.dag_id, &facts.run_id, who).await?;
                stopped += 1;
            } else {
                left += 1;
            }
        }
        self.runs.outbox.batch.backfills.push(BackfillWrite::End { backfill: id, at: now, cancelled: true });
        self.log_backfill(now, &backfill.row.dag_id, "backfill cancelled", who, id);
        let dropped = backfill.pending.len();
        let dag_id = &backfill.row.dag_id;
        Ok(json!({ "backfill_id": id, "dag_id": dag_id, "dropped": dropped, "stopped": stopped, "running": left }))
    }

    /// Gives dates their turn, and ends backfills that have nothing left. Those of paused DAGs wait.
    pub(crate) async fn advance_backfills(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.backfills.more = false;
        let ids: Vec<i64> = self.backfills.under_way.keys().copied().collect();
        for id in ids {
            let Some(dag_id) = self.backfills.under_way.get(&id).map(|b| b.row.dag_id.clone()) else { continue };
            let mut taken = 0;
            while !self.paused.contains(&dag_id) {
                if taken == AT_ONCE {
                    self.backfills.more = true;
                    break;
                }
                let Some((place, due)) = self.backfills.next_turn(id) else { break };
                self.take_turn(now, id, place, due).await?;
                taken += 1;
            }
            let over = |backfill: &UnderWay| backfill.pending.is_empty() && backfill.runs.is_empty();
            if self.backfills.under_way.get(&id).is_some_and(over) {
                self.backfills.under_way.remove(&id);
                self.runs.outbox.batch.backfills.push(BackfillWrite::End { backfill: id, at: now, cancelled: false });
                self.log_backfill(now, &dag_id, "backfill ended", "scheduler", id);
            }
        }
        Ok(())
    }

    async fn take_turn(&mut self, now: Timestamp, id: i64, place: u32, due: DueRun) -> Result<(), StoreError> {
        let Some(row) = self.backfills.under_way.get(&id).map(|backfill| backfill.row.clone()) else { return Ok(()) };
        let existing = self.run_of_date(&row.dag_id, due.logical_date).await?;
        let outcome = match step(existing.map(|(_, state)| state), row.reprocess) {
            BackfillStep::Skip(reason) => Err(reason),
            BackfillStep::Create => self.make_run(now, &row, &due),
            BackfillStep::Reprocess => match existing {
                Some((run, _)) => self.run_again(now, &row, run).await?,
                None => Err(NoRun::InFlight),
            },
        };
        if let (Ok(run), Some(backfill)) = (outcome, self.backfills.under_way.get_mut(&id)) {
            backfill.runs.insert(run);
        }
        self.runs.outbox.batch.backfills.push(BackfillWrite::Turn { backfill: id, place, outcome });
        Ok(())
    }

    /// Memory first: the database has not heard of this batch yet.
    async fn run_of_date(
        &self,
        dag_id: &DagId,
        logical_date: Option<Timestamp>,
    ) -> Result<Option<(RunKey, RunState)>, StoreError> {
        let Some(date) = logical_date else { return Ok(None) };
        let is_it = |facts: &RunFacts| facts.dag_id == *dag_id && facts.logical_date == Some(date);
        if let Some((run, _)) = self.runs.waiting.iter().find(|(_, waiting)| is_it(&waiting.facts)) {
            return Ok(Some((*run, RunState::Queued)));
        }
        if let Some((run, live)) = self.runs.live.iter().find(|(_, live)| is_it(live.machine.facts())) {
            return Ok(Some((*run, live.machine.state())));
        }
        Ok(self.store.run_at(dag_id, date).await?.map(|row| (row.facts.key, row.state)))
    }

    fn make_run(&mut self, now: Timestamp, backfill: &BackfillRow, due: &DueRun) -> Result<RunKey, NoRun> {
        let version = self.dags.newest(&backfill.dag_id).cloned().ok_or(NoRun::DagGone)?;
        let run_id = run_id_of(due);
        if self.existing.contains(&(backfill.dag_id.clone(), run_id.clone())) {
            return Err(NoRun::RunIdTaken);
        }
        let facts = RunFacts {
            key: self.next_run_key(now),
            dag_id: backfill.dag_id.clone(),
            run_id,
            run_type: RunType::Backfill,
            logical_date: due.logical_date,
            data_interval: due.data_interval,
            run_after: due.run_after,
            conf: backfill.conf.clone(),
            dag_version: version.hash.clone(),
            triggered_by: "backfill".to_owned(),
        };
        let run = facts.key;
        self.create_run(now, facts, &version);
        Ok(run)
    }

    /// Clears a run that has ended, and makes it one of the backfill's.
    async fn run_again(
        &mut self,
        now: Timestamp,
        backfill: &BackfillRow,
        run: RunKey,
    ) -> Result<Result<RunKey, NoRun>, StoreError> {
        let Some(mut row) = self.store.run(run).await? else { return Ok(Err(NoRun::InFlight)) };
        let conf = (!backfill.conf.is_empty()).then(|| backfill.conf.clone());
        row.facts.run_type = RunType::Backfill;
        "backfill".clone_into(&mut row.facts.triggered_by);
        if let Some(conf) = &conf {
            row.facts.conf.clone_from(conf);
        }
        let (machine, folder) = match self.load_run(row).await {
            Ok(loaded) => loaded,
            Err(Failed::Store(error)) => return Err(error),
            Err(Failed::Refused(message)) => {
                tracing::error!(run = run.0, message, "a run cannot run again");
                return Ok(Err(NoRun::DagGone));
            }
        };
        let newest = self.dags.newest(&backfill.dag_id).filter(|_| backfill.new_version).cloned();
        let newest = newest.filter(|version| version.hash != machine.facts().dag_version);
        self.revive(now, machine, folder).await?;
        let by = || format!("backfill {}", backfill.id);
        if let Some(version) = &newest {
            // An ended run takes any version.
            let _ = self.runs.feed(now, run, Event::NewVersion { plan: version.plan.clone(), by: by() });
            self.repin(now, run, version).await?;
        }
        // Everything can be cleared.
        let _ = self.runs.feed(now, run, Event::Clear { selection: Selection::default(), by: by() });
        self.after_change(run);
        self.runs.outbox.batch.backfills.push(BackfillWrite::Adopt { run, conf });
        Ok(Ok(run))
    }

    fn log_backfill(&mut self, now: Timestamp, dag_id: &DagId, what: &str, who: &str, id: i64) {
        self.runs.outbox.batch.events.push(EventRow {
            at: now,
            dag_id: Some(dag_id.clone()),
            run_id: None,
            task: None,
            what: what.to_owned(),
            who: who.to_owned(),
            detail: Some(format!("backfill {id}")),
        });
    }
}

fn not_under_way(id: i64) -> Failed {
    Failed::Refused(format!("there is no backfill {id} under way; see 'windrose backfill list'"))
}
