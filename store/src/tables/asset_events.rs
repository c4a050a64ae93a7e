//! Asset events, read: by asset, by alias, by the run that stands for them.

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use windrose_core::asset::{AssetEvent, AssetSource};
use windrose_core::ids::{AssetUri, RunKey};
use windrose_core::run::DataInterval;
use windrose_core::time::Timestamp;

use crate::Store;
use crate::batch_values::values_list;
use crate::decode;
use crate::error::StoreError;
use crate::tables::assets::AssetEventRow;
use crate::tables::run_list::Page;

/// Which asset events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventsOf<'a> {
    /// All.
    All,
    /// An asset's.
    Asset(&'a AssetUri),
    /// Those that came through an alias.
    Alias(&'a str),
    /// Those that an asset-triggered run stands for.
    Run(RunKey),
}

/// How an asset's events stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventCount {
    /// How many there are.
    pub count: u64,
    /// When the newest came.
    pub newest: Timestamp,
}

const COLUMNS: &str = "asset_event.event_id AS event_id, uri, extra, who, source_dag_id, source_run_id, source_task_id, \
     source_map_index, dag_run.logical_date AS logical_date, dag_run.interval_start AS interval_start, \
     dag_run.interval_end AS interval_end";

fn decode_event(row: &AnyRow) -> Result<AssetEventRow, StoreError> {
    let id: i64 = row.try_get("event_id")?;
    let source = match decode::optional_text(row, "source_dag_id")? {
        None => None,
        Some(dag_id) => Some(AssetSource {
            dag_id: dag_id.into(),
            run_id: decode::text(row, "source_run_id")?.into(),
            task_id: decode::text(row, "source_task_id")?.into(),
            map_index: decode::number(row, "source_map_index")?,
        }),
    };
    let (start, end) =
        (decode::optional_instant(row, "interval_start")?, decode::optional_instant(row, "interval_end")?);
    let event = AssetEvent {
        id,
        uri: decode::text(row, "uri")?.into(),
        at: Timestamp::from_micros(id),
        aliases: Vec::new(),
        extra: decode::json(row, "extra")?,
        source,
        source_logical_date: decode::optional_instant(row, "logical_date")?,
        source_data_interval: start.zip(end).map(|(start, end)| DataInterval { start, end }),
    };
    Ok(AssetEventRow { event, who: decode::text(row, "who")? })
}

impl Store {
    /// Asset events, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn asset_events(&self, of: EventsOf<'_>, page: Page) -> Result<Vec<AssetEventRow>, StoreError> {
        let condition = match of {
            EventsOf::All => "CAST($1 AS TEXT) IS NULL",
            EventsOf::Asset(_) => "uri = $1",
            EventsOf::Alias(_) => "asset_event.event_id IN (SELECT event_id FROM asset_event_alias WHERE alias = $1)",
            EventsOf::Run(_) => "asset_event.event_id IN (SELECT event_id FROM asset_run_event WHERE run_key = $1)",
        };
        let sql = format!(
            "SELECT {COLUMNS} FROM asset_event LEFT JOIN dag_run
                 ON dag_run.dag_id = asset_event.source_dag_id AND dag_run.run_id = asset_event.source_run_id
             WHERE {condition} ORDER BY asset_event.event_id DESC LIMIT $2 OFFSET $3"
        );
        let statement = sqlx::query(AssertSqlSafe(sql));
        let statement = match of {
            EventsOf::All => statement.bind(None::<String>),
            EventsOf::Asset(uri) => statement.bind(uri.as_str()),
            EventsOf::Alias(alias) => statement.bind(alias),
            EventsOf::Run(run) => statement.bind(run.0),
        };
        let statement = statement.bind(i64::from(page.limit)).bind(i64::from(page.offset));
        let rows = statement.fetch_all(self.reader()).await?;
        let mut events: Vec<AssetEventRow> = rows.iter().map(decode_event).collect::<Result<_, _>>()?;
        self.add_aliases(&mut events).await?;
        Ok(events)
    }

    async fn add_aliases(&self, events: &mut [AssetEventRow]) -> Result<(), StoreError> {
        for chunk in events.chunks_mut(256) {
            let sql = format!(
                "WITH v (event_id) AS (VALUES {})
                 SELECT asset_event_alias.event_id AS event_id, alias FROM asset_event_alias
                 JOIN v ON asset_event_alias.event_id = v.event_id ORDER BY alias",
                values_list(1, chunk.len())
            );
            let statement = chunk.iter().fold(sqlx::query(AssertSqlSafe(sql)), |s, row| s.bind(row.event.id));
            let mut aliases: HashMap<i64, Vec<String>> = HashMap::new();
            for row in statement.fetch_all(self.reader()).await? {
                aliases.entry(row.try_get("event_id")?).or_default().push(decode::text(&row, "alias")?);
            }
            for row in chunk {
                row.event.aliases = aliases.remove(&row.event.id).unwrap_or_default();
            }
        }
        Ok(())
    }

    /// How the events of every asset that has any stand.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn asset_event_counts(&self) -> Result<HashMap<AssetUri, EventCount>, StoreError> {
        let rows = sqlx::query(
            "SELECT uri, CAST(COUNT(*) AS BIGINT) AS n, MAX(event_id) AS newest FROM asset_event GROUP BY uri",
        )
        .fetch_all(self.reader())
        .await?;
        let counts = rows.iter().map(|row| {
            let count = EventCount { count: decode::number(row, "n")?, newest: decode::instant(row, "newest")? };
            Ok((decode::text(row, "uri")?.into(), count))
        });
        counts.collect()
    }

    /// The asset-triggered runs that stand for each of these events: their DAG and their id.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn runs_of_event(&self, event: i64) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query(
            "SELECT dag_run.dag_id AS dag_id, dag_run.run_id AS run_id FROM asset_run_event
             JOIN dag_run ON dag_run.run_key = asset_run_event.run_key
             WHERE asset_run_event.event_id = $1 ORDER BY dag_run.dag_id, dag_run.run_after",
        )
        .bind(event)
        .fetch_all(self.reader())
        .await?;
        rows.iter().map(|row| Ok((decode::text(row, "dag_id")?, decode::text(row, "run_id")?))).collect()
    }
}
