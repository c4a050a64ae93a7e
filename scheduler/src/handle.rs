//! How the rest of the process talks to the scheduler: a cheap handle, which owns nothing of it.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};
use windrose_core::approval::Question;
use windrose_core::claim::Claim;
use windrose_core::ids::AttemptId;
use windrose_core::notify::{NotificationClaim, Notifier};
use windrose_core::outcome::{RenderedFields, Report};

/// What became of something an attempt said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is durable.
    Yes,
    /// Another attempt holds the task instance, or none; nothing was changed.
    Fenced,
}

/// The scheduler has stopped, so nothing can be told to it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the scheduler has stopped; start Windrose again")]
pub struct Stopped;

/// What reaches the scheduler from inside the process. Ordering holds within this one channel.
#[derive(Debug)]
pub(crate) enum Message {
    /// An attempt has begun.
    Started(AttemptId),
    /// What an attempt's templates became, without secrets.
    Rendered { attempt: AttemptId, rendered: RenderedFields },
    /// An attempt gives its slot back, or goes on.
    Deferred { attempt: AttemptId, deferred: bool, ack: oneshot::Sender<Taken> },
    /// An attempt asks people, and has them told.
    Ask { attempt: AttemptId, question: Box<Question>, notifiers: Vec<Notifier>, ack: oneshot::Sender<Taken> },
    /// An attempt's last word.
    Report { report: Box<Report>, ack: oneshot::Sender<Taken> },
}

impl Message {
    /// Nobody waits for it: it may be committed together with what comes next.
    pub(crate) const fn is_patient(&self) -> bool {
        matches!(self, Self::Started(_) | Self::Rendered { .. })
    }
}

/// An attempt that is to stop, and who or what wants that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancellation {
    /// Which.
    pub attempt: AttemptId,
    /// Who or what.
    pub by: String,
}

/// The worker's end of the scheduler in one process.
#[derive(Debug, Clone)]
pub struct Handle {
    inbox: mpsc::UnboundedSender<Message>,
    pub(crate) claims: Arc<Mutex<mpsc::UnboundedReceiver<Claim>>>,
    pub(crate) cancellations: Arc<Mutex<mpsc::UnboundedReceiver<Cancellation>>>,
    notifications: Arc<Mutex<mpsc::UnboundedReceiver<NotificationClaim>>>,
    answered: Arc<Mutex<mpsc::UnboundedReceiver<AttemptId>>>,
}

/// The scheduler's end.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) inbox: mpsc::UnboundedReceiver<Message>,
    pub(crate) claims: mpsc::UnboundedSender<Claim>,
    pub(crate) cancellations: mpsc::UnboundedSender<Cancellation>,
    pub(crate) notifications: mpsc::UnboundedSender<NotificationClaim>,
    /// Attempts whose question has an answer.
    pub(crate) answered: mpsc::UnboundedSender<AttemptId>,
}

/// Both ends. The channels have no bound: what can be in them is bounded by the attempts alive, and those by admission.
pub(crate) fn connect() -> (Handle, Desk) {
    let (to_inbox, inbox) = mpsc::unbounded_channel();
    let (claims, from_claims) = mpsc::unbounded_channel();
    let (cancellations, from_cancellations) = mpsc::unbounded_channel();
    let (notifications, from_notifications) = mpsc::unbounded_channel();
    let (answered, from_answered) = mpsc::unbounded_channel();
    let handle = Handle {
        inbox: to_inbox,
        claims: Arc::new(Mutex::new(from_claims)),
        cancellations: Arc::new(Mutex::new(from_cancellations)),
        notifications: Arc::new(Mutex::new(from_notifications)),
        answered: Arc::new(Mutex::new(from_answered)),
    };
    (handle, Desk { inbox, claims, cancellations, notifications, answered })
}

impl Handle {
    /// Says anything, as a worker of a simulation does.
    #[cfg(test)]
    pub(crate) fn tell(&self, message: Message) {
        let _ = self.inbox.send(message);
    }

    /// Waits for the next attempt. Cancel safe.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn next_claim(&self) -> Result<Claim, Stopped> {
        self.claims.lock().await.recv().await.ok_or(Stopped)
    }

    /// Waits for the next attempt that is to stop. Cancel safe.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn next_cancellation(&self) -> Result<Cancellation, Stopped> {
        self.cancellations.lock().await.recv().await.ok_or(Stopped)
    }

    /// Waits for the next notification that is to be sent. Cancel safe.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn next_notification(&self) -> Result<NotificationClaim, Stopped> {
        self.notifications.lock().await.recv().await.ok_or(Stopped)
    }

    /// Waits for the next attempt whose question has been answered. Cancel safe.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn next_answered(&self) -> Result<AttemptId, Stopped> {
        self.answered.lock().await.recv().await.ok_or(Stopped)
    }

    /// The attempt has begun.
    pub fn started(&self, attempt: AttemptId) {
        // If the scheduler has stopped, the attempt learns that with its report.
        let _ = self.inbox.send(Message::Started(attempt));
    }

    /// What the attempt's templates became, without secrets.
    pub fn rendered(&self, attempt: AttemptId, rendered: RenderedFields) {
        // If the scheduler has stopped, nobody will look at them.
        let _ = self.inbox.send(Message::Rendered { attempt, rendered });
    }

    /// The attempt gives its slot back, or goes on. Returns when that is durable.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn deferred(&self, attempt: AttemptId, deferred: bool) -> Result<Taken, Stopped> {
        let (ack, answer) = oneshot::channel();
        self.inbox.send(Message::Deferred { attempt, deferred, ack }).map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// The attempt asks people, and has them told. Returns when that is durable.
    ///
    /// # Errors
    /// [`Stopped`].
    pub async fn ask(
        &self,
        attempt: AttemptId,
        question: Question,
        notifiers: Vec<Notifier>,
    ) -> Result<Taken, Stopped> {
        let (ack, answer) = oneshot::channel();
        let message = Message::Ask { attempt, question: Box::new(question), notifiers, ack };
        self.inbox.send(message).map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// The attempt's last word. Returns when it is durable.
    ///
    /// # Errors
    /// [`Stopped`]: it is not durable, and the attempt counts as lost at the next start.
    pub async fn report(&self, report: Report) -> Result<Taken, Stopped> {
        let (ack, answer) = oneshot::channel();
        self.inbox.send(Message::Report { report: Box::new(report), ack }).map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }
}
