//! What DAGs say of assets, and what is queued for them.

use std::collections::BTreeMap;

use sqlx::Row;
use windrose_core::ids::{AssetUri, DagId, TaskId};
use windrose_core::time::Timestamp;

use crate::Store;
use crate::batch_values::execute_rows;
use crate::commit::Tx;
use crate::decode;
use crate::error::StoreError;

/// What a DAG has to do with an asset or an alias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AssetRole {
    /// Its schedule waits for it.
    Schedule,
    /// Its schedule waits for what comes through this alias.
    ScheduleAlias,
    /// A task changes it.
    Outlet,
    /// A task changes assets under this alias.
    OutletAlias,
    /// A task reads it.
    Inlet,
    /// A task reads what comes through this alias.
    InletAlias,
}

impl AssetRole {
    const ALL: [Self; 6] =
        [Self::Schedule, Self::ScheduleAlias, Self::Outlet, Self::OutletAlias, Self::Inlet, Self::InletAlias];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::ScheduleAlias => "schedule_alias",
            Self::Outlet => "outlet",
            Self::OutletAlias => "outlet_alias",
            Self::Inlet => "inlet",
            Self::InletAlias => "inlet_alias",
        }
    }

    /// The role with this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }

    /// True if the name is an alias's, not an asset's.
    #[must_use]
    pub const fn is_alias(self) -> bool {
        matches!(self, Self::ScheduleAlias | Self::OutletAlias | Self::InletAlias)
    }
}

/// A DAG refers to an asset or an alias.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssetReference {
    /// How.
    pub role: AssetRole,
    /// The task; none for a schedule.
    pub task: Option<TaskId>,
    /// The asset's URI, or the alias.
    pub name: String,
}

/// A reference of a DAG that a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetReferenceRow {
    /// The DAG.
    pub dag_id: DagId,
    /// What it refers to.
    pub reference: AssetReference,
    /// Since when.
    pub since: Timestamp,
}

/// What the asset-triggered runs of a DAG go on from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AssetSchedule {
    /// Since when it waits for assets, if it does.
    pub since: Option<Timestamp>,
    /// What is queued, and since when.
    pub queue: BTreeMap<AssetUri, Timestamp>,
    /// The instant up to which its newest asset-triggered run stands for events.
    pub previous: Option<Timestamp>,
}

const INSERT: &str = "
    INSERT INTO asset_reference (dag_id, role, task_id, name, since) VALUES {values} ON CONFLICT DO NOTHING";

const DELETE: &str = "
    WITH v (dag_id, role, task_id, name) AS (VALUES {values})
    DELETE FROM asset_reference WHERE (dag_id, role, task_id, name) IN (SELECT dag_id, role, task_id, name FROM v)";

fn task_of(reference: &AssetReference) -> &str {
    reference.task.as_ref().map_or("", TaskId::as_str)
}

fn decode_reference(row: &sqlx::any::AnyRow) -> Result<AssetReference, StoreError> {
    let task = decode::text(row, "task_id")?;
    Ok(AssetReference {
        role: decode::word(row, "role", AssetRole::parse)?,
        task: (!task.is_empty()).then(|| task.into()),
        name: decode::text(row, "name")?,
    })
}

/// Makes these the references of a DAG. Those that it has already keep the instant since which it has them; what is queued
/// for assets that its schedule names no more leaves the queue.
pub(crate) async fn replace(
    tx: &mut Tx,
    dag_id: &DagId,
    references: &[AssetReference],
    now: Timestamp,
) -> Result<(), StoreError> {
    let rows = sqlx::query("SELECT role, task_id, name FROM asset_reference WHERE dag_id = $1")
        .bind(dag_id.as_str())
        .fetch_all(&mut **tx)
        .await?;
    let known: Vec<AssetReference> = rows.iter().map(decode_reference).collect::<Result<_, _>>()?;
    let gone: Vec<&AssetReference> = known.iter().filter(|reference| !references.contains(reference)).collect();
    execute_rows(tx, DELETE, 4, &gone, |statement, reference| {
        let (role, task) = (reference.role.as_str(), task_of(reference));
        statement.bind(dag_id.as_str()).bind(role).bind(task).bind(reference.name.as_str())
    })
    .await?;
    let new: Vec<&AssetReference> = references.iter().filter(|reference| !known.contains(reference)).collect();
    execute_rows(tx, INSERT, 5, &new, |statement, reference| {
        let (role, task) = (reference.role.as_str(), task_of(reference));
        let statement = statement.bind(dag_id.as_str()).bind(role).bind(task).bind(reference.name.as_str());
        statement.bind(now.as_micros())
    })
    .await?;
    if gone.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM asset_queue WHERE dag_id = $1
             AND uri NOT IN (SELECT name FROM asset_reference WHERE dag_id = $1 AND role = 'schedule')
             AND uri NOT IN (SELECT asset_alias.uri FROM asset_alias JOIN asset_reference
                 ON asset_reference.name = asset_alias.alias
                 WHERE asset_reference.dag_id = $1 AND asset_reference.role = 'schedule_alias')",
    )
    .bind(dag_id.as_str())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

impl Store {
    /// What the asset-triggered runs of a DAG go on from.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn asset_schedule(&self, dag_id: &DagId) -> Result<AssetSchedule, StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT MIN(since) FROM asset_reference
                     WHERE dag_id = $1 AND role IN ('schedule', 'schedule_alias')) AS since,
                 (SELECT MAX(run_after) FROM dag_run
                     WHERE dag_id = $1 AND run_type = 'asset_triggered') AS previous",
        )
        .bind(dag_id.as_str())
        .fetch_one(self.reader())
        .await?;
        let queue = sqlx::query("SELECT uri, queued_at FROM asset_queue WHERE dag_id = $1")
            .bind(dag_id.as_str())
            .fetch_all(self.reader())
            .await?;
        let queue = queue.iter().map(|row| Ok((decode::text(row, "uri")?.into(), decode::instant(row, "queued_at")?)));
        Ok(AssetSchedule {
            since: decode::optional_instant(&row, "since")?,
            queue: queue.collect::<Result<_, StoreError>>()?,
            previous: decode::optional_instant(&row, "previous")?,
        })
    }

    /// Every alias with every asset that has come through it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn asset_aliases(&self) -> Result<Vec<(String, AssetUri)>, StoreError> {
        let rows =
            sqlx::query("SELECT alias, uri FROM asset_alias ORDER BY alias, uri").fetch_all(self.reader()).await?;
        rows.iter().map(|row| Ok((decode::text(row, "alias")?, decode::text(row, "uri")?.into()))).collect()
    }

    /// Every reference of the DAGs that a file holds, by name.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn asset_references(&self) -> Result<Vec<AssetReferenceRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT asset_reference.dag_id AS dag_id, role, task_id, name, since
             FROM asset_reference JOIN dag ON dag.dag_id = asset_reference.dag_id
             WHERE dag.absent_since IS NULL ORDER BY name, asset_reference.dag_id, role, task_id",
        )
        .fetch_all(self.reader())
        .await?;
        let rows = rows.iter().map(|row| {
            Ok(AssetReferenceRow {
                dag_id: decode::text(row, "dag_id")?.into(),
                reference: decode_reference(row)?,
                since: decode::instant(row, "since")?,
            })
        });
        rows.collect()
    }

    /// What is queued for an asset: the DAGs, and since when.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn queued_for(&self, uri: &AssetUri) -> Result<Vec<(DagId, Timestamp)>, StoreError> {
        let rows = sqlx::query("SELECT dag_id, queued_at FROM asset_queue WHERE uri = $1 ORDER BY dag_id")
            .bind(uri.as_str())
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(|row| Ok((decode::text(row, "dag_id")?.into(), decode::instant(row, "queued_at")?))).collect()
    }

    /// The instant of the newest asset event.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn newest_asset_event(&self) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query("SELECT MAX(event_id) AS newest FROM asset_event").fetch_one(self.reader()).await?;
        Ok(row.try_get::<Option<i64>, _>("newest")?.map(Timestamp::from_micros))
    }
}
