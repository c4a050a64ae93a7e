//! Notifications: sent apart from attempts, each as often as it takes, at least once.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use indexmap::IndexMap;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use windrose_core::notify::NotificationClaim;
use windrose_operators::context::{LogLevel, TaskContext, TaskServices};
use windrose_operators::error::TaskError;
use windrose_operators::notifiers::{add_default_json, add_default_texts, find_notifier};

use crate::attempt::services_of;
use crate::patience::patiently;
use crate::port::Sending;
use crate::prepare::task_info;
use crate::render::render_notifier;
use crate::version_folders::Place;
use crate::worker::Shared;

/// How many are sent at once.
const AT_ONCE: usize = 16;

/// How long sending one may take.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The pause after the first failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Then it is given up, after about ten hours.
const MOST_TRIES: u32 = 20;

/// Returns when the port is closed.
pub(crate) async fn send_all(shared: &Arc<Shared>, sending: &TaskTracker) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Ok(claim) = patiently("notification", &shared.stopped, || shared.port.notification()).await {
        let (shared, places) = (Arc::clone(shared), Arc::clone(&places));
        sending.spawn(async move {
            let stopped = shared.stopped.clone();
            tokio::select! {
                () = send(&shared, &places, claim) => {}
                // It waits in the database and is taken up at the next start.
                () = stopped.cancelled() => {}
            }
        });
    }
}

async fn send(shared: &Arc<Shared>, places: &Semaphore, mut claim: NotificationClaim) {
    loop {
        let now = shared.options.clock.now();
        tokio::time::sleep(claim.due_at.since(now)).await;
        let Ok(place) = places.acquire().await else { return };
        let trying = AssertUnwindSafe(tokio::time::timeout(TIMEOUT, send_once(shared, &claim))).catch_unwind();
        let error = match trying.await {
            Ok(Ok(Ok(()))) => None,
            Ok(Ok(Err(error))) => Some(error),
            Ok(Err(_)) => Some(format!("it took longer than {} s", TIMEOUT.as_secs())),
            Err(_) => Some("the notifier panicked; please report this".to_owned()),
        };
        drop(place);
        let now = shared.options.clock.now();
        let Some(error) = error else {
            tell(shared, &claim, Sending::Done).await;
            return;
        };
        claim.tries = claim.tries.saturating_add(1);
        let pause = FIRST_PAUSE.saturating_mul(1 << claim.tries.saturating_sub(1).min(16)).min(LONGEST_PAUSE);
        let next = (claim.tries < MOST_TRIES).then(|| now.plus(pause));
        tracing::warn!(id = claim.id, notifier = claim.notifier.notifier, error, ?next, "a notification was not sent");
        tell(shared, &claim, Sending::Failed { error, next }).await;
        match next {
            Some(next) => claim.due_at = next,
            None => return,
        }
    }
}

async fn tell(shared: &Shared, claim: &NotificationClaim, sending: Sending) {
    let call = || shared.port.notified(&claim.id, sending.clone());
    if let Err(error) = patiently("notified", &shared.stopped, call).await {
        tracing::warn!(id = claim.id, %error, "a notification may be sent once more");
    }
}

async fn send_once(shared: &Arc<Shared>, claim: &NotificationClaim) -> Result<(), String> {
    let name = claim.notifier.notifier.as_str();
    let entry = find_notifier(name).ok_or_else(|| format!("there is no notifier '{name}' in this Windrose"))?;
    let services = services_of(shared, Arc::new(claim.claim.clone()), Some(claim.facts.clone()));
    let mut parameters = claim.notifier.parameters.clone();
    add_default_texts(name, &mut parameters);
    let outcome = async {
        let mut parameters = render_notifier(&services, parameters).await?;
        add_default_json(name, &mut parameters, &claim.facts);
        let runnable = entry.build(parameters).map_err(TaskError::failed)?;
        let info = task_info(&claim.claim, Place::of(&claim.claim), services.now(), IndexMap::new(), Value::Null);
        let ctx = TaskContext {
            info: Arc::new(info),
            cancelled: services.cancelled.clone(),
            services: Arc::clone(&services) as Arc<dyn TaskServices>,
        };
        runnable.execute(&ctx).await
    }
    .await;
    let outcome = outcome.map(drop).map_err(|error| services.masker.mask(&error.to_string()).into_owned());
    match &outcome {
        Ok(()) => services.say(LogLevel::Info, &format!("Sent by {name}: {}.", claim.facts["reason"])),
        Err(error) => services.say(LogLevel::Error, &format!("Not sent by {name}: {error}")),
    }
    services.log.flush().await;
    outcome
}
