//! What a task may ask people. The worker provides it; tests bring their own.

use async_trait::async_trait;
use windrose_core::approval::{Answer, Asked, Question};
use windrose_core::notify::Notifier;

use crate::error::TaskError;

/// The question of one try, which may go on over several attempts.
#[async_trait]
pub trait Approvals: Send + Sync {
    /// What this try has asked, and how it stands.
    async fn asked(&self) -> Result<Option<Asked>, TaskError>;

    /// Asks, and tells people by these notifiers. It is durable when this returns.
    async fn ask(&self, question: &Question, notifiers: &[Notifier]) -> Result<(), TaskError>;

    /// Waits until there may be an answer. It can be lost, so the question is to be looked at now and then.
    async fn answered(&self);

    /// Time is up: this is the answer, unless there is another one by now. It is durable when this returns.
    async fn answer_by_default(&self, answer: &Answer) -> Result<(), TaskError>;
}
