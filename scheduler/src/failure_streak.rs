//! `max_consecutive_failed_runs`: a DAG whose last runs all failed is paused.

use windrose_core::ids::{DagId, RunKey};
use windrose_core::run_state::RunState;
use windrose_store::{DagWrite, StoreError};

use crate::drive::Driver;

impl Driver {
    /// A run has ended: if it failed, and so did as many before it as its DAG says, the DAG is paused. Runs count in the
    /// order of their dates, and only those that had begun.
    pub(crate) async fn pause_after_failures(&mut self, dag_id: &DagId, run: RunKey) -> Result<(), StoreError> {
        let limit = self.dags.newest(dag_id).map_or(0, |version| version.plan.dag().max_consecutive_failed_runs);
        let Some(ended) = self.runs.over.iter().find(|over| over.facts.key == run && over.failed).cloned() else {
            return Ok(());
        };
        if limit == 0 || self.paused.contains(dag_id) {
            return Ok(());
        }
        // Neither place knows all: what ends in this turn is not in the database yet.
        let just_now: Vec<_> = self.runs.over.iter().filter(|over| over.facts.dag_id == *dag_id).collect();
        let most = limit.saturating_add(u32::try_from(just_now.len()).unwrap_or(u32::MAX));
        let stored = self.store.last_ended_runs(dag_id, most).await?;
        let earlier = stored.iter().filter(|row| {
            let key = row.facts.key;
            !self.runs.live.contains_key(&key) && just_now.iter().all(|over| over.facts.key != key)
        });
        let mut runs: Vec<_> = earlier
            .map(|row| (row.facts.run_after, row.facts.key, row.state == RunState::Failed))
            .chain(just_now.iter().map(|over| (over.facts.run_after, over.facts.key, over.failed)))
            .collect();
        runs.sort_unstable_by(|a, b| b.cmp(a));
        runs.truncate(limit as usize);
        if runs.len() < limit as usize || runs.iter().any(|(_, _, failed)| !failed) {
            return Ok(());
        }
        let detail = format!(
            "the last {limit} runs failed (max_consecutive_failed_runs); find out why, then 'windrose dags unpause {dag_id}'"
        );
        tracing::warn!(%dag_id, detail, "the DAG is paused");
        self.set_paused(dag_id, true);
        self.runs.outbox.batch.dags.push(DagWrite::Pause(dag_id.clone()));
        let now = self.now();
        self.log_event(now, dag_id, &ended.facts.run_id, "paused", "scheduler", Some(detail));
        Ok(())
    }
}
