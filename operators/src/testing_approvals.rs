//! People for tests of operators that ask them.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use windrose_core::approval::{Answer, Asked, Question};
use windrose_core::notify::Notifier;
use windrose_core::time::Timestamp;

use crate::approvals::Approvals;
use crate::error::TaskError;

/// One question and its answer, in memory.
#[derive(Debug, Default)]
pub struct TestApprovals {
    asked: Mutex<Option<Asked>>,
    times: Mutex<u32>,
}

impl TestApprovals {
    fn lock(&self) -> MutexGuard<'_, Option<Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was asked, and how it stands.
    #[must_use]
    pub fn look(&self) -> Option<Asked> {
        self.lock().clone()
    }

    /// How often something was asked.
    #[must_use]
    pub fn times(&self) -> u32 {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody answers, if anything was asked.
    pub fn answer(&self, chosen: &[&str], user: &str, at: Timestamp) {
        if let Some(asked) = self.lock().as_mut() {
            asked.answer = Some(Answer {
                chosen_options: chosen.iter().map(|option| (*option).to_owned()).collect(),
                params_input: asked.question.default_params(),
                user: Some(user.to_owned()),
                at,
            });
        }
    }
}

#[async_trait]
impl Approvals for TestApprovals {
    async fn asked(&self) -> Result<Option<Asked>, TaskError> {
        Ok(self.look())
    }

    async fn ask(&self, question: &Question, _: &[Notifier]) -> Result<(), TaskError> {
        *self.times.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        *self.lock() = Some(Asked { question: question.clone(), asked_at: Timestamp::from_micros(0), answer: None });
        Ok(())
    }

    async fn answered(&self) {
        std::future::pending::<()>().await;
    }

    async fn answer_by_default(&self, answer: &Answer) -> Result<(), TaskError> {
        if let Some(asked) = self.lock().as_mut() {
            let _ = asked.answer.get_or_insert_with(|| answer.clone());
        }
        Ok(())
    }
}
