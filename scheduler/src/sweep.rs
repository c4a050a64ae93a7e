//! The sweep: a look, every so often, for what nobody told of, since a wake-up can be lost. It is the net, not the way
//! things are done: what it catches is counted, and the count is zero in a healthy system.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use windrose_store::Topic;

use crate::drive::Driver;
use crate::error::SchedulerError;
use crate::local_bundles::Watches;
use crate::turn::Work;

/// A wake-up that comes within this time after the sweep was not lost, only slower.
const LATE: Duration = Duration::from_secs(1);

/// What can be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    Topic(Topic),
    Files,
}

#[derive(Debug)]
struct Found {
    at: Instant,
    news: News,
    count: usize,
}

/// When to sweep, and what was found.
#[derive(Debug)]
pub(crate) struct Sweep {
    every: Duration,
    last: Instant,
    /// Found, and perhaps still told of.
    found: Vec<Found>,
    caught: Arc<AtomicU64>,
    /// A folder of DAG files was away, so the watch on it may watch nothing.
    pub(crate) watch_is_blind: bool,
}

impl Sweep {
    pub(crate) fn new(every: Duration, caught: Arc<AtomicU64>) -> Self {
        Self { every, last: Instant::now(), found: Vec::new(), caught, watch_is_blind: false }
    }

    /// When there is something to do next.
    pub(crate) fn next(&self) -> Instant {
        let late = self.found.first().map(|found| found.at + LATE);
        late.into_iter().chain([self.last + self.every]).min().unwrap_or(self.last)
    }

    /// A wake-up has come.
    pub(crate) fn told(&mut self, news: News) {
        self.found.retain(|found| found.news != news);
    }

    fn note(&mut self, news: News, count: usize) {
        if count > 0 {
            self.found.push(Found { at: Instant::now(), news, count });
        }
    }

    /// What nobody has told of meanwhile was caught.
    fn count_late(&mut self) {
        let late = self.found.iter().take_while(|found| found.at.elapsed() >= LATE).count();
        for Found { news, count, .. } in self.found.drain(..late) {
            let before = self.caught.fetch_add(count as u64, Ordering::Relaxed);
            tracing::warn!(?news, count, in_all = before + count as u64, "the sweep found what nobody told of");
        }
    }
}

impl Driver {
    /// Looks if it is time to; true if it looked.
    pub(crate) async fn sweep(&mut self, watches: &mut Watches, work: &mut Work) -> Result<bool, SchedulerError> {
        self.sweep.count_late();
        if self.sweep.last.elapsed() < self.sweep.every {
            return Ok(false);
        }
        for topic in [Topic::Dags, Topic::Settings, Topic::Commands] {
            let known = work.commands.len();
            let count = self.retrying_woken(topic, work).await?;
            // Those that a wake-up of this very moment told of.
            let told = if topic == Topic::Commands { known } else { 0 };
            self.sweep.note(News::Topic(topic), count.saturating_sub(told));
        }
        let changed = self.retrying_read_files().await?;
        self.sweep.note(News::Files, changed);
        if changed > 0 || self.sweep.watch_is_blind {
            self.watch_again(watches);
        }
        self.sweep.last = Instant::now();
        Ok(true)
    }

    fn watch_again(&mut self, watches: &mut Watches) {
        match Watches::new(&self.local) {
            Ok(new) => {
                *watches = new;
                self.sweep.watch_is_blind = false;
            }
            Err(error) => {
                self.sweep.watch_is_blind = true;
                tracing::error!(%error, "changes of DAG files are noticed late");
            }
        }
    }
}
