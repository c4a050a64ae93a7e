//! Assets, written with a batch: events, what they queue, and the runs that stand for them.

use sqlx::AssertSqlSafe;
use windrose_core::asset::{AssetEvent, EventWindow};
use windrose_core::ids::{AssetUri, DagId, RunKey};
use windrose_core::time::Timestamp;

use crate::batch_values::execute_rows;
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;

/// An event and who or what brought it about.
#[derive(Debug, Clone, PartialEq)]
pub struct AssetEventRow {
    /// The event. Its id is its instant; the facts of its source's run are not stored.
    pub event: AssetEvent,
    /// A user, or `scheduler` for a task's.
    pub who: String,
}

/// An asset that waits to bring about a run of a DAG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetQueueRow {
    /// The DAG.
    pub dag_id: DagId,
    /// The asset.
    pub uri: AssetUri,
    /// Since when.
    pub queued_at: Timestamp,
}

/// The events of an asset-triggered run, and what it takes from the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetRunRow {
    /// The run.
    pub run: RunKey,
    /// Which events it stands for.
    pub window: EventWindow,
    /// What is queued for its DAG no more.
    pub taken: Vec<AssetQueueRow>,
}

const INSERT_EVENTS: &str = "
    INSERT INTO asset_event (event_id, uri, extra, who, source_dag_id, source_run_id, source_task_id, source_map_index)
    VALUES {values}";

const INSERT_EVENT_ALIASES: &str = "INSERT INTO asset_event_alias (alias, event_id) VALUES {values}";

const INSERT_ALIASES: &str = "INSERT INTO asset_alias (alias, uri) VALUES {values} ON CONFLICT DO NOTHING";

const ENQUEUE: &str = "INSERT INTO asset_queue (dag_id, uri, queued_at) VALUES {values} ON CONFLICT DO NOTHING";

const TAKE: &str = "
    WITH v (dag_id, uri, queued_at) AS (VALUES {values})
    DELETE FROM asset_queue WHERE (dag_id, uri, queued_at) IN (SELECT dag_id, uri, queued_at FROM v)";

/// Inserts events; one at an instant that is taken makes it fail.
pub(crate) async fn insert_events(tx: &mut Tx, events: &[AssetEventRow]) -> Result<(), StoreError> {
    let rows: Vec<(&AssetEventRow, String)> =
        events.iter().map(|row| Ok((row, decode::to_json(&row.event.extra)?))).collect::<Result<_, StoreError>>()?;
    execute_rows(tx, INSERT_EVENTS, 8, &rows, |statement, (row, extra)| {
        let source = row.event.source.as_ref();
        statement
            .bind(row.event.id)
            .bind(row.event.uri.as_str())
            .bind(extra.as_str())
            .bind(row.who.as_str())
            .bind(source.map(|source| source.dag_id.as_str()))
            .bind(source.map(|source| source.run_id.as_str()))
            .bind(source.map(|source| source.task_id.as_str()))
            .bind(source.map(|source| i64::from(source.map_index)))
    })
    .await?;
    let mut aliases: Vec<(&str, i64)> = Vec::new();
    let mut known: Vec<(&str, &str)> = Vec::new();
    for AssetEventRow { event, .. } in events {
        aliases.extend(event.aliases.iter().map(|alias| (alias.as_str(), event.id)));
        known.extend(event.aliases.iter().map(|alias| (alias.as_str(), event.uri.as_str())));
    }
    aliases.sort_unstable();
    aliases.dedup();
    execute_rows(tx, INSERT_EVENT_ALIASES, 2, &aliases, |statement, (alias, id)| statement.bind(*alias).bind(*id))
        .await?;
    known.sort_unstable();
    known.dedup();
    execute_rows(tx, INSERT_ALIASES, 2, &known, |statement, (alias, uri)| statement.bind(*alias).bind(*uri)).await?;
    Ok(())
}

/// Queues assets that are not queued.
pub(crate) async fn enqueue(tx: &mut Tx, rows: &[AssetQueueRow]) -> Result<(), StoreError> {
    if queue_rows(tx, ENQUEUE, rows).await? == rows.len() as u64 { Ok(()) } else { Err(stale()) }
}

async fn queue_rows(tx: &mut Tx, sql: &str, rows: &[AssetQueueRow]) -> Result<u64, StoreError> {
    execute_rows(tx, sql, 3, rows, |statement, row| {
        statement.bind(row.dag_id.as_str()).bind(row.uri.as_str()).bind(row.queued_at.as_micros())
    })
    .await
}

fn stale() -> StoreError {
    StoreError::stale("the queue of asset events", None)
}

/// Empties the queue for each run, which makes sure that no two runs are made for the same, and notes its events.
pub(crate) async fn consume(tx: &mut Tx, runs: &[AssetRunRow]) -> Result<(), StoreError> {
    for run in runs {
        if queue_rows(tx, TAKE, &run.taken).await? != run.taken.len() as u64 {
            return Err(stale());
        }
        note_events(tx, run).await?;
    }
    Ok(())
}

async fn note_events(tx: &mut Tx, run: &AssetRunRow) -> Result<(), StoreError> {
    let EventWindow { uris, aliases, after, until } = &run.window;
    let places =
        |from: usize, count: usize| (from..from + count).map(|n| format!("${n}")).collect::<Vec<_>>().join(",");
    let mut either = Vec::new();
    if !uris.is_empty() {
        either.push(format!("uri IN ({})", places(4, uris.len())));
    }
    if !aliases.is_empty() {
        let places = places(4 + uris.len(), aliases.len());
        either.push(format!("event_id IN (SELECT event_id FROM asset_event_alias WHERE alias IN ({places}))"));
    }
    if either.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO asset_run_event (run_key, event_id)
         SELECT CAST($1 AS BIGINT), event_id FROM asset_event
         WHERE event_id > $2 AND event_id <= $3 AND ({})",
        either.join(" OR ")
    );
    let statement = sqlx::query(AssertSqlSafe(sql))
        .bind(run.run.0)
        .bind(after.map_or(i64::MIN, Timestamp::as_micros))
        .bind(until.as_micros());
    let statement = uris.iter().fold(statement, |statement, uri| statement.bind(uri.as_str()));
    let statement = aliases.iter().fold(statement, |statement, alias| statement.bind(alias.as_str()));
    statement.execute(&mut **tx).await?;
    Ok(())
}
