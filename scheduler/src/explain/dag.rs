//! Why a DAG gets no new run now.

use windrose_core::ids::{DagId, RunKey};
use windrose_core::time::Timestamp;
use windrose_core::timetable::Timetable;
use windrose_engine::backfill::TurnObstacle;

use super::{Why, listed};
use crate::commands::Failed;
use crate::drive::Driver;
use crate::runs::counts;

impl Driver {
    pub(super) async fn explain_dag(&mut self, now: Timestamp, dag_id: &DagId) -> Result<Vec<Why>, Failed> {
        let Some(row) = self.store.dags().await?.into_iter().find(|row| row.dag_id == *dag_id) else {
            return Err(Failed::Refused(format!("there is no DAG '{dag_id}'; see 'windrose dags list'")));
        };
        let mut why = Vec::new();
        why.extend(self.no_scheduler());
        let errors = self.store.import_errors().await?;
        if let Some(error) = errors.iter().find(|error| error.dag_id.as_ref() == Some(dag_id)) {
            let text = format!("its file {} has errors, so the version before them is used", error.file);
            why.push(Why::new("import_error", text, format!("mending the file: 'windrose dags check {}'", error.file)));
        }
        if row.absent_since.is_some() || self.dags.newest(dag_id).is_none() {
            let text = format!("no file holds it any more; it was in {}", row.file);
            why.push(Why::new("no_file", text, "a DAG file with this id"));
            return Ok(why);
        }
        if self.paused.contains(dag_id) {
            why.push(paused(dag_id));
        }
        why.extend(self.explain_schedule(now, dag_id));
        why.extend(self.explain_backfill(dag_id));
        why.extend(self.explain_deadlines_of_dag(dag_id).await?);
        Ok(why)
    }

    /// Without a scheduler nothing happens, whatever else may be in the way.
    pub(super) fn no_scheduler(&self) -> Option<Why> {
        self.only_looks.then(|| Why::new("no_scheduler", "no scheduler is running", "'windrose standalone'"))
    }

    fn explain_schedule(&self, now: Timestamp, dag_id: &DagId) -> Vec<Why> {
        let Some(version) = self.dags.newest(dag_id) else { return Vec::new() };
        let dag = version.plan.dag();
        let timetable = Timetable::new(&dag.schedule, dag.timezone);
        let has_dates = !matches!(timetable, Ok(Timetable::Null));
        if !has_dates && dag.schedule.assets().is_none() {
            return vec![Why::new("no_schedule", "it has no schedule, so its runs are made by hand", by_hand(dag_id))];
        }
        if let Some(problem) = self.creation.problem(dag_id) {
            let text = format!("its schedule cannot say when its next run is: {problem}");
            return vec![Why::new("schedule_fails", text, "a new version of its file")];
        }
        let mut active: Vec<RunKey> = self.runs.of_dag(dag_id);
        active.retain(|run| self.runs.facts(*run).is_some_and(|facts| counts(facts)));
        active.sort_unstable();
        let names: Vec<String> = active.iter().map(|run| self.name_of_run(*run, dag_id)).collect();
        if names.len() >= dag.max_active_runs as usize {
            let text = format!(
                "no further run is made: {} of {} runs (max_active_runs) have not ended: {}",
                names.len(),
                dag.max_active_runs,
                listed(&names)
            );
            return vec![Why::new("max_active_runs", text, "the end of one of them").by(names)];
        }
        let of_assets = dag.schedule.assets().is_some().then(|| self.explain_assets(dag_id));
        let of_dates = has_dates.then(|| self.explain_dates(now, dag_id));
        of_assets.into_iter().chain(of_dates).collect()
    }

    fn explain_dates(&self, now: Timestamp, dag_id: &DagId) -> Why {
        // On a copy: asking must not make runs.
        let mut creation = self.creation.clone();
        creation.set_paused(dag_id, false);
        let mut due = Vec::new();
        while due.is_empty() && creation.poll_timeout().is_some_and(|at| at <= now) {
            due = creation.due(now).into_iter().filter(|p| p.dag_id == *dag_id).map(|p| p.run).collect();
        }
        match (due.first(), creation.next_run(dag_id)) {
            (Some(run), _) => {
                let text = format!("its run {} is due", run.run_id());
                Why::new("due", text, self.what_makes_due_runs()).until(run.run_after)
            }
            (None, Some(next)) => {
                let text = format!("its next run, {}, is due at {}", next.run_id(), next.run_after);
                Why::new("not_due", text, "the clock").until(next.run_after)
            }
            (None, None) => Why::new("schedule_over", "its schedule has no further run", by_hand(dag_id)),
        }
    }

    /// A DAG that waits for assets, whatever else its schedule says.
    fn explain_assets(&self, dag_id: &DagId) -> Why {
        let queue = self.assets.triggers.queue(dag_id).into_iter().flatten();
        let queued: Vec<String> = queue.map(|(uri, at)| format!("{uri} since {at}")).collect();
        let there = if queued.is_empty() { String::new() } else { format!("; there is {}", listed(&queued)) };
        match self.assets.triggers.missing(dag_id) {
            Some(missing) => {
                let text = format!("it waits for events of {missing}{there}");
                let names = missing.names().0.iter().map(ToString::to_string).collect();
                Why::new("assets", text, "an event of a task with such an outlet, or 'windrose assets emit URI'")
                    .by(names)
            }
            None => Why::new("due", format!("its run for assets is due{there}"), self.what_makes_due_runs()),
        }
    }

    /// The dates of a backfill that wait for their turn.
    fn explain_backfill(&self, dag_id: &DagId) -> Option<Why> {
        let backfill = self.backfills.of_dag(dag_id).filter(|backfill| !backfill.pending.is_empty())?;
        let (id, waiting) = (backfill.row.id, backfill.pending.len());
        Some(match backfill.obstacle() {
            Some(TurnObstacle::Paused) => {
                let text = format!("backfill {id} is paused; {waiting} of its dates wait for their turn");
                Why::new("backfill_paused", text, format!("'windrose backfill resume {id}'"))
            }
            Some(TurnObstacle::RunsFull { max_active_runs }) => {
                let names: Vec<String> = backfill.runs.iter().map(|run| self.name_of_run(*run, dag_id)).collect();
                let text = format!(
                    "{waiting} dates of backfill {id} wait for their turn: {} of its {max_active_runs} runs at a time have \
                     not ended: {}",
                    names.len(),
                    listed(&names)
                );
                Why::new("backfill_full", text, "the end of one of them").by(names)
            }
            None => {
                let text = format!("{waiting} dates of backfill {id} are about to get their turn");
                Why::new("backfill_due", text, self.what_makes_due_runs())
            }
        })
    }

    const fn what_makes_due_runs(&self) -> &'static str {
        if self.only_looks { "a scheduler" } else { "unpausing it, or the scheduler's next turn" }
    }
}

fn by_hand(dag_id: &DagId) -> String {
    format!("'windrose dags trigger {dag_id}'")
}

pub(super) fn paused(dag_id: &DagId) -> Why {
    let text = format!("DAG '{dag_id}' is paused: it gets no runs, starts none, and dispatches nothing");
    Why::new("paused", text, format!("'windrose dags unpause {dag_id}'"))
}
