//! Rows as JSON: numbers and truth values as such, JSON columns as what they hold, everything else as text.

use base64::Engine;
use serde_json::{Number, Value};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column, Row, TypeInfo, ValueRef};

/// A row of PostgreSQL or Redshift, as the simple protocol brings it: every value is text.
#[must_use]
pub fn postgres_row(row: &PgRow) -> Value {
    let cell = |index: usize| {
        let Ok(raw) = row.try_get_raw(index) else { return Value::Null };
        if raw.is_null() {
            return Value::Null;
        }
        let type_name = row.column(index).type_info().name().to_uppercase();
        raw.as_str().map_or(Value::Null, |text| postgres_value(&type_name, text))
    };
    (0..row.len()).map(cell).collect()
}

fn postgres_value(type_name: &str, text: &str) -> Value {
    match type_name {
        "INT2" | "INT4" | "INT8" | "OID" | "FLOAT4" | "FLOAT8" | "NUMERIC" => number(text),
        "BOOL" => Value::Bool(text == "t" || text == "true"),
        "JSON" | "JSONB" => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        _ => text.into(),
    }
}

/// A number where JSON can hold it without loss; text otherwise (`NaN`, long decimals).
fn number(text: &str) -> Value {
    if let Ok(whole) = text.parse::<i64>() {
        return whole.into();
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    // A double keeps 15 decimal digits.
    let exact = digits <= 15 || text.contains('e');
    let parsed = text.parse::<f64>().ok().filter(|_| exact).and_then(Number::from_f64);
    parsed.map_or_else(|| text.into(), Value::Number)
}

/// A row of SQLite, whose values carry their own types.
#[must_use]
pub fn sqlite_row(row: &SqliteRow) -> Value {
    let cell = |index: usize| {
        let Ok(raw) = row.try_get_raw(index) else { return Value::Null };
        if raw.is_null() {
            return Value::Null;
        }
        let type_name = raw.type_info().name().to_owned();
        match type_name.as_str() {
            "REAL" => row.try_get_unchecked::<f64, _>(index).map_or(Value::Null, Value::from),
            "BLOB" => row
                .try_get_unchecked::<Vec<u8>, _>(index)
                .map_or(Value::Null, |bytes| base64::engine::general_purpose::STANDARD.encode(bytes).into()),
            "TEXT" | "DATE" | "TIME" | "DATETIME" => {
                row.try_get_unchecked::<String, _>(index).map_or(Value::Null, Value::from)
            }
            _ => row.try_get_unchecked::<i64, _>(index).map_or(Value::Null, Value::from),
        }
    };
    (0..row.len()).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_numbers_where_nothing_is_lost() {
        assert_eq!(postgres_value("INT8", "9007199254740993"), json!(9_007_199_254_740_993_i64));
        assert_eq!(postgres_value("NUMERIC", "12.50"), json!(12.5));
        assert_eq!(postgres_value("NUMERIC", "12345678901234567890.12"), json!("12345678901234567890.12"));
        assert_eq!(postgres_value("FLOAT8", "NaN"), json!("NaN"));
        assert_eq!(postgres_value("FLOAT8", "1e-7"), json!(1e-7));
    }

    #[test]
    fn other_types_are_what_they_say() {
        assert_eq!(postgres_value("BOOL", "t"), json!(true));
        assert_eq!(postgres_value("JSONB", "{\"a\": [1]}"), json!({ "a": [1] }));
        assert_eq!(postgres_value("DATE", "2026-01-02"), json!("2026-01-02"));
    }
}
