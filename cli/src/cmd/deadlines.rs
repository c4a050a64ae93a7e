//! `windrose dags deadlines`

use std::sync::Arc;

use anyhow::Result;
use windrose_core::time::Timestamp;
use windrose_scheduler::explain::{DeadlineState, deadlines_stored};

use crate::clock::SystemClock;
use crate::cmd::{Session, explain};
use crate::output::{self, Row};

impl Row for DeadlineState {
    const HEADS: &'static [&'static str] = &["dag", "deadline", "run", "counted from", "due", "missed"];

    fn cells(&self) -> Vec<String> {
        let time = |at: Option<Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
        vec![
            self.dag_id.to_string(),
            self.deadline.clone(),
            self.run_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            time(self.counted_from),
            time(self.due_at),
            time(self.missed_at),
        ]
    }
}

pub(crate) async fn run(session: &Session, dag_id: Option<&str>) -> Result<()> {
    let store = session.store().await?;
    let dag_id = dag_id.map(Into::into);
    let clock = Arc::new(SystemClock);
    let states = deadlines_stored(store, clock, explain::options(session)?, dag_id.as_ref()).await?;
    output::list(&states, session.json)
}
