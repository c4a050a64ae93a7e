//! Whether the data arrived: the file, the curated table and the unloaded objects hold the same rows, value by value.

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::output::Row;

use super::lab_aws::{LabAws, QueryResult};
use super::{TARGET_BUCKET, products};

/// Where the unloaded objects are.
const UNLOADED: &str = "products_f/";

/// One thing that was checked.
#[derive(Serialize)]
pub(super) struct Checked {
    what: String,
    rows: usize,
    verdict: &'static str,
    /// It is as it has to be.
    pub(super) right: bool,
}

impl Checked {
    fn new(what: impl Into<String>, rows: usize, right: bool, when_right: &'static str, else_: &'static str) -> Self {
        Self { what: what.into(), rows, verdict: if right { when_right } else { else_ }, right }
    }
}

impl Row for Checked {
    const HEADS: &'static [&'static str] = &["checked", "rows", "verdict"];

    fn cells(&self) -> Vec<String> {
        vec![self.what.clone(), self.rows.to_string(), self.verdict.to_owned()]
    }
}

/// Looks at everything the pipeline should have done. `warehouse` may be anybody, `owner` has to have the bucket's
/// role.
pub(super) async fn check(rows: u32, warehouse: &LabAws, owner: &LabAws) -> Result<Vec<Checked>> {
    let table = warehouse
        .query(
            "SELECT product_id, name, category, price, quantity, stock_value, updated_at, loaded_at \
             FROM products_f ORDER BY product_id",
        )
        .await?;
    let left = warehouse.query("SELECT product_id FROM products").await?.rows.len();
    let keys = owner.list(TARGET_BUCKET, UNLOADED).await?;
    let mut unloaded = Vec::new();
    for key in &keys {
        unloaded.extend(records(&owner.get(TARGET_BUCKET, key).await?, &table.columns, key)?);
    }
    unloaded.sort_by_key(|row| row.first().and_then(|id| id.parse::<i64>().ok()));
    Ok(vec![
        Checked::new("products.csv, uploaded", rows as usize, true, "generated", ""),
        Checked::new(
            "products_f, curated",
            table.rows.len(),
            is_curated(&table, rows),
            "equal to the file, value by value",
            "NOT equal to the file",
        ),
        Checked::new(
            format!("s3://{TARGET_BUCKET}/{UNLOADED}…, {} object(s)", keys.len()),
            unloaded.len(),
            unloaded == texts(&table),
            "equal to the table, value by value",
            "NOT equal to the table",
        ),
        Checked::new("products, after the delete", left, left == 0, "empty", "NOT empty"),
    ])
}

/// The time of loading is the only column that the file does not decide.
fn is_curated(table: &QueryResult, rows: u32) -> bool {
    let found = texts(table).into_iter().map(|mut row| {
        row.truncate(7);
        row
    });
    found.eq(products::curated(rows))
}

/// UNLOAD writes NULL as an empty field.
fn texts(table: &QueryResult) -> Vec<Vec<String>> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    table.rows.iter().map(|row| row.iter().map(text).collect()).collect()
}

fn records(csv: &[u8], columns: &[String], key: &str) -> Result<Vec<Vec<String>>> {
    let mut reader = csv::Reader::from_reader(csv);
    let wrong = || format!("the unloaded object {key} is no CSV");
    if reader.headers().with_context(wrong)?.iter().ne(columns) {
        anyhow::bail!("the unloaded object {key} does not begin with the table's column names");
    }
    let record = |record: csv::Result<csv::StringRecord>| Ok(record?.iter().map(str::to_owned).collect());
    reader.records().map(record).collect::<Result<_>>().with_context(wrong)
}
