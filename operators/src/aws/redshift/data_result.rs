//! What the statements of a Data API call leave behind: all pages of their results, bounded.

use aws_sdk_redshiftdata::types::{ColumnMetadata, Field};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::data_api::result_page;
use crate::aws::session::AwsSession;
use crate::error::TaskError;

/// The form in which rows are handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::aws) enum RowsAs {
    /// As the API answers: `{"ColumnMetadata": […], "Records": [[{"longValue": 1}, …]], "TotalNumRows": 1}`.
    #[default]
    TypedCells,
    /// Rows as lists of plain values.
    Lists,
    /// Rows as tables from column name to plain value.
    Objects,
}

/// Fetches results and counts their bytes: an XCom is not the place for a table.
pub(super) struct Results<'a> {
    pub(super) session: &'a AwsSession,
    pub(super) rows_as: RowsAs,
    pub(super) largest: u64,
    pub(super) used: u64,
}

impl Results<'_> {
    /// All pages of one statement's result.
    pub(super) async fn of(&mut self, id: &str) -> Result<Value, TaskError> {
        let mut columns: Vec<ColumnMetadata> = Vec::new();
        let mut rows: Vec<Value> = Vec::new();
        let mut next = None;
        loop {
            let page = result_page(self.session, id, next).await.map_err(|error| {
                if error.is("ResourceNotFoundException") || error.is("ValidationException") {
                    error.with_hint("A statement without a result set has none to return: leave out return_sql_result.")
                } else {
                    error
                }
            })?;
            if columns.is_empty() {
                columns = page.column_metadata.unwrap_or_default();
            }
            for record in &page.records {
                let row = self.row(&columns, record);
                self.count(id, &row)?;
                rows.push(row);
            }
            next = page.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(self.whole(&columns, rows, page.total_num_rows));
            }
        }
    }

    fn count(&mut self, id: &str, row: &Value) -> Result<(), TaskError> {
        self.used += row.to_string().len() as u64;
        if self.used <= self.largest {
            return Ok(());
        }
        Err(TaskError::failed(format!(
            "The result of statement {id} is larger than max_result_bytes = {}. Results are for small values: select less, \
             write it to S3 with redshift_to_s3, or raise max_result_bytes.",
            self.largest
        )))
    }

    fn row(&self, columns: &[ColumnMetadata], record: &[Field]) -> Value {
        match self.rows_as {
            RowsAs::TypedCells => record.iter().map(typed_cell).collect(),
            RowsAs::Lists => record.iter().map(plain).collect(),
            RowsAs::Objects => {
                let name =
                    |n: usize| columns.get(n).and_then(|c| c.label().or(c.name())).unwrap_or_default().to_owned();
                Value::Object(record.iter().enumerate().map(|(n, cell)| (name(n), plain(cell))).collect())
            }
        }
    }

    fn whole(&self, columns: &[ColumnMetadata], rows: Vec<Value>, total: i64) -> Value {
        match self.rows_as {
            RowsAs::TypedCells => json!({
                "ColumnMetadata": columns.iter().map(column).collect::<Vec<_>>(), "Records": rows, "TotalNumRows": total,
            }),
            RowsAs::Lists | RowsAs::Objects => Value::Array(rows),
        }
    }
}

fn plain(cell: &Field) -> Value {
    match cell {
        Field::StringValue(text) => text.as_str().into(),
        Field::LongValue(number) => (*number).into(),
        Field::DoubleValue(number) => (*number).into(),
        Field::BooleanValue(truth) => (*truth).into(),
        Field::BlobValue(bytes) => STANDARD.encode(bytes.as_ref()).into(),
        _ => Value::Null,
    }
}

fn typed_cell(cell: &Field) -> Value {
    let key = match cell {
        Field::StringValue(_) => "stringValue",
        Field::LongValue(_) => "longValue",
        Field::DoubleValue(_) => "doubleValue",
        Field::BooleanValue(_) => "booleanValue",
        Field::BlobValue(_) => "blobValue",
        _ => return json!({"isNull": true}),
    };
    json!({ key: plain(cell) })
}

fn column(column: &ColumnMetadata) -> Value {
    let mut shown = Map::new();
    let texts = [
        ("name", column.name()),
        ("label", column.label()),
        ("typeName", column.type_name()),
        ("schemaName", column.schema_name()),
        ("tableName", column.table_name()),
        ("columnDefault", column.column_default()),
    ];
    for (key, text) in texts {
        if let Some(text) = text {
            shown.insert(key.to_owned(), text.into());
        }
    }
    let numbers = [
        ("length", column.length()),
        ("nullable", column.nullable()),
        ("precision", column.precision()),
        ("scale", column.scale()),
    ];
    shown.extend(numbers.map(|(key, number)| (key.to_owned(), number.into())));
    let flags = [
        ("isCaseSensitive", column.is_case_sensitive()),
        ("isCurrency", column.is_currency()),
        ("isSigned", column.is_signed()),
    ];
    shown.extend(flags.map(|(key, flag)| (key.to_owned(), flag.into())));
    Value::Object(shown)
}
