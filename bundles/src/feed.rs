//! Asking remote bundles for news, each in a task of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use windrose_core::ids::BundleName;

use crate::news::News;

/// How many deliveries may wait to be taken in.
const BACKLOG: usize = 16;

/// Why a bundle cannot be refreshed, as a sentence that tells a person what to do. What it delivered before stays in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

/// A bundle that somebody has to ask.
#[async_trait]
pub trait RemoteBundle: Send + Sync {
    /// Its name.
    fn name(&self) -> &BundleName;

    /// What it last fetched, without asking anybody: for the time until it answers. `None` if it never did.
    async fn cached(&mut self) -> Option<News>;

    /// Asks for what is new; `None` if nothing is. The first answer after [`RemoteBundle::cached`] gave nothing holds all.
    ///
    /// # Errors
    /// See [`Trouble`].
    async fn refresh(&mut self) -> Result<Option<News>, Trouble>;
}

/// What came of asking a bundle.
#[derive(Debug)]
pub struct Delivery {
    /// Which.
    pub bundle: BundleName,
    /// `None`: nothing has changed.
    pub outcome: Result<Option<News>, Trouble>,
}

/// The remote bundles at work. Drop it to stop.
#[derive(Debug)]
pub struct Feed {
    deliveries: mpsc::Receiver<Delivery>,
    pokes: Vec<(BundleName, Arc<Notify>)>,
    _tasks: JoinSet<()>,
}

impl Feed {
    /// Starts to ask these bundles, each as often as it says, and at once.
    #[must_use]
    pub fn start(bundles: Vec<(Box<dyn RemoteBundle>, Duration)>) -> Self {
        let (sender, deliveries) = mpsc::channel(BACKLOG);
        let (mut pokes, mut tasks) = (Vec::new(), JoinSet::new());
        for (bundle, every) in bundles {
            let poke = Arc::new(Notify::new());
            pokes.push((bundle.name().clone(), Arc::clone(&poke)));
            tasks.spawn(ask(bundle, every, poke, sender.clone()));
        }
        Self { deliveries, pokes, _tasks: tasks }
    }

    /// The next delivery. Waits for ever if there are no remote bundles. Cancel safe.
    pub async fn next(&mut self) -> Delivery {
        match self.deliveries.recv().await {
            Some(delivery) => delivery,
            None => std::future::pending().await,
        }
    }

    /// Has a bundle asked now, or all of them.
    pub fn poke(&self, bundle: Option<&BundleName>) {
        for (name, poke) in &self.pokes {
            if bundle.is_none_or(|wanted| wanted == name) {
                // One permit is kept: a poke while it is being asked means once more.
                poke.notify_one();
            }
        }
    }
}

async fn ask(mut bundle: Box<dyn RemoteBundle>, every: Duration, poke: Arc<Notify>, sender: mpsc::Sender<Delivery>) {
    loop {
        let outcome = bundle.refresh().await;
        let delivery = Delivery { bundle: bundle.name().clone(), outcome };
        if sender.send(delivery).await.is_err() {
            return;
        }
        tokio::select! {
            () = poke.notified() => {}
            () = tokio::time::sleep(every) => {}
        }
    }
}
