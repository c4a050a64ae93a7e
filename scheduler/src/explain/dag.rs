//! Why a DAG gets no new run now.

use windrose_core::ids::{DagId, RunKey};
use windrose_core::time::Timestamp;
use windrose_core::timetable::Timetable;

use super::{Why, listed};
use crate::commands::Failed;
use crate::drive::Driver;

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
        why.extend(self.explain_deadlines_of_dag(dag_id).await?);
        Ok(why)
    }

    /// Without a scheduler nothing happens, whatever else may be in the way.
    pub(super) fn no_scheduler(&self) -> Option<Why> {
        self.only_looks.then(|| Why::new("no_scheduler", "no scheduler is running", "'windrose standalone'"))
    }

    fn explain_schedule(&self, now: Timestamp, dag_id: &DagId) -> Option<Why> {
        let dag = self.dags.newest(dag_id)?.plan.dag();
        let timetable = Timetable::new(&dag.schedule, dag.timezone);
        let by_hand = format!("'windrose dags trigger {dag_id}'");
        if matches!(timetable, Ok(Timetable::Null)) {
            return Some(Why::new("no_schedule", "it has no schedule, so its runs are made by hand", by_hand));
        }
        if let Some(problem) = self.creation.problem(dag_id) {
            let text = format!("its schedule cannot say when its next run is: {problem}");
            return Some(Why::new("schedule_fails", text, "a new version of its file"));
        }
        let mut active: Vec<RunKey> = self.runs.of_dag(dag_id);
        active.sort_unstable();
        let names: Vec<String> = active.iter().map(|run| self.name_of_run(*run, dag_id)).collect();
        if names.len() >= dag.max_active_runs as usize {
            let text = format!(
                "no further run is made: {} of {} runs (max_active_runs) have not ended: {}",
                names.len(),
                dag.max_active_runs,
                listed(&names)
            );
            return Some(Why::new("max_active_runs", text, "the end of one of them").by(names));
        }
        // On a copy: asking must not make runs.
        let mut creation = self.creation.clone();
        creation.set_paused(dag_id, false);
        let mut due = Vec::new();
        while due.is_empty() && creation.poll_timeout().is_some_and(|at| at <= now) {
            due = creation.due(now).into_iter().filter(|p| p.dag_id == *dag_id).map(|p| p.run).collect();
        }
        match (due.first(), creation.next_run(dag_id)) {
            (Some(run), _) => {
                let wakes = if self.only_looks { "a scheduler" } else { "unpausing it, or the scheduler's next turn" };
                Some(Why::new("due", format!("its run {} is due", run.run_id()), wakes).until(run.run_after))
            }
            (None, Some(next)) => {
                let text = format!("its next run, {}, is due at {}", next.run_id(), next.run_after);
                Some(Why::new("not_due", text, "the clock").until(next.run_after))
            }
            (None, None) => Some(Why::new("schedule_over", "its schedule has no further run", by_hand)),
        }
    }
}

pub(super) fn paused(dag_id: &DagId) -> Why {
    let text = format!("DAG '{dag_id}' is paused: it gets no runs, starts none, and dispatches nothing");
    Why::new("paused", text, format!("'windrose dags unpause {dag_id}'"))
}
