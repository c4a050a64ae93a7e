//! Questions that tasks ask people, and their answers. The first answer counts.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;
use windrose_core::approval::{Answer, Asked, Question};
use windrose_core::ids::{DagId, RunId, RunKey, TaskId, TaskInstanceKey};
use windrose_core::time::Timestamp;

use crate::Store;
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;

/// A try of a task instance that asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AskingTry {
    /// The task instance.
    pub key: TaskInstanceKey,
    /// Its try.
    pub try_number: u32,
}

/// A question to keep. One that was asked in the same try before stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct NewQuestion {
    /// Who asks.
    pub of: AskingTry,
    /// How often the task instance was cleared before.
    pub generation: u32,
    /// What.
    pub question: Question,
    /// Now.
    pub asked_at: Timestamp,
}

/// A question with its run, as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct ApprovalRow {
    /// The DAG.
    pub dag_id: DagId,
    /// The run.
    pub run_id: RunId,
    /// Who asked.
    pub of: AskingTry,
    /// The question and its answer.
    pub asked: Asked,
    /// It has no answer, and its try goes on.
    pub is_open: bool,
}

/// The task instance is still in the try that asked. Its try number counts from its next dispatch on, so a clear shows in
/// its generation only.
const GOES_ON: &str =
    "task_instance.try_number = approval.try_number AND task_instance.generation = approval.generation
    AND task_instance.state IN ('scheduled', 'queued', 'running', 'deferred')";

const JOINED: &str = "approval JOIN dag_run ON dag_run.run_key = approval.run_key
    JOIN task_instance ON task_instance.run_key = approval.run_key AND task_instance.task_id = approval.task_id
        AND task_instance.map_index = approval.map_index";

pub(crate) async fn ask(tx: &mut Tx, questions: &[NewQuestion]) -> Result<(), StoreError> {
    for row in questions {
        sqlx::query(
            "INSERT INTO approval (run_key, task_id, map_index, try_number, generation, question, asked_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        )
        .bind(row.of.key.run.0)
        .bind(row.of.key.task.as_str())
        .bind(i64::from(row.of.key.map_index))
        .bind(i64::from(row.of.try_number))
        .bind(i64::from(row.generation))
        .bind(decode::to_json(&row.question)?)
        .bind(row.asked_at.as_micros())
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

pub(crate) async fn answer(tx: &mut Tx, answers: &[(AskingTry, Answer)]) -> Result<(), StoreError> {
    for (of, answer) in answers {
        if !answer_one(tx, of, answer).await? {
            return Err(StoreError::stale("a question that was open", None));
        }
    }
    Ok(())
}

/// False if there was an answer already, or no such question.
async fn answer_one(tx: &mut Tx, of: &AskingTry, answer: &Answer) -> Result<bool, StoreError> {
    let done = sqlx::query(
        "UPDATE approval SET answer = $5, answered_at = $6
         WHERE run_key = $1 AND task_id = $2 AND map_index = $3 AND try_number = $4 AND answered_at IS NULL",
    )
    .bind(of.key.run.0)
    .bind(of.key.task.as_str())
    .bind(i64::from(of.key.map_index))
    .bind(i64::from(of.try_number))
    .bind(decode::to_json(answer)?)
    .bind(answer.at.as_micros())
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

fn decode_asked(row: &AnyRow) -> Result<Asked, StoreError> {
    let answer = decode::optional_text(row, "answer")?;
    Ok(Asked {
        question: decode::json(row, "question")?,
        asked_at: decode::instant(row, "asked_at")?,
        answer: if answer.is_some() { Some(decode::json(row, "answer")?) } else { None },
    })
}

fn decode_approval(row: &AnyRow) -> Result<ApprovalRow, StoreError> {
    let asked = decode_asked(row)?;
    Ok(ApprovalRow {
        dag_id: decode::text(row, "dag_id")?.into(),
        run_id: decode::text(row, "run_id")?.into(),
        of: AskingTry {
            key: TaskInstanceKey {
                run: RunKey(decode::number(row, "run_key")?),
                task: decode::text(row, "task_id")?.into(),
                map_index: decode::number(row, "map_index")?,
            },
            try_number: decode::number(row, "try_number")?,
        },
        is_open: asked.answer.is_none() && decode::flag(row, "goes_on")?,
        asked,
    })
}

/// Which questions; an absent field is no condition.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApprovalFilter {
    /// Of this DAG.
    pub dag_id: Option<DagId>,
    /// Of this run.
    pub run: Option<RunKey>,
    /// Of this task and map index.
    pub task: Option<(TaskId, i32)>,
    /// Only those that wait for an answer.
    pub open_only: bool,
}

impl Store {
    /// What was asked in a try, and how it stands.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn asked(&self, of: &AskingTry) -> Result<Option<Asked>, StoreError> {
        let row = sqlx::query(
            "SELECT question, asked_at, answer FROM approval
             WHERE run_key = $1 AND task_id = $2 AND map_index = $3 AND try_number = $4",
        )
        .bind(of.key.run.0)
        .bind(of.key.task.as_str())
        .bind(i64::from(of.key.map_index))
        .bind(i64::from(of.try_number))
        .fetch_optional(self.reader())
        .await?;
        row.as_ref().map(decode_asked).transpose()
    }

    /// Questions that pass the filter, newest first, at most `limit`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn approvals(&self, filter: &ApprovalFilter, limit: u32) -> Result<Vec<ApprovalRow>, StoreError> {
        let open = if filter.open_only { format!("answered_at IS NULL AND {GOES_ON}") } else { "1 = 1".to_owned() };
        let sql = format!(
            "SELECT approval.run_key AS run_key, approval.task_id AS task_id, approval.map_index AS map_index,
                 approval.try_number AS try_number, question, asked_at, answer, dag_id, run_id,
                 CASE WHEN {GOES_ON} THEN 1 ELSE 0 END AS goes_on
             FROM {JOINED}
             WHERE (CAST($1 AS TEXT) IS NULL OR dag_id = $1) AND (CAST($2 AS BIGINT) IS NULL OR approval.run_key = $2)
                 AND (CAST($3 AS TEXT) IS NULL OR approval.task_id = $3 AND approval.map_index = $4)
                 AND {open}
             ORDER BY asked_at DESC, approval.run_key, approval.task_id, approval.map_index LIMIT $5"
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(filter.dag_id.as_ref().map(DagId::as_str))
            .bind(filter.run.map(|run| run.0))
            .bind(filter.task.as_ref().map(|(task, _)| task.as_str()))
            .bind(i64::from(filter.task.as_ref().map_or(-1, |(_, index)| *index)))
            .bind(i64::from(limit))
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(decode_approval).collect()
    }

    /// Time is up: keeps the default as the answer, unless somebody has answered. It is durable when this returns.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn answer_by_default(&self, of: &AskingTry, answer: &Answer) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        answer_one(&mut tx, of, answer).await?;
        tx.commit().await?;
        Ok(())
    }
}
