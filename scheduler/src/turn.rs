//! One turn of the loop: everything that has arrived is decided on, and becomes one transaction.

use tokio::sync::oneshot;
use windrose_core::ids::AttemptId;
use windrose_core::outcome::RenderedFields;
use windrose_core::time::Timestamp;
use windrose_engine::Event;
use windrose_store::{CommandRow, RenderedRow, StoreError, Topic};

use crate::dag_set::Unusable;
use crate::drive::Driver;
use crate::error::SchedulerError;
use crate::handle::{Desk, Message, Taken};
use crate::runs::Runs;

/// How often one turn starts runs in place of runs that have ended meanwhile; the rest comes in the next turn.
const ROUNDS: usize = 50;

/// How often in a row a batch is decided anew without a pause.
const STALE_AT_ONCE: u32 = 3;

/// What has arrived since the last turn.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) messages: Vec<Message>,
    pub(crate) commands: Vec<CommandRow>,
}

impl Work {
    /// Somebody waits for what becomes of it.
    pub(crate) fn is_pressing(&self) -> bool {
        !self.commands.is_empty() || !self.messages.iter().all(Message::is_patient)
    }
}

/// What a message is answered after the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Now(Taken),
    /// A deferred attempt that wants its slots again is answered when admission has given them.
    WhenResumed(AttemptId),
}

/// An acknowledgement that waits for admission.
#[derive(Debug)]
pub(crate) struct Resuming {
    pub(crate) attempt: AttemptId,
    pub(crate) ack: oneshot::Sender<Taken>,
}

impl Driver {
    /// Decides on all of it and commits. Whatever happens, each message is decided on exactly once by what is committed:
    /// if rows turn out to have been changed by someone else, memory is thrown away and the same work is decided anew.
    pub(crate) async fn turn(&mut self, mut work: Work) -> Result<(), SchedulerError> {
        loop {
            let answers = match self.decide(&work).await {
                Ok(answers) => answers,
                Err(error) => {
                    self.start_over(&error, &mut work).await?;
                    continue;
                }
            };
            match self.commit().await {
                Ok(()) => {
                    self.runs.publish(&mut self.resuming, &self.desk, work, &answers);
                    return Ok(());
                }
                Err(error) => self.start_over(&error, &mut work).await?,
            }
        }
    }

    /// Memory and database may differ now: load the rows again, once the database answers.
    async fn start_over(&mut self, error: &StoreError, work: &mut Work) -> Result<(), SchedulerError> {
        tracing::warn!(%error, "deciding this batch anew from the database");
        let may_pass = matches!(error, StoreError::Stale { .. } | StoreError::RunExists { .. }) || error.is_retryable();
        if !may_pass {
            return Err(SchedulerError::Store(error.clone()));
        }
        let learnt = match error {
            StoreError::RunExists { dag_id, run_id } => self.existing.insert((dag_id.clone(), run_id.clone())),
            _ => false,
        };
        // One that comes again and again is not somebody else's change; it must not keep the processor busy.
        if !learnt {
            self.failures = self.failures.saturating_add(1);
            if self.failures > STALE_AT_ONCE {
                self.pause_after(error).await;
            }
        }
        loop {
            match self.read_again(work).await {
                Ok(()) => return Ok(()),
                Err(SchedulerError::Store(error)) if error.is_retryable() => self.pause_after(&error).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// A commit whose answer was lost may have happened: then its commands are done.
    async fn read_again(&mut self, work: &mut Work) -> Result<(), SchedulerError> {
        self.restore().await?;
        if !work.commands.is_empty() {
            let pending = self.store.pending_commands().await?;
            work.commands.retain(|command| pending.iter().any(|row| row.id == command.id));
        }
        Ok(())
    }

    async fn decide(&mut self, work: &Work) -> Result<Vec<Answer>, StoreError> {
        let now = self.now();
        let answers = work.messages.iter().map(|message| self.runs.hear(now, message)).collect();
        self.runs.fire_timers(now);
        self.carry_out(now, &work.commands).await?;
        for _ in 0..ROUNDS {
            self.note_ended().await?;
            self.create_due_runs(now);
            self.note_asset_events(now);
            self.create_asset_runs(now);
            self.advance_backfills(now).await?;
            self.start_waiting_runs(now).await?;
            // A run without work ends as soon as it starts, and makes room for the next one.
            if self.runs.ended.is_empty() {
                break;
            }
        }
        self.admit(now);
        self.tell_of_deadlines(now).await?;
        self.answer_questions(now, &work.commands).await?;
        Ok(answers)
    }

    fn admit(&mut self, now: Timestamp) {
        let mut next = || AttemptId(uuid::Uuid::now_v7().as_u128());
        self.runs.admit(now, self.parallelism, &mut next);
    }

    /// One transaction. While the database is away everybody waits, and nothing is told to anyone.
    async fn commit(&mut self) -> Result<(), StoreError> {
        if self.runs.outbox.batch.is_empty() {
            return Ok(());
        }
        loop {
            match self.store.commit(&self.runs.outbox.batch).await {
                #[cfg(test)]
                Ok(()) if std::mem::take(&mut self.loses_answer) => {}
                Ok(()) => {
                    self.failures = 0;
                    self.existing.clear();
                    return Ok(());
                }
                Err(error) if error.is_retryable() => self.pause_after(&error).await,
                Err(error) => return Err(error),
            }
        }
    }

    /// Somebody outside the process may have changed something; how much there is.
    pub(crate) async fn woken(&mut self, topic: Topic, work: &mut Work) -> Result<usize, SchedulerError> {
        match topic {
            Topic::Commands => {
                work.commands = self.store.pending_commands().await?;
                Ok(work.commands.len())
            }
            Topic::Dags => Ok(self.refresh_paused().await? + self.refresh_versions().await?),
            Topic::Settings => self.refresh_pools().await,
            Topic::Runs | Topic::Bundles => Ok(0),
        }
    }
}

impl Runs {
    /// Takes in what an attempt says.
    pub(crate) fn hear(&mut self, now: Timestamp, message: &Message) -> Answer {
        let taken = |done: bool| Answer::Now(if done { Taken::Yes } else { Taken::Fenced });
        match message {
            Message::Started(attempt) => taken(self.holder(*attempt).is_some_and(|key| {
                let event = Event::Started { key: key.clone(), attempt: *attempt };
                self.feed(now, key.run, event).is_ok()
            })),
            Message::Rendered { attempt, rendered } => taken(self.holder(*attempt).is_some_and(|key| {
                let RenderedFields { fields, map_index_name } = rendered.clone();
                let row = RenderedRow { key, fields, map_index_name, rendered_at: now };
                self.outbox.batch.rendered.push(row);
                true
            })),
            Message::Deferred { attempt, deferred: false, .. } => {
                if self.set_deferred(now, *attempt, false) {
                    Answer::WhenResumed(*attempt)
                } else {
                    Answer::Now(Taken::Fenced)
                }
            }
            Message::Deferred { attempt, .. } => taken(self.set_deferred(now, *attempt, true)),
            Message::Ask { attempt, question, notifiers, .. } => taken(self.ask(now, *attempt, question, notifiers)),
            Message::Report { report, .. } => taken(self.holder(report.attempt).is_some_and(|key| {
                let event = Event::Ended { key: key.clone(), report: report.as_ref().clone() };
                self.feed(now, key.run, event).is_ok()
            })),
        }
    }

    /// The commit is done: answer the messages, send out the attempts.
    pub(crate) fn publish(&mut self, resuming: &mut Vec<Resuming>, desk: &Desk, work: Work, answers: &[Answer]) {
        let outbox = self.committed();
        for (message, answer) in work.messages.into_iter().zip(answers) {
            let (Message::Report { ack, .. } | Message::Deferred { ack, .. } | Message::Ask { ack, .. }) = message
            else {
                continue;
            };
            match answer {
                // Whoever asked may have gone away.
                Answer::Now(taken) => drop(ack.send(*taken)),
                Answer::WhenResumed(attempt) => resuming.push(Resuming { attempt: *attempt, ack }),
            }
        }
        for attempt in std::mem::take(&mut self.resumed) {
            if let Some(at) = resuming.iter().position(|r| r.attempt == attempt) {
                let _ = resuming.swap_remove(at).ack.send(Taken::Yes);
            }
        }
        // An attempt that lost its task instance while it waited for slots.
        resuming.retain(|r| self.holder(r.attempt).is_some());
        for claim in outbox.claims {
            let _ = desk.claims.send(claim);
        }
        for notification in outbox.notifications {
            let _ = desk.notifications.send(notification);
        }
        for attempt in outbox.answered {
            let _ = desk.answered.send(attempt);
        }
        for cancellation in outbox.cancellations {
            let _ = desk.cancellations.send(cancellation);
        }
    }
}

impl From<Unusable> for SchedulerError {
    fn from(error: Unusable) -> Self {
        match error {
            Unusable::Store(error) => Self::Store(error),
            Unusable::Version(message) => Self::Store(StoreError::Corrupt { message }),
        }
    }
}
