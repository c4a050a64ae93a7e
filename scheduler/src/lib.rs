//! The scheduler: the one loop that feeds the engine, commits what it decides, and only then tells anyone.
//!
//! [`drive`] is the loop. It owns all machines of running runs; the database holds what was committed, and a restart reads
//! it into the same machines. What happens inside the process reaches it through [`Handle`]; what people want reaches it
//! as rows (commands, paused flags, pools) and a wake-up.

mod approvals;
mod assets;
mod backfill;
mod change;
mod commands;
mod dag_reading;
mod dag_set;
mod deadlines;
mod drive;
mod error;
pub mod explain;
mod failure_streak;
mod handle;
mod intake;
mod local_bundles;
mod new_runs;
mod notices;
mod outbox;
mod overlap;
mod restore;
mod runs;
#[cfg(test)]
mod simulation;
mod sweep;
mod trigger;
mod turn;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use windrose_bundles::RemoteBundle;
use windrose_core::catalog::Catalog;
use windrose_core::dag_file::Defaults;
use windrose_core::ids::BundleName;
use windrose_core::time::Clock;
use windrose_store::Store;

pub use approvals::AnswerRequest;
pub use backfill::{BackfillPlan, BackfillRequest, PlannedDate, plan_backfill};
pub use change::{Action, Change, RunPlan, plan_change};
pub use commands::{Command, Failed};
pub use error::SchedulerError;
pub use explain::{Explanation, Subject};
pub use handle::{Cancellation, Handle, Stopped, Taken};
pub use trigger::ManualRun;

/// A bundle of DAG files.
pub enum BundleOptions {
    /// A folder, watched.
    Folder {
        /// Its name.
        name: BundleName,
        /// The folder.
        root: PathBuf,
    },
    /// Somebody has to be asked.
    Remote {
        /// Who.
        bundle: Box<dyn RemoteBundle>,
        /// Where that is, for people.
        location: String,
        /// How often.
        every: Duration,
    },
}

/// How a scheduler is to work.
pub struct Options {
    /// Where DAG files come from. Of two files with the same DAG id, the one in the earlier bundle counts at the first load.
    pub bundles: Vec<BundleOptions>,
    /// What DAG files are checked against.
    pub catalog: Arc<dyn Catalog>,
    /// What a DAG has if its file says nothing.
    pub defaults: Defaults,
    /// How many attempts may hold a slot at once, over all pools.
    pub parallelism: usize,
    /// The queues that have workers; `None` is all of them.
    pub queues: Option<BTreeSet<String>>,
    /// How often it looks for what nobody told it of.
    pub sweep_every: Duration,
    /// Counts what was found that way: zero in a healthy system.
    pub sweep_caught: Arc<AtomicU64>,
}

/// A scheduler that has loaded everything and is ready to run.
pub struct Scheduler {
    driver: drive::Driver,
}

impl Scheduler {
    /// Loads the DAG files and the runs that were under way, and makes the first decisions.
    ///
    /// The caller holds the database's standalone lock: attempts that the database says are running count as lost.
    ///
    /// # Errors
    /// If the folder cannot be read or the database refuses. A broken DAG file is no error here.
    pub async fn load(store: Store, clock: Arc<dyn Clock>, options: Options) -> Result<(Self, Handle), SchedulerError> {
        let (handle, desk) = handle::connect();
        let driver = drive::Driver::load(store, clock, options, desk).await?;
        Ok((Self { driver }, handle))
    }

    /// Schedules until it is told to stop.
    ///
    /// # Errors
    /// If the database refuses for good; while it is away the scheduler waits.
    pub async fn run(self, stop: CancellationToken) -> Result<(), SchedulerError> {
        self.driver.run(stop).await
    }
}

/// Says why something does not run, from the database alone: for when no scheduler is running. A scheduler that runs
/// answers [`Command::Explain`], from what it has in memory.
///
/// # Errors
/// If what is asked about does not exist, or the database refuses.
pub async fn explain_stored(
    store: Store,
    clock: Arc<dyn Clock>,
    options: Options,
    subject: &Subject,
) -> Result<Explanation, explain::ExplainError> {
    let now = clock.now();
    let (_handle, desk) = handle::connect();
    let mut driver = drive::Driver::load_to_look(store, clock, options, desk).await.map_err(|error| match error {
        SchedulerError::Store(error) => explain::ExplainError::Store(error),
        other => explain::ExplainError::Unknown(other.to_string()),
    })?;
    Ok(driver.explain(now, subject).await?)
}
