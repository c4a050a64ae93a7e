//! Task instances: the hot table.

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use windrose_core::cause::Cause;
use windrose_core::ids::{RunKey, TaskInstanceKey};
use windrose_core::task_instance::{TaskChange, TaskColumns};
use windrose_core::task_state::{TaskState, TaskStateName};
use windrose_core::time::Timestamp;

use crate::Store;
use crate::batch::{NewTask, RemovedTask, RenderedRow};
use crate::batch_values::{execute_rows, values_list};
use crate::commit::Tx;
use crate::decode::{self, optional_to_json};
use crate::error::StoreError;

/// A task instance as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRow {
    /// Which.
    pub key: TaskInstanceKey,
    /// Where it is.
    pub state: TaskState,
    /// Everything else.
    pub columns: TaskColumns,
    /// What `map_index_template` made of a mapped instance.
    pub rendered_map_index: Option<String>,
    /// Why its last try failed.
    pub cause: Option<Cause>,
}

const COLUMNS: &str = "run_key, task_id, map_index, state, attempt, due_at, try_number, max_tries, generation, \
     first_poke_at, pokes, queued_at, started_at, ended_at, routing, mapped_length, cause, rendered_map_index";

const INSERT: &str = "
    INSERT INTO task_instance (run_key, task_id, map_index, state, try_number, max_tries, generation, pokes)
    VALUES {values} ON CONFLICT DO NOTHING";

const UPDATE: &str = "
    WITH v (run_key, task_id, map_index, from_state, from_attempt, state, attempt, due_at, try_number, max_tries,
        generation, first_poke_at, pokes, queued_at, started_at, ended_at, routing, mapped_length, cause) AS
        (VALUES {values})
    UPDATE task_instance SET state = v.state, attempt = v.attempt, due_at = v.due_at, try_number = v.try_number,
        max_tries = v.max_tries, generation = v.generation, first_poke_at = v.first_poke_at, pokes = v.pokes, queued_at = v.queued_at,
        started_at = v.started_at, ended_at = v.ended_at, routing = v.routing,
        mapped_length = v.mapped_length, cause = v.cause
    FROM v
    WHERE task_instance.run_key = v.run_key AND task_instance.task_id = v.task_id
        AND task_instance.map_index = v.map_index
        AND task_instance.state = v.from_state AND task_instance.attempt IS NOT DISTINCT FROM v.from_attempt";

pub(crate) fn stale(key: &TaskInstanceKey) -> StoreError {
    let what = match key.map_index {
        -1 => format!("the task instance '{}'", key.task),
        index => format!("the task instance '{}' with map index {index}", key.task),
    };
    StoreError::stale(what, Some(key.run))
}

pub(crate) fn decode_key(row: &AnyRow) -> Result<TaskInstanceKey, StoreError> {
    Ok(TaskInstanceKey {
        run: RunKey(row.try_get("run_key")?),
        task: decode::text(row, "task_id")?.into(),
        map_index: decode::number(row, "map_index")?,
    })
}

fn decode_state(row: &AnyRow) -> Result<TaskState, StoreError> {
    let name = decode::word(row, "state", TaskStateName::parse)?;
    TaskState::from_parts(name, decode::optional_attempt(row, "attempt")?, decode::optional_instant(row, "due_at")?)
        .ok_or_else(|| StoreError::corrupt(format!("a {} task instance lacks its lease or due time", name.as_str())))
}

fn decode_task(row: &AnyRow) -> Result<TaskRow, StoreError> {
    Ok(TaskRow {
        key: decode_key(row)?,
        state: decode_state(row)?,
        columns: TaskColumns {
            try_number: decode::number(row, "try_number")?,
            max_tries: decode::number(row, "max_tries")?,
            generation: decode::number(row, "generation")?,
            first_poke_at: decode::optional_instant(row, "first_poke_at")?,
            pokes: decode::number(row, "pokes")?,
            queued_at: decode::optional_instant(row, "queued_at")?,
            started_at: decode::optional_instant(row, "started_at")?,
            ended_at: decode::optional_instant(row, "ended_at")?,
            routing: decode::optional_json(row, "routing")?,
            mapped_length: decode::optional_number(row, "mapped_length")?,
        },
        rendered_map_index: decode::optional_text(row, "rendered_map_index")?,
        cause: decode::optional_json(row, "cause")?,
    })
}

/// Inserts task instances in state `none`; one that exists makes it fail.
pub(crate) async fn insert<'t>(tx: &mut Tx, tasks: impl Iterator<Item = &'t NewTask>) -> Result<(), StoreError> {
    let tasks: Vec<&NewTask> = tasks.collect();
    let written = execute_rows(tx, INSERT, 8, &tasks, |statement, task| {
        statement
            .bind(task.key.run.0)
            .bind(task.key.task.as_str())
            .bind(i64::from(task.key.map_index))
            .bind(TaskStateName::None.as_str())
            .bind(0_i64)
            .bind(i64::from(task.max_tries))
            .bind(0_i64)
            .bind(0_i64)
    })
    .await?;
    match tasks.first() {
        Some(first) if written != tasks.len() as u64 => {
            Err(StoreError::stale("the list of task instances of a run", Some(first.key.run)))
        }
        _ => Ok(()),
    }
}

const REMOVE: &str = "
    WITH v (run_key, task_id, map_index, from_state) AS (VALUES {values})
    DELETE FROM task_instance WHERE EXISTS (
        SELECT 1 FROM v WHERE task_instance.run_key = v.run_key AND task_instance.task_id = v.task_id
            AND task_instance.map_index = v.map_index AND task_instance.state = v.from_state)";

/// Removes the rows of mapped tasks that stood for all their instances.
pub(crate) async fn remove(tx: &mut Tx, gone: &[RemovedTask]) -> Result<(), StoreError> {
    let removed = execute_rows(tx, REMOVE, 4, gone, |statement, gone| {
        statement
            .bind(gone.key.run.0)
            .bind(gone.key.task.as_str())
            .bind(i64::from(gone.key.map_index))
            .bind(gone.from.name().as_str())
    })
    .await?;
    match gone.first() {
        Some(first) if removed != gone.len() as u64 => Err(stale(&first.key)),
        _ => Ok(()),
    }
}

const NAME: &str = "
    WITH v (run_key, task_id, map_index, rendered_map_index) AS (VALUES {values})
    UPDATE task_instance SET rendered_map_index = v.rendered_map_index FROM v
    WHERE task_instance.run_key = v.run_key AND task_instance.task_id = v.task_id
        AND task_instance.map_index = v.map_index";

/// Gives mapped instances their names.
pub(crate) async fn name(tx: &mut Tx, rows: &[RenderedRow]) -> Result<(), StoreError> {
    let named: Vec<(&TaskInstanceKey, &str)> =
        rows.iter().filter_map(|row| Some((&row.key, row.map_index_name.as_deref()?))).collect();
    execute_rows(tx, NAME, 4, &named, |statement, (key, name)| {
        statement.bind(key.run.0).bind(key.task.as_str()).bind(i64::from(key.map_index)).bind(*name)
    })
    .await?;
    Ok(())
}

/// Moves task instances that are where they are expected. Each key may occur once.
pub(crate) async fn update(tx: &mut Tx, writes: &[TaskChange]) -> Result<(), StoreError> {
    let rows: Vec<(&TaskChange, [Option<String>; 2])> = writes
        .iter()
        .map(|write| {
            Ok((write, [optional_to_json(write.columns.routing.as_ref())?, optional_to_json(write.cause.as_ref())?]))
        })
        .collect::<Result<_, StoreError>>()?;
    let changed = execute_rows(tx, UPDATE, 19, &rows, |statement, (write, [routing, cause])| {
        statement
            .bind(write.key.run.0)
            .bind(write.key.task.as_str())
            .bind(i64::from(write.key.map_index))
            .bind(write.from.name().as_str())
            .bind(write.from.attempt().map(String::from))
            .bind(write.to.name().as_str())
            .bind(write.to.attempt().map(String::from))
            .bind(write.to.due().map(Timestamp::as_micros))
            .bind(i64::from(write.columns.try_number))
            .bind(i64::from(write.columns.max_tries))
            .bind(i64::from(write.columns.generation))
            .bind(write.columns.first_poke_at.map(Timestamp::as_micros))
            .bind(i64::from(write.columns.pokes))
            .bind(write.columns.queued_at.map(Timestamp::as_micros))
            .bind(write.columns.started_at.map(Timestamp::as_micros))
            .bind(write.columns.ended_at.map(Timestamp::as_micros))
            .bind(routing.as_deref())
            .bind(write.columns.mapped_length.map(i64::from))
            .bind(cause.as_deref())
    })
    .await?;
    if changed == writes.len() as u64 { Ok(()) } else { Err(first_stale(tx, writes).await?) }
}

/// Which write met a row that was not where it was expected.
async fn first_stale(tx: &mut Tx, writes: &[TaskChange]) -> Result<StoreError, StoreError> {
    for write in writes {
        let row = sqlx::query(
            "SELECT state, attempt, due_at FROM task_instance WHERE run_key = $1 AND task_id = $2 AND map_index = $3",
        )
        .bind(write.key.run.0)
        .bind(write.key.task.as_str())
        .bind(i64::from(write.key.map_index))
        .fetch_optional(&mut **tx)
        .await?;
        if row.as_ref().map(decode_state).transpose()? != Some(write.to) {
            return Ok(stale(&write.key));
        }
    }
    Ok(StoreError::stale("a task instance", writes.first().map(|write| write.key.run)))
}

impl Store {
    /// All task instances of a run, by task and map index.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn tasks(&self, run: RunKey) -> Result<Vec<TaskRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM task_instance WHERE run_key = $1 ORDER BY task_id, map_index");
        let rows = sqlx::query(AssertSqlSafe(sql)).bind(run.0).fetch_all(self.reader()).await?;
        rows.iter().map(decode_task).collect()
    }

    /// One task instance.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn task(&self, key: &TaskInstanceKey) -> Result<Option<TaskRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM task_instance WHERE run_key = $1 AND task_id = $2 AND map_index = $3");
        let statement =
            sqlx::query(AssertSqlSafe(sql)).bind(key.run.0).bind(key.task.as_str()).bind(i64::from(key.map_index));
        statement.fetch_optional(self.reader()).await?.as_ref().map(decode_task).transpose()
    }

    /// How many task instances of each of these runs are in each state.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn task_counts(
        &self,
        runs: &[RunKey],
    ) -> Result<HashMap<RunKey, HashMap<TaskStateName, u32>>, StoreError> {
        let mut counts: HashMap<RunKey, HashMap<TaskStateName, u32>> = HashMap::new();
        for chunk in runs.chunks(256) {
            let sql = format!(
                "WITH v (run_key) AS (VALUES {})
                 SELECT task_instance.run_key AS run_key, state, CAST(COUNT(*) AS BIGINT) AS n
                 FROM task_instance JOIN v ON task_instance.run_key = v.run_key
                 GROUP BY task_instance.run_key, state",
                values_list(1, chunk.len())
            );
            let statement = chunk.iter().fold(sqlx::query(AssertSqlSafe(sql)), |s, run| s.bind(run.0));
            for row in statement.fetch_all(self.reader()).await? {
                let state = decode::word(&row, "state", TaskStateName::parse)?;
                let run = RunKey(row.try_get("run_key")?);
                counts.entry(run).or_default().insert(state, decode::number(&row, "n")?);
            }
        }
        Ok(counts)
    }
}
