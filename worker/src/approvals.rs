//! Questions of an attempt to people: through the port, and woken by it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;
use windrose_core::approval::{Answer, Asked, Question};
use windrose_core::ids::AttemptId;
use windrose_core::notify::Notifier;
use windrose_operators::approvals::Approvals;
use windrose_operators::error::TaskError;

use crate::patience::patiently;
use crate::port::PortError;
use crate::services::AttemptServices;
use crate::worker::Shared;

/// Who waits for an answer.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<HashMap<AttemptId, Arc<Notify>>>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, HashMap<AttemptId, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forget(&self, attempt: AttemptId) {
        self.lock().remove(&attempt);
    }
}

/// Wakes attempts that have got an answer. Returns when the port is closed.
pub(crate) async fn wake_all(shared: &Arc<Shared>) {
    loop {
        match patiently("answered", &shared.stopped, || shared.port.answered()).await {
            Ok(attempt) => {
                if let Some(waits) = shared.waiting.lock().get(&attempt) {
                    waits.notify_one();
                }
            }
            Err(PortError::Closed | PortError::Unavailable(_)) => return,
        }
    }
}

#[async_trait]
impl Approvals for AttemptServices {
    async fn asked(&self) -> Result<Option<Asked>, TaskError> {
        // Before the look: an answer that comes after it must wake.
        self.waiting.lock().entry(self.claim.attempt).or_default();
        let call = || self.port.asked(&self.claim.key, self.claim.try_number);
        patiently("asked", &self.cancelled, call).await.map_err(|error| self.stopped(error))
    }

    async fn ask(&self, question: &Question, notifiers: &[Notifier]) -> Result<(), TaskError> {
        let call = || self.port.ask(self.claim.attempt, question, notifiers);
        let ack = patiently("ask", &self.cancelled, call).await.map_err(|error| self.stopped(error))?;
        self.acknowledged(ack)
    }

    async fn answered(&self) {
        let waits = Arc::clone(self.waiting.lock().entry(self.claim.attempt).or_default());
        waits.notified().await;
    }

    async fn answer_by_default(&self, answer: &Answer) -> Result<(), TaskError> {
        let call = || self.port.answer_by_default(&self.claim.key, self.claim.try_number, answer);
        patiently("answer_by_default", &self.cancelled, call).await.map_err(|error| self.stopped(error))
    }
}
