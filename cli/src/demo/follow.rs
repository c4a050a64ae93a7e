//! The demo's run, as the metadata database shows it while it goes on.

use std::time::Duration;

use anyhow::{Result, bail};
use windrose_store::{Page, RunFilter, RunRow, Store, TaskRow};

use crate::clock;
use crate::config::Config;
use crate::database;

use super::folder::DemoFolder;
use super::progress::Progress;

/// How often the database is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) struct Follow {
    store: Store,
    progress: Progress,
}

impl Follow {
    /// Opens the server's database beside the server.
    pub(super) async fn start(folder: &DemoFolder) -> Result<Self> {
        let config = Config { data: folder.data(), ..Config::default() };
        Ok(Self { store: database::open(&config).await?, progress: Progress::new() })
    }

    /// Shows the run until `done` says yes. A DAG file with an error has no run to wait for.
    pub(super) async fn until(&mut self, done: impl Fn(&RunRow, &[TaskRow]) -> bool) -> Result<(RunRow, Vec<TaskRow>)> {
        loop {
            if let Some(broken) = self.store.import_errors().await?.into_iter().next() {
                bail!("the pipeline cannot be run: {}", broken.message);
            }
            let newest = self.store.runs(&RunFilter::default(), Page { offset: 0, limit: 1 }).await?;
            if let Some(run) = newest.rows.into_iter().next() {
                let tasks = self.store.tasks(run.facts.key).await?;
                self.progress.show(&tasks, clock::now());
                if done(&run, &tasks) {
                    return Ok((run, tasks));
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Prints a line above the tasks.
    pub(super) fn say(&self, line: &str) {
        self.progress.say(line);
    }

    /// Leaves the tasks' lines as they are.
    pub(super) fn finish(&self) {
        self.progress.finish();
    }
}
