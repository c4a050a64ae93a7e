//! Questions of tasks to people: kept and told with the turn, answered by a command, and the first answer counts.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use windrose_core::approval::{Answer, Asked, Question};
use windrose_core::ids::{AttemptId, DagId, RunId, TaskId};
use windrose_core::notify::Notifier;
use windrose_core::run::RunFacts;
use windrose_core::time::Timestamp;
use windrose_store::{ApprovalFilter, ApprovalRow, AskingTry, EventRow, NewQuestion};

use crate::commands::Failed;
use crate::drive::Driver;
use crate::explain::instance_name;
use crate::notices::{About, facts_of};
use crate::runs::Runs;

/// What a person answers to whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerRequest {
    /// The DAG.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// The task that asks.
    pub task_id: TaskId,
    /// Which of its mapped instances; −1 if it has none.
    pub map_index: i32,
    /// What is chosen.
    pub chosen_options: Vec<String>,
    /// What is filled in.
    #[serde(default)]
    pub params_input: Map<String, Value>,
}

impl Runs {
    /// An attempt asks people. False if it holds nothing any more.
    pub(crate) fn ask(&mut self, now: Timestamp, attempt: AttemptId, asks: &Question, notifiers: &[Notifier]) -> bool {
        let Some(key) = self.holder(attempt) else { return false };
        let Some(live) = self.live.get(&key.run) else { return false };
        let Some(task) = live.machine.task_instance(&key) else { return false };
        let (try_number, generation) = (task.columns.try_number, task.columns.generation);
        let run = live.machine.facts();
        let named = Some((key.task.clone(), key.map_index, try_number));
        let dag = live.machine.plan().dag();
        if let Some(about) = About::run(dag, live.folder.clone(), run, named, live.machine.started_at(), now) {
            let of = AskingTry { key: key.clone(), try_number };
            let facts = facts(run, &of, asks, now);
            for notifier in notifiers {
                about.notify(&mut self.outbox, Some(key.run), "asked", notifier, &facts);
            }
        }
        let question = asks.clone();
        let of = AskingTry { key, try_number };
        self.outbox.batch.questions.push(NewQuestion { of, generation, question, asked_at: now });
        true
    }
}

/// What templates can name, with a sentence for those who write none.
fn facts(run: &RunFacts, of: &AskingTry, asks: &Question, now: Timestamp) -> Map<String, Value> {
    let task = instance_name(&of.key.task, of.key.map_index);
    let until = asks.expires_at.map(|at| format!(" until {at}")).unwrap_or_default();
    let message = format!(
        "Task {task} of DAG {}, run {}, waits{until} for an answer to: {} ({}). Answer with: {}",
        run.dag_id,
        run.run_id,
        asks.subject,
        asks.options.join(", "),
        command(&run.dag_id, &run.run_id, &task)
    );
    let (about, asker) = ((&run.dag_id, Some(&run.run_id)), Some((&of.key, of.try_number)));
    let mut facts = facts_of(now, "asked", (&asks.subject, &message), about, asker);
    facts.extend([
        ("options".to_owned(), json!(asks.options)),
        ("body".to_owned(), json!(asks.body)),
        ("expires_at".to_owned(), json!(asks.expires_at)),
    ]);
    facts
}

/// What answers a question.
pub(crate) fn command(dag_id: &DagId, run_id: &RunId, task: &str) -> String {
    format!("windrose approvals answer {dag_id} {run_id} {task} OPTION")
}

impl Driver {
    /// The answer of a person, if the newest question of the task instance is open and it fits.
    pub(crate) async fn answer(&mut self, now: Timestamp, request: &AnswerRequest, who: &str) -> Result<Value, Failed> {
        let AnswerRequest { dag_id, run_id, task_id, map_index, .. } = request;
        let task = instance_name(task_id, *map_index);
        let run = self.find(dag_id, run_id).await?;
        let of_task = Some((task_id.clone(), *map_index));
        let filter = ApprovalFilter { run: Some(run), task: of_task, ..ApprovalFilter::default() };
        let newest = self.store.approvals(&filter, 1).await?.pop();
        let Some(ApprovalRow { of, mut asked, is_open, .. }) = newest else {
            return Err(Failed::Refused(format!(
                "task '{task}' of run '{run_id}' has asked nothing; see 'windrose approvals list --dag {dag_id}'"
            )));
        };
        // Answers of this turn are not in the database yet.
        let earlier = self.runs.outbox.batch.answers.iter().find(|(answered, _)| *answered == of);
        asked.answer = asked.answer.or_else(|| earlier.map(|(_, answer)| answer.clone()));
        if asked.answer.is_none() && !is_open {
            return Err(Failed::Refused(format!(
                "task '{task}' of run '{run_id}' does not wait for an answer any more; its try has ended"
            )));
        }
        let answer = asked
            .answered(&request.chosen_options, &request.params_input, who, now)
            .map_err(|unfit| refused(&task, run_id, &asked, &unfit.to_string()))?;
        let row = self.runs.live.get(&run).and_then(|live| live.machine.task_instance(&of.key));
        self.runs.outbox.answered.extend(row.and_then(|row| row.state.attempt()));
        self.runs.outbox.batch.events.push(EventRow {
            at: now,
            dag_id: Some(dag_id.clone()),
            run_id: Some(run_id.clone()),
            task: Some((task_id.clone(), *map_index)),
            what: "answered".to_owned(),
            who: who.to_owned(),
            detail: Some(answer.chosen_options.join(", ")),
        });
        let result = as_result(&answer);
        self.runs.outbox.batch.answers.push((of, answer));
        Ok(result)
    }
}

fn refused(task: &str, run_id: &RunId, asked: &Asked, why: &str) -> Failed {
    let subject = &asked.question.subject;
    Failed::Refused(format!("the answer to '{subject}' of task '{task}' of run '{run_id}' was not taken: {why}"))
}

fn as_result(answer: &Answer) -> Value {
    json!({ "chosen_options": answer.chosen_options, "params_input": answer.params_input, "user": answer.user, "at": answer.at })
}
