//! Which row a `COPY` could not load: the error itself only names the system table in which that stands.

use serde_json::Value;
use windrose_core::cause::Cause;

use crate::error::TaskError;

/// The failed `COPY`, as the system tables know it.
#[derive(Debug, Clone, Copy)]
pub(super) enum LoadedBy {
    /// The session that asks ran it.
    ThisSession,
    /// It has this number.
    Query(i64),
}

/// The question for the row, if this error names a table that has it. Its answer has the fields of [`sentence`].
pub(super) fn question(error: &TaskError, by: LoadedBy) -> Option<String> {
    let message = message_of(error)?;
    // Of a cluster, and of a workgroup.
    if message.contains("stl_load_errors") {
        let whose = match by {
            LoadedBy::ThisSession => "session = pg_backend_pid()".to_owned(),
            LoadedBy::Query(number) => format!("query = {number}"),
        };
        Some(format!(
            "SELECT trim(filename), line_number, trim(colname), trim(type), trim(raw_field_value), trim(err_reason) \
             FROM stl_load_errors WHERE {whose} ORDER BY starttime DESC LIMIT 1"
        ))
    } else if message.contains("sys_load_error_detail") {
        let whose = match by {
            LoadedBy::ThisSession => "session_id = pg_backend_pid()".to_owned(),
            LoadedBy::Query(number) => format!("query_id = {number}"),
        };
        Some(format!(
            "SELECT trim(file_name), line_number, trim(column_name), trim(column_type), NULL, trim(error_message) \
             FROM sys_load_error_detail WHERE {whose} ORDER BY start_time DESC LIMIT 1"
        ))
    } else {
        None
    }
}

/// The error with a sentence about the row.
pub(super) fn told(mut error: TaskError, row: &Value) -> TaskError {
    if let TaskError::Failed { cause, .. } = &mut error
        && let Cause::Sql { message, .. } | Cause::RemoteFailed { message: Some(message), .. } = cause
    {
        message.push(' ');
        message.push_str(&sentence(row));
    }
    error
}

/// From file, line, column, type, value and reason.
fn sentence(row: &Value) -> String {
    let field = |n: usize| match &row[n] {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Null => None,
        other => Some(other.to_string()),
    };
    let place = match (field(1), field(0)) {
        (Some(line), Some(file)) => format!("Line {line} of {file}"),
        (Some(line), None) => format!("Line {line}"),
        (None, file) => file.unwrap_or_else(|| "A row".to_owned()),
    };
    let kind = field(3).map(|kind| format!(" ({kind})")).unwrap_or_default();
    let column = field(2).map(|column| format!(", column {column}{kind}")).unwrap_or_default();
    let value = field(4).map(|value| format!(", value '{value}'")).unwrap_or_default();
    let reason = field(5).unwrap_or_else(|| "no reason is given".to_owned());
    format!("{place}{column}{value}: {reason}. Mend the file, or let COPY go on with MAXERROR in copy_options.")
}

fn message_of(error: &TaskError) -> Option<&str> {
    match error {
        TaskError::Failed { cause: Cause::Sql { message, .. }, .. } => Some(message),
        TaskError::Failed { cause: Cause::RemoteFailed { message, .. }, .. } => message.as_deref(),
        _ => None,
    }
}

#[cfg(test)]
mod unit_tests {
    use serde_json::json;

    use super::*;

    fn failed(message: &str) -> TaskError {
        TaskError::retryable(Cause::Sql {
            message: message.to_owned(),
            sqlstate: None,
            position: None,
            statement: None,
        })
    }

    #[test]
    fn the_table_that_the_error_names_is_asked() {
        let of = |message: &str, by| question(&failed(message), by);
        let cluster = of("Check 'stl_load_errors' system table for details.", LoadedBy::ThisSession).unwrap();
        assert!(cluster.contains("FROM stl_load_errors WHERE session = pg_backend_pid()"), "{cluster}");
        let workgroup = of("Check 'sys_load_error_detail' system table for details.", LoadedBy::Query(7)).unwrap();
        assert!(workgroup.contains("FROM sys_load_error_detail WHERE query_id = 7"), "{workgroup}");
        assert!(of("relation \"t\" does not exist", LoadedBy::ThisSession).is_none());
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let row = json!(["s3://b/a.csv", 3, "price", "int4", "x", "Invalid digit"]);
        assert!(sentence(&row).starts_with("Line 3 of s3://b/a.csv, column price (int4), value 'x': Invalid digit. "));
        let row = json!(["s3://b/a.csv", 3, "", null, null, "Extra column(s) found"]);
        assert!(sentence(&row).starts_with("Line 3 of s3://b/a.csv: Extra column(s) found. "));
    }
}
