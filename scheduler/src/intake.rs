//! Taking in what bundles bring: new and changed DAG files become versions, durably, before anything is scheduled by them.

use windrose_bundles::{BundleFolder, Delivery, FolderError, News};
use windrose_core::ids::BundleName;
use windrose_store::DagChange;

use crate::dag_set::{Arrival, Intake};
use crate::drive::Driver;
use crate::error::SchedulerError;

/// For more DAGs than this the database is asked once, not once for each.
const MANY: usize = 64;

impl Driver {
    /// Takes in all bundles at the start: folders as they are, the others as they were when they last answered. Nothing is
    /// scheduled by them yet: [`Driver::restore`] does that for all DAGs.
    pub(crate) async fn read_bundles(&mut self) -> Result<(), SchedulerError> {
        let now = self.now();
        self.store.set_bundles(&self.bundle_list, now).await?;
        self.read_files().await?;
        let mut remote = std::mem::take(&mut self.remote);
        for (bundle, _) in &mut remote {
            match bundle.cached().await {
                Some(news) => drop(self.take_in(bundle.name(), news).await?),
                None => self.dags.read_stored_bundle(bundle.name(), &self.store).await?,
            }
        }
        self.remote = remote;
        Ok(())
    }

    /// How many files of the folders had changed.
    pub(crate) async fn retrying_read_files(&mut self) -> Result<usize, SchedulerError> {
        match self.read_files().await {
            // The folder may be away for a moment, as when git replaces it; the DAGs stay as they are.
            Err(SchedulerError::Folder(error @ FolderError::List { .. })) => {
                tracing::error!(%error, "DAG files cannot be read");
                self.sweep.watch_is_blind = true;
                Ok(0)
            }
            Err(error) => Err(error),
            Ok((changed, arrivals)) => {
                self.schedule(&arrivals).await?;
                Ok(changed)
            }
        }
    }

    /// Takes in what changed in the folders: how many DAG files, and which DAGs are to be scheduled.
    async fn read_files(&mut self) -> Result<(usize, Vec<Arrival>), SchedulerError> {
        let (mut changed, mut arrivals) = (0, Vec::new());
        for at in 0..self.local.len() {
            let name = self.local[at].name.clone();
            let empty = BundleFolder::new(self.local[at].folder.root().to_owned());
            let mut folder = std::mem::replace(&mut self.local[at].folder, empty);
            let named = self.dags.named_by(&name);
            let scanned = tokio::task::spawn_blocking(move || {
                folder.watch_named(named);
                let news = folder.scan();
                (folder, news)
            });
            let (folder, news) = match scanned.await {
                Ok(scanned) => scanned,
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            };
            self.local[at].folder = folder;
            let news = news?;
            changed += news.changes.len();
            arrivals.extend(self.take_in(&name, news).await?);
        }
        Ok((changed, arrivals))
    }

    /// Takes in a bundle's news and what they set free; which DAGs are to be scheduled.
    async fn take_in(&mut self, bundle: &BundleName, news: News) -> Result<Vec<Arrival>, SchedulerError> {
        let mut next = Some((bundle.clone(), news));
        let mut arrivals = Vec::new();
        while let Some((bundle, news)) = next {
            let now = self.now();
            let before = self.dags.ids();
            let intake = self.dags.take_in(&bundle, news, now).await;
            if intake.is_worth_keeping() {
                arrivals.extend(self.retrying_keep(&intake).await?);
            }
            for gone in before.difference(&self.dags.ids()) {
                self.creation.remove_dag(gone);
                self.watch.changed_dags.insert(gone.clone());
                self.assets.triggers.remove_dag(gone);
            }
            next = self.dags.freed();
        }
        Ok(arrivals)
    }

    async fn retrying_keep(&mut self, intake: &Intake) -> Result<Vec<Arrival>, SchedulerError> {
        loop {
            match self.dags.keep(intake, &self.store, self.now()).await {
                Err(error) if error.is_retryable() => self.pause_after(&error).await,
                outcome => return Ok(outcome?),
            }
        }
    }

    async fn schedule(&mut self, arrivals: &[Arrival]) -> Result<(), SchedulerError> {
        let is_many = arrivals.len() > MANY && self.last_intervals.is_none();
        if is_many {
            self.read_last_intervals().await?;
        }
        for arrival in arrivals {
            let DagChange { paused, passed_over, .. } = arrival.change;
            self.schedule_dag(&arrival.dag_id, paused, passed_over).await?;
        }
        if is_many {
            self.last_intervals = None;
        }
        Ok(())
    }

    /// What came of asking a remote bundle.
    pub(crate) async fn retrying_delivery(&mut self, delivery: Delivery) -> Result<(), SchedulerError> {
        let Delivery { bundle, outcome } = delivery;
        let trouble = match outcome {
            Ok(Some(news)) => {
                if let Some(commit) = &news.commit {
                    tracing::info!(%bundle, commit = commit.short(), author = commit.author, "taking in a commit");
                }
                let arrivals = self.take_in(&bundle, news).await?;
                self.schedule(&arrivals).await?;
                None
            }
            Ok(None) => None,
            Err(trouble) => {
                tracing::error!(%bundle, %trouble, "a bundle cannot be refreshed; what it brought before stays");
                Some(trouble.to_string())
            }
        };
        loop {
            match self.store.bundle_checked(&bundle, trouble.as_deref(), self.now()).await {
                Err(error) if error.is_retryable() => self.pause_after(&error).await,
                outcome => return Ok(outcome?),
            }
        }
    }

    /// Somebody may have gone back to an older version of a DAG; how many of them.
    pub(crate) async fn refresh_versions(&mut self) -> Result<usize, SchedulerError> {
        let mut changed = 0;
        for dag in self.store.dags().await? {
            let loaded = self.dags.newest(&dag.dag_id).is_some_and(|version| version.hash != dag.version);
            if loaded && self.dags.refresh(&dag.dag_id, &self.store).await? {
                self.schedule_dag(&dag.dag_id, dag.paused, dag.passed_over).await?;
                changed += 1;
            }
        }
        Ok(changed)
    }
}
