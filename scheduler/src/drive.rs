//! The one loop: wait, collect what has arrived, decide, commit, act.
//!
//! Nothing leaves the process before the commit. A crash anywhere is repaired by loading the rows again.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use windrose_bundles::{Delivery, Feed, RemoteBundle};
use windrose_core::ids::{BundleName, DagId, RunId, RunKey};
use windrose_core::run::DataInterval;
use windrose_core::time::{Clock, Timestamp};
use windrose_engine::run_creation::RunCreation;
use windrose_store::{Listener, PoolRow, Store, StoreError, Topic};

use crate::assets::Assets;
use crate::backfill::Backfills;
use crate::dag_reading::Reading;
use crate::dag_set::DagSet;
use crate::deadlines::Watch;
use crate::error::SchedulerError;
use crate::handle::{Desk, Message};
use crate::local_bundles::{LocalBundle, Watches};
use crate::runs::{Runs, Survivors};
use crate::sweep::{News, Sweep};
use crate::turn::{Resuming, Work};
use crate::{BundleOptions, Options};

/// How many messages one batch takes at most: a commit of more would make the first of them wait too long.
const BATCH: usize = 2_000;

/// How long the loop sleeps at most, for the case that the clock is set forward.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// How long it may take until people see that an attempt has begun. Most attempts that end sooner cost no commit for
/// their beginning.
const LINGER: Duration = Duration::from_millis(20);

/// The longest pause between two tries to reach the database.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(crate) struct Driver {
    pub(crate) store: Store,
    clock: Arc<dyn Clock>,
    pub(crate) desk: Desk,
    pub(crate) dags: DagSet,
    pub(crate) local: Vec<LocalBundle>,
    /// Until the loop begins to ask them.
    pub(crate) remote: Vec<(Box<dyn RemoteBundle>, Duration)>,
    /// The bundles by name, with where they are.
    pub(crate) bundle_list: Vec<(BundleName, String)>,
    pub(crate) parallelism: usize,
    /// The queues that have workers; `None` is all.
    pub(crate) queues: Option<BTreeSet<String>>,
    pub(crate) creation: RunCreation,
    pub(crate) runs: Runs,
    pub(crate) paused: HashSet<DagId>,
    /// What the newest automated run of each DAG stands for, while many DAGs are taken in.
    pub(crate) last_intervals: Option<HashMap<DagId, DataInterval>>,
    pub(crate) backfills: Backfills,
    pub(crate) watch: Watch,
    /// When a waiting run may start for the sake of its own date.
    pub(crate) next_start: Option<Timestamp>,
    pub(crate) resuming: Vec<Resuming>,
    pub(crate) last_key: RunKey,
    /// Tries in a row in which the database was away.
    pub(crate) failures: u32,
    /// New runs that could not be made, because their id or their logical date is taken. For the batch under way.
    pub(crate) existing: HashSet<(DagId, RunId)>,
    pub(crate) sweep: Sweep,
    pub(crate) assets: Assets,
    /// As they were last read.
    pools: Vec<PoolRow>,
    /// While rows are read again.
    pub(crate) survivors: Option<Survivors>,
    /// It is no scheduler: it has read the rows to answer a question, and writes nothing.
    pub(crate) only_looks: bool,
    /// The answer of the next commit is lost on its way.
    #[cfg(test)]
    pub(crate) loses_answer: bool,
}

/// What woke the loop.
enum Wake {
    /// `None`: nobody holds a handle any more.
    Message(Option<Message>),
    Topic(Topic),
    Files,
    Delivery(Delivery),
    Time,
    Stop,
}

impl Driver {
    pub(crate) async fn load(
        store: Store,
        clock: Arc<dyn Clock>,
        options: Options,
        desk: Desk,
    ) -> Result<Self, SchedulerError> {
        let mut driver = Self::new(store, clock, options, desk);
        driver.read_last_intervals().await?;
        driver.read_bundles().await?;
        driver.restore().await?;
        driver.last_intervals = None;
        driver.send_again().await?;
        Ok(driver)
    }

    /// One that has read what is stored, DAG versions included, to answer questions. It takes no attempt away from
    /// anybody, and nothing of what it decides is ever written.
    pub(crate) async fn load_to_look(
        store: Store,
        clock: Arc<dyn Clock>,
        options: Options,
        desk: Desk,
    ) -> Result<Self, SchedulerError> {
        let mut driver = Self { only_looks: true, ..Self::new(store, clock, options, desk) };
        driver.dags.read_stored(&driver.store).await?;
        driver.restore().await?;
        Ok(driver)
    }

    fn new(store: Store, clock: Arc<dyn Clock>, options: Options, desk: Desk) -> Self {
        let paused_at_creation = options.defaults.dags_are_paused_at_creation;
        let reading = Reading { catalog: options.catalog, defaults: Arc::new(options.defaults), paused_at_creation };
        let (mut local, mut remote, mut bundle_list) = (Vec::new(), Vec::new(), Vec::new());
        for bundle in options.bundles {
            match bundle {
                BundleOptions::Folder { name, root } => {
                    bundle_list.push((name.clone(), root.display().to_string()));
                    local.push(LocalBundle::new(name, root));
                }
                BundleOptions::Remote { bundle, location, every } => {
                    bundle_list.push((bundle.name().clone(), location));
                    remote.push((bundle, every));
                }
            }
        }
        Self {
            store,
            clock,
            desk,
            dags: DagSet::new(reading),
            local,
            remote,
            bundle_list,
            parallelism: options.parallelism,
            queues: options.queues,
            creation: RunCreation::default(),
            runs: Runs::default(),
            paused: HashSet::new(),
            last_intervals: None,
            backfills: Backfills::default(),
            watch: Watch::default(),
            next_start: None,
            resuming: Vec::new(),
            last_key: RunKey(0),
            failures: 0,
            existing: HashSet::new(),
            sweep: Sweep::new(options.sweep_every, options.sweep_caught),
            assets: Assets::default(),
            pools: Vec::new(),
            survivors: None,
            only_looks: false,
            #[cfg(test)]
            loses_answer: false,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) -> Result<(), SchedulerError> {
        let mut watches = Watches::new(&self.local)?;
        let mut feed = Feed::start(std::mem::take(&mut self.remote));
        let mut listener = self.store.listen().await?;
        // What happened before the watch and the listener began.
        self.retrying_read_files().await?;
        let mut work = Work { commands: self.store.pending_commands().await?, ..Work::default() };
        self.turn(std::mem::take(&mut work)).await?;
        // Until when what nobody waits for may wait.
        let mut lingers = None;
        loop {
            let mut news = match self.wait(&mut watches, &mut feed, &mut listener, &stop, lingers).await {
                Wake::Message(Some(message)) => {
                    work.messages.push(message);
                    false
                }
                Wake::Topic(topic) => {
                    self.sweep.told(News::Topic(topic));
                    if topic == Topic::Bundles {
                        feed.poke(None);
                    }
                    self.retrying_woken(topic, &mut work).await?;
                    true
                }
                Wake::Files => {
                    self.sweep.told(News::Files);
                    self.retrying_read_files().await?;
                    true
                }
                Wake::Delivery(delivery) => {
                    self.retrying_delivery(delivery).await?;
                    true
                }
                Wake::Time => true,
                Wake::Message(None) | Wake::Stop => return Ok(()),
            };
            // Here and not only when nothing else happens: a busy loop has to be swept too.
            news |= self.sweep(&mut watches, &mut work).await?;
            while work.messages.len() < BATCH
                && let Ok(message) = self.desk.inbox.try_recv()
            {
                work.messages.push(message);
            }
            if news || work.is_pressing() || work.messages.len() >= BATCH {
                self.turn(std::mem::take(&mut work)).await?;
                lingers = None;
            } else {
                lingers.get_or_insert_with(|| Instant::now() + LINGER);
            }
        }
    }

    async fn wait(
        &mut self,
        watches: &mut Watches,
        feed: &mut Feed,
        listener: &mut Listener,
        stop: &CancellationToken,
        lingers: Option<Instant>,
    ) -> Wake {
        let now = self.now();
        let deadline = self.watch.deadlines.poll_timeout();
        let due = [self.runs.next_timer(), self.creation.poll_timeout(), self.next_start(now), deadline];
        let sleep = due.into_iter().flatten().min().map_or(LONGEST_SLEEP, |at| at.since(now).min(LONGEST_SLEEP));
        let sweep = self.sweep.next();
        let until = (Instant::now() + sleep).min(sweep).min(lingers.unwrap_or(sweep));
        tokio::select! {
            biased;
            () = stop.cancelled() => Wake::Stop,
            message = self.desk.inbox.recv() => Wake::Message(message),
            topic = listener.next() => Wake::Topic(topic),
            () = watches.changed() => Wake::Files,
            delivery = feed.next() => Wake::Delivery(delivery),
            () = tokio::time::sleep_until(until) => Wake::Time,
        }
    }

    /// How much had changed.
    pub(crate) async fn retrying_woken(&mut self, topic: Topic, work: &mut Work) -> Result<usize, SchedulerError> {
        loop {
            match self.woken(topic, work).await {
                Err(SchedulerError::Store(error)) if error.is_retryable() => self.pause_after(&error).await,
                outcome => return outcome,
            }
        }
    }

    /// Somebody may have paused or unpaused DAGs; how many of those that are loaded.
    pub(crate) async fn refresh_paused(&mut self) -> Result<usize, SchedulerError> {
        let mut changed = 0;
        for dag in self.store.dags().await? {
            let other = self.set_paused(&dag.dag_id, dag.paused);
            changed += usize::from(other && self.dags.newest(&dag.dag_id).is_some());
        }
        Ok(changed)
    }

    /// Somebody may have changed pools; whether anybody has, as a number.
    pub(crate) async fn refresh_pools(&mut self) -> Result<usize, SchedulerError> {
        let pools = self.store.pools().await?;
        let changed = usize::from(pools != self.pools);
        self.pools.clone_from(&pools);
        for pool in &pools {
            self.runs.admission.set_pool(&pool.name, i64::from(pool.slots), pool.include_deferred);
        }
        let names: Vec<_> = pools.into_iter().map(|pool| pool.name).collect();
        self.runs.admission.retain_pools(|name| names.iter().any(|n| n == name));
        Ok(changed)
    }

    /// Waits a little longer each time, with jitter, so that many processes do not come back at once.
    pub(crate) async fn pause_after(&mut self, error: &StoreError) {
        self.failures = self.failures.saturating_add(1);
        let most = Duration::from_millis(50 << self.failures.min(7)).min(LONGEST_PAUSE);
        let pause = most.mul_f64(rand::rng().random_range(0.5..1.0));
        tracing::warn!(%error, pause_ms = pause.as_millis(), "waiting for the metadata database");
        tokio::time::sleep(pause).await;
    }
}
