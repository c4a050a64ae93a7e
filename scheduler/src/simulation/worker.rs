//! Workers as a model: each attempt does what the dice say, one step at a time, and tells the scheduler through the same
//! channel as ever.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;
use windrose_core::cause::Cause;
use windrose_core::claim::Claim;
use windrose_core::outcome::{Outcome, Report, Routing, XCom};
use windrose_core::time::Timestamp;

use super::dice::Dice;
use crate::handle::{Message, Taken};

/// Where an attempt is.
#[derive(Debug)]
pub(super) enum Stage {
    Claimed,
    Working,
    /// It has asked to give its slots back, or for new ones, and waits for the answer.
    Asking {
        to_defer: bool,
        ack: oneshot::Receiver<Taken>,
    },
    Deferred,
    /// It has said its last word, and waits to hear that it is durable.
    Reported {
        report: Box<Report>,
        ack: oneshot::Receiver<Taken>,
    },
    Over,
}

/// One attempt in a worker.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) claim: Claim,
    pub(super) stage: Stage,
}

/// What came of a step.
pub(super) enum Step {
    /// It waits for an answer.
    Waits,
    /// It did something, and perhaps wants to tell of it.
    Did(Option<Message>),
    /// Its last word was answered.
    Acknowledged(Box<Report>, Taken),
}

impl Worker {
    /// `save` saves a checkpoint, and says whether the attempt still holds its task instance.
    pub(super) fn step(&mut self, dice: &mut Dice, now: Timestamp, save: &mut dyn FnMut(&Claim) -> bool) -> Step {
        let attempt = self.claim.attempt;
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Claimed => {
                self.stage = Stage::Working;
                let remote = dice.percent(30);
                if remote && !save(&self.claim) {
                    self.stage = Stage::Over;
                }
                Step::Did(dice.percent(80).then_some(Message::Started(attempt)))
            }
            Stage::Working if dice.percent(15) => Step::Did(Some(self.ask(true))),
            Stage::Deferred => Step::Did(Some(self.ask(false))),
            Stage::Working => {
                let report = Box::new(self.report(dice, now));
                let (ack, answer) = oneshot::channel();
                self.stage = Stage::Reported { report: report.clone(), ack: answer };
                Step::Did(Some(Message::Report { report, ack }))
            }
            Stage::Asking { to_defer, mut ack } => match ack.try_recv() {
                Ok(Taken::Yes) => {
                    self.stage = if to_defer { Stage::Deferred } else { Stage::Working };
                    Step::Did(None)
                }
                // The attempt is not wanted any more.
                Ok(Taken::Fenced) | Err(TryRecvError::Closed) => Step::Did(None),
                Err(TryRecvError::Empty) => {
                    self.stage = Stage::Asking { to_defer, ack };
                    Step::Waits
                }
            },
            Stage::Reported { report, mut ack } => match ack.try_recv() {
                Ok(taken) => Step::Acknowledged(report, taken),
                Err(TryRecvError::Closed) => Step::Did(None),
                Err(TryRecvError::Empty) => {
                    self.stage = Stage::Reported { report, ack };
                    Step::Waits
                }
            },
            Stage::Over => Step::Waits,
        }
    }

    fn ask(&mut self, to_defer: bool) -> Message {
        let (ack, answer) = oneshot::channel();
        self.stage = Stage::Asking { to_defer, ack: answer };
        Message::Deferred { attempt: self.claim.attempt, deferred: to_defer, ack }
    }

    fn report(&self, dice: &mut Dice, now: Timestamp) -> Report {
        let failed = |retry| Outcome::Failed { cause: Cause::Failed { message: "no".to_owned() }, retry };
        let any_task = |dice: &mut Dice| self.claim.dag.tasks[dice.below(self.claim.dag.tasks.len())].id.clone();
        let (outcome, routing) = match dice.below(20) {
            0..=3 => (failed(true), None),
            4 => (failed(false), None),
            5 => (Outcome::Skipped { reason: "so".to_owned() }, None),
            6 => (Outcome::Reschedule { at: now.plus(Duration::from_secs(dice.below(90) as u64)) }, None),
            7 => (Outcome::Success, Some(Routing::SkipDownstream { ignore_trigger_rules: dice.percent(50) })),
            8 => (Outcome::Success, Some(Routing::Follow { ids: vec![any_task(dice)] })),
            _ => (Outcome::Success, None),
        };
        let value = serde_json::Value::Array(vec![serde_json::Value::from(1); dice.below(3)]);
        let xcoms = vec![XCom { key: "return_value".to_owned(), value }];
        let assets = Vec::new();
        Report { attempt: self.claim.attempt, outcome, xcoms, routing, assets, started_at: now, ended_at: now }
    }
}
