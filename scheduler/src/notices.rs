//! What people are to be told: rows of the turn's transaction, and after its commit work for the worker.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use windrose_core::claim::Claim;
use windrose_core::dag::Dag;
use windrose_core::ids::{AttemptId, DagId, RunId, RunKey, TaskId, TaskInstanceKey};
use windrose_core::notify::{NotificationClaim, Notifier, Occasion};
use windrose_core::run::RunFacts;
use windrose_core::run_state::RunType;
use windrose_core::time::Timestamp;
use windrose_engine::Effect;
use windrose_store::{NewNotification, NotificationRow, StoreError};

use crate::dag_set::Unusable;
use crate::drive::Driver;
use crate::outbox::Outbox;
use crate::runs::Live;

/// How many notifications of an earlier process are taken up again.
const AT_START: u32 = 10_000;

/// The run id where there is no run: logs of notifications are kept under it.
const NO_RUN: &str = "no_run";

/// What a notification is about: the task instance whose names its templates have.
#[derive(Clone)]
pub(crate) struct About {
    dag: Arc<Dag>,
    folder: PathBuf,
    run: Arc<RunFacts>,
    run_started_at: Timestamp,
    key: TaskInstanceKey,
    position: usize,
    try_number: u32,
    now: Timestamp,
}

impl About {
    /// A run; `task` is a task instance of it with its try number, or else the DAG's first is taken. None if there is none.
    pub(crate) fn run(
        dag: &Arc<Dag>,
        folder: PathBuf,
        run: &Arc<RunFacts>,
        task: Option<(TaskId, i32, u32)>,
        started_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Self> {
        let (task, map_index, try_number) = task.or_else(|| Some((dag.tasks.first()?.id.clone(), -1, 0)))?;
        Some(Self {
            position: dag.position(task.as_str())?,
            dag: Arc::clone(dag),
            folder,
            run: Arc::clone(run),
            run_started_at: started_at.unwrap_or(now),
            key: TaskInstanceKey { run: run.key, task, map_index },
            try_number,
            now,
        })
    }

    /// A DAG as a whole: the names are those of a run without dates.
    pub(crate) fn dag(dag: &Arc<Dag>, folder: PathBuf, now: Timestamp) -> Option<Self> {
        let run = RunFacts {
            key: RunKey(0),
            dag_id: dag.dag_id.clone(),
            run_id: NO_RUN.into(),
            run_type: RunType::Manual,
            logical_date: None,
            data_interval: None,
            run_after: now,
            conf: Map::new(),
            dag_version: String::new(),
            triggered_by: "deadline".to_owned(),
        };
        Self::run(dag, folder, &Arc::new(run), None, None, now)
    }

    fn claim(&self) -> Claim {
        Claim {
            attempt: AttemptId(uuid::Uuid::now_v7().as_u128()),
            position: self.position,
            key: self.key.clone(),
            mapped_at: None,
            dag: Arc::clone(&self.dag),
            dag_folder: self.folder.clone(),
            run: Arc::clone(&self.run),
            run_started_at: self.run_started_at,
            try_number: self.try_number,
            generation: 0,
            first_poke_at: None,
            pokes_before: 0,
            queued_at: self.now,
        }
    }

    /// Makes a row and a claim. `run` is what the row says it is about.
    pub(crate) fn notify(
        &self,
        outbox: &mut Outbox,
        run: Option<RunKey>,
        reason: &str,
        notifier: &Notifier,
        facts: &Map<String, Value>,
    ) {
        let id = uuid::Uuid::now_v7().simple().to_string();
        outbox.batch.notifications.push(NewNotification {
            id: id.clone(),
            dag_id: self.run.dag_id.clone(),
            run,
            task: run.map(|_| (self.key.task.clone(), self.key.map_index)),
            reason: reason.to_owned(),
            notifier: json!(notifier),
            facts: Value::Object(facts.clone()),
            created_at: self.now,
        });
        outbox.notifications.push(NotificationClaim {
            id,
            claim: self.claim(),
            notifier: notifier.clone(),
            facts: facts.clone(),
            tries: 0,
            due_at: self.now,
        });
    }
}

/// Makes a row and a claim of each notifier that the effect asks for.
pub(crate) fn take(outbox: &mut Outbox, live: &Live, now: Timestamp, effect: &Effect) {
    let dag = live.machine.plan().dag();
    let (key, of_task, occasion, cause) = match effect {
        Effect::Notify { key, try_number, occasion, cause } => (key, Some(*try_number), *occasion, cause),
        Effect::NotifyOfRun { key: Some(key), occasion, cause } => (key, None, *occasion, cause),
        _ => return,
    };
    let run = live.machine.facts();
    let present = || live.machine.task_instance(key).map_or(0, |task| task.columns.try_number);
    let task = (key.task.clone(), key.map_index, of_task.unwrap_or_else(present));
    let about = About::run(dag, live.folder.clone(), run, Some(task), live.machine.started_at(), now);
    let Some(about) = about else { return };
    let notifiers = if of_task.is_some() { &dag.tasks[about.position].notifiers } else { &dag.notifiers };
    let facts = facts(run, of_task.map(|number| (key, number)), occasion, cause, now);
    for notifier in notifiers.of(occasion) {
        about.notify(outbox, Some(run.key), occasion.field(), notifier, &facts);
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
    let about = (&run.dag_id, Some(&run.run_id));
    facts_of(now, occasion.field(), (cause, message.trim_end()), about, task)
}

/// The names that every notification has: why and how it is told, about which run and which try of a task instance.
pub(crate) fn facts_of(
    now: Timestamp,
    reason: &str,
    (cause, message): (&str, &str),
    (dag_id, run_id): (&DagId, Option<&RunId>),
    task: Option<(&TaskInstanceKey, u32)>,
) -> Map<String, Value> {
    Map::from_iter([
        ("reason".to_owned(), json!(reason)),
        ("cause".to_owned(), json!(cause)),
        ("message".to_owned(), json!(message)),
        ("at".to_owned(), json!(now)),
        ("dag_id".to_owned(), json!(dag_id)),
        ("run_id".to_owned(), json!(run_id)),
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
        let notifier: Option<Notifier> = serde_json::from_value(content.notifier).ok();
        let (Some(due_at), Some(notifier), Value::Object(facts)) = (due_at, notifier, content.facts) else {
            return Ok(None);
        };
        let about = match (content.run, content.task) {
            (Some(run), Some((task, map_index))) => {
                let Some(run) = self.store.run(run).await.map_err(Unusable::Store)? else { return Ok(None) };
                let version = self.dags.version(&run.facts.dag_id, &run.facts.dag_version, &self.store).await?;
                let number = facts.get("try_number").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
                let folder = version.folder();
                let task = Some((task, map_index, number.unwrap_or(1)));
                let facts = Arc::new(run.facts);
                About::run(version.plan.dag(), folder, &facts, task, run.started_at, content.created_at)
            }
            _ => self
                .dags
                .newest(&content.dag_id)
                .and_then(|version| About::dag(version.plan.dag(), version.folder(), content.created_at)),
        };
        Ok(about.map(|about| NotificationClaim { id, claim: about.claim(), notifier, facts, tries, due_at }))
    }
}
