//! Runs that people start.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use windrose_core::ids::{DagId, RunId};
use windrose_core::params::check_conf;
use windrose_core::run::RunFacts;
use windrose_core::run_state::RunType;
use windrose_core::time::Timestamp;
use windrose_core::timetable::Timetable;

use crate::commands::Failed;
use crate::drive::Driver;

/// A run as a person wants it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManualRun {
    /// The DAG.
    pub dag_id: DagId,
    /// The run's id, unique within the DAG.
    pub run_id: RunId,
    /// The instant it stands for; if it is not given, `run_after` or else the next free instant.
    #[serde(default)]
    pub logical_date: Option<Timestamp>,
    /// Not before this instant.
    #[serde(default)]
    pub run_after: Option<Timestamp>,
    /// Parameters.
    #[serde(default)]
    pub conf: Map<String, Value>,
    /// A word for whoever looks at it later.
    #[serde(default)]
    pub note: Option<String>,
}

impl Driver {
    /// Makes the run, if its parameters fit and nothing stands in its place.
    pub(crate) async fn trigger(&mut self, now: Timestamp, wanted: &ManualRun, who: &str) -> Result<(), Failed> {
        let ManualRun { dag_id, run_id, .. } = wanted;
        let Some(version) = self.dags.newest(dag_id).cloned() else {
            return Err(Failed::Refused(format!("there is no DAG '{dag_id}'; see 'windrose dags list'")));
        };
        let waiting = self.runs.waiting.values().any(|w| w.facts.dag_id == *dag_id && w.facts.run_id == *run_id);
        if waiting || self.store.find_run(dag_id, run_id).await?.is_some() {
            return Err(Failed::Refused(format!("DAG '{dag_id}' already has a run '{run_id}'; choose another run id")));
        }
        let dag = version.plan.dag();
        check_conf(dag, &wanted.conf).map_err(|refused| Failed::Refused(refused.to_string()))?;
        let date = self.free_date(now, wanted)?;
        let data_interval = Timetable::new(&dag.schedule, dag.timezone)
            .and_then(|timetable| timetable.manual_interval(date))
            .map_err(|error| Failed::Refused(error.to_string()))?;
        let facts = RunFacts {
            key: self.next_run_key(now),
            dag_id: dag_id.clone(),
            run_id: run_id.clone(),
            run_type: RunType::Manual,
            logical_date: Some(date),
            data_interval,
            run_after: wanted.run_after.unwrap_or(date.min(now)),
            conf: wanted.conf.clone(),
            dag_version: version.hash.clone(),
            triggered_by: who.to_owned(),
        };
        self.runs.outbox.batch.notes.extend(wanted.note.clone().map(|note| (facts.key, note)));
        self.create_run(now, facts, &version);
        Ok(())
    }

    /// The logical date of a new run: no two runs of a DAG have the same. If nobody asked for one, it is the next free
    /// instant.
    fn free_date(&self, now: Timestamp, wanted: &ManualRun) -> Result<Timestamp, Failed> {
        let ManualRun { dag_id, run_id, .. } = wanted;
        let living = self.runs.live.values().map(|live| live.machine.facts().as_ref());
        let waiting = self.runs.waiting.values().map(|waiting| waiting.facts.as_ref());
        let dates: BTreeSet<_> =
            living.chain(waiting).filter(|run| run.dag_id == *dag_id).filter_map(|run| run.logical_date).collect();
        let asked_for = wanted.logical_date.or(wanted.run_after);
        let mut date = asked_for.unwrap_or(now);
        while asked_for.is_none() && dates.contains(&date) {
            date = date.plus(Duration::from_micros(1));
        }
        if dates.contains(&date) || self.existing.contains(&(dag_id.clone(), run_id.clone())) {
            return Err(Failed::Refused(format!(
                "DAG '{dag_id}' already has a run for {date}; choose another logical date, or clear that run"
            )));
        }
        Ok(date)
    }
}
