//! What people are to be told: rows of the turn's transaction, and after its commit work for the worker.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use windrose_core::claim::Claim;
use windrose_core::dag::Dag;
use windrose_core::ids::{AttemptId, TaskInstanceKey};
use windrose_core::notify::{NotificationClaim, Notifier, Occasion};
use windrose_core::run::RunFacts;
use windrose_core::time::Timestamp;
use windrose_engine::Effect;
use windrose_store::{NewNotification, NotificationRow, StoreError};

use crate::dag_set::Unusable;
use crate::drive::Driver;
use crate::outbox::Outbox;
use crate::runs::Live;

/// How many notifications of an earlier process are taken up again.
const AT_START: u32 = 10_000;

/// What a notification is about.
struct About {
    dag: Arc<Dag>,
    folder: PathBuf,
    run: Arc<RunFacts>,
    run_started_at: Timestamp,
    key: TaskInstanceKey,
    try_number: u32,
    now: Timestamp,
}

impl About {
    fn claim(self) -> Option<Claim> {
        Some(Claim {
            attempt: AttemptId(uuid::Uuid::now_v7().as_u128()),
            position: self.dag.position(self.key.task.as_str())?,
            key: self.key,
            mapped_at: None,
            dag: self.dag,
            dag_folder: self.folder,
            run: self.run,
            run_started_at: self.run_started_at,
            try_number: self.try_number,
            generation: 0,
            first_poke_at: None,
            pokes_before: 0,
            queued_at: self.now,
        })
    }
}

/// Makes a row and a claim of each notifier that the effect asks for.
pub(crate) fn take(outbox: &mut Outbox, live: &Live, now: Timestamp, effect: &Effect) {
    let dag = live.machine.plan().dag();
    let (key, of_task, occasion, cause) = match effect {
        Effect::Notify { key, try_number, occasion, cause } => (key.clone(), Some(*try_number), *occasion, cause),
        Effect::NotifyOfRun { key: Some(key), occasion, cause } => (key.clone(), None, *occasion, cause),
        _ => return,
    };
    let Some(position) = dag.position(key.task.as_str()) else { return };
    let notifiers = if of_task.is_some() { &dag.tasks[position].notifiers } else { &dag.notifiers };
    let run = live.machine.facts();
    let present = || live.machine.task_instance(&key).map_or(0, |task| task.columns.try_number);
    let try_number = of_task.unwrap_or_else(present);
    let facts = facts(run, of_task.map(|number| (&key, number)), occasion, cause, now);
    for notifier in notifiers.of(occasion) {
        let about = About {
            dag: Arc::clone(dag),
            folder: live.folder.clone(),
            run: Arc::clone(run),
            run_started_at: live.machine.started_at().unwrap_or(now),
            key: key.clone(),
            try_number,
            now,
        };
        let Some(claim) = about.claim() else { continue };
        let id = uuid::Uuid::now_v7().simple().to_string();
        outbox.batch.notifications.push(NewNotification {
            id: id.clone(),
            dag_id: run.dag_id.clone(),
            run: Some(run.key),
            task: Some((key.task.clone(), key.map_index)),
            reason: occasion.field().to_owned(),
            notifier: json!(notifier),
            facts: Value::Object(facts.clone()),
            created_at: now,
        });
        let notifier = notifier.clone();
        outbox.notifications.push(NotificationClaim {
            id,
            claim,
            notifier,
            facts: facts.clone(),
            tries: 0,
            due_at: now,
        });
    }
}

/// What templates can name, with a sentence for those who write none.
fn facts(
    run: &RunFacts,
    task: Option<(&TaskInstanceKey, u32)>,
    occasion: Occasion,
    cause: &str,
    now: Timestamp,
) -> Map<String, Value> {
    let what = match task {
        None => format!("Run {} of DAG {}", run.run_id, run.dag_id),
        Some((key, number)) => {
            let index = if key.map_index < 0 { String::new() } else { format!("[{}]", key.map_index) };
            format!("Task {}{index} of DAG {}, run {}, try {number}", key.task, run.dag_id, run.run_id)
        }
    };
    let happened = match occasion {
        Occasion::Success => "has succeeded.",
        Occasion::Failure => "has failed.",
        Occasion::Retry => "has failed and is tried again.",
        Occasion::Skipped => "was skipped.",
    };
    let message = format!("{what} {happened} {cause}");
    Map::from_iter([
        ("reason".to_owned(), json!(occasion.field())),
        ("cause".to_owned(), json!(cause)),
        ("message".to_owned(), json!(message.trim_end())),
        ("at".to_owned(), json!(now)),
        ("dag_id".to_owned(), json!(run.dag_id)),
        ("run_id".to_owned(), json!(run.run_id)),
        ("task_id".to_owned(), json!(task.map(|(key, _)| &key.task))),
        ("map_index".to_owned(), json!(task.map_or(-1, |(key, _)| key.map_index))),
        ("try_number".to_owned(), json!(task.map(|(_, number)| number))),
    ])
}

impl Driver {
    /// Hands the worker what an earlier process has not sent.
    pub(crate) async fn send_again(&mut self) -> Result<(), StoreError> {
        for row in self.store.waiting_notifications(AT_START).await? {
            let id = row.id.clone();
            match self.taken_up(row).await {
                Ok(Some(claim)) => drop(self.desk.notifications.send(claim)),
                Ok(None) => tracing::error!(id, "a notification cannot be sent: its run or its notifier is gone"),
                Err(Unusable::Store(error)) => return Err(error),
                Err(Unusable::Version(message)) => tracing::error!(id, message, "a notification cannot be sent"),
            }
        }
        Ok(())
    }

    async fn taken_up(&mut self, row: NotificationRow) -> Result<Option<NotificationClaim>, Unusable> {
        let NotificationRow { id, content, due_at, tries, .. } = row;
        let (Some(run), Some((task, map_index)), Some(due_at)) = (content.run, content.task, due_at) else {
            return Ok(None);
        };
        let notifier: Option<Notifier> = serde_json::from_value(content.notifier).ok();
        let run = self.store.run(run).await.map_err(Unusable::Store)?;
        let (Some(notifier), Some(run), Value::Object(facts)) = (notifier, run, content.facts) else { return Ok(None) };
        let version = self.dags.version(&run.facts.dag_id, &run.facts.dag_version, &self.store).await?;
        let about = About {
            dag: Arc::clone(version.plan.dag()),
            folder: self.dags.folder_of(&version),
            key: TaskInstanceKey { run: run.facts.key, task, map_index },
            run_started_at: run.started_at.unwrap_or(content.created_at),
            try_number: facts
                .get("try_number")
                .and_then(Value::as_u64)
                .and_then(|n| u32::try_from(n).ok())
                .unwrap_or(1),
            run: Arc::new(run.facts),
            now: content.created_at,
        };
        Ok(about.claim().map(|claim| NotificationClaim { id, claim, notifier, facts, tries, due_at }))
    }
}
