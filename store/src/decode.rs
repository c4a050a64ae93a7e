//! From columns to the types of `core`. What does not fit is [`StoreError::Corrupt`], never a panic.

use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::any::AnyRow;
use windrose_core::ids::AttemptId;
use windrose_core::time::Timestamp;

use crate::error::StoreError;

pub(crate) fn text(row: &AnyRow, column: &str) -> Result<String, StoreError> {
    Ok(row.try_get(column)?)
}

pub(crate) fn optional_text(row: &AnyRow, column: &str) -> Result<Option<String>, StoreError> {
    Ok(row.try_get(column)?)
}

/// A whole number, in the width the caller wants.
pub(crate) fn number<T: TryFrom<i64>>(row: &AnyRow, column: &str) -> Result<T, StoreError> {
    let value: i64 = row.try_get(column)?;
    T::try_from(value).map_err(|_| StoreError::corrupt(format!("{value} is out of range in column {column}")))
}

pub(crate) fn optional_number<T: TryFrom<i64>>(row: &AnyRow, column: &str) -> Result<Option<T>, StoreError> {
    match row.try_get::<Option<i64>, _>(column)? {
        None => Ok(None),
        Some(_) => number(row, column).map(Some),
    }
}

pub(crate) fn flag(row: &AnyRow, column: &str) -> Result<bool, StoreError> {
    Ok(number::<i64>(row, column)? != 0)
}

pub(crate) fn instant(row: &AnyRow, column: &str) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_micros(row.try_get(column)?))
}

pub(crate) fn optional_instant(row: &AnyRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Timestamp::from_micros))
}

/// A word of a closed set.
pub(crate) fn word<T>(row: &AnyRow, column: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, StoreError> {
    let word = text(row, column)?;
    parse(&word).ok_or_else(|| StoreError::corrupt(format!("'{word}' in column {column}")))
}

pub(crate) fn json<T: DeserializeOwned>(row: &AnyRow, column: &str) -> Result<T, StoreError> {
    parse_json(&text(row, column)?, column)
}

pub(crate) fn optional_json<T: DeserializeOwned>(row: &AnyRow, column: &str) -> Result<Option<T>, StoreError> {
    optional_text(row, column)?.map(|text| parse_json(&text, column)).transpose()
}

fn parse_json<T: DeserializeOwned>(text: &str, column: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::corrupt(format!("column {column}: {error}")))
}

pub(crate) fn attempt(row: &AnyRow, column: &str) -> Result<AttemptId, StoreError> {
    text(row, column)?.parse().map_err(|error| StoreError::corrupt(format!("column {column}: {error}")))
}

pub(crate) fn optional_attempt(row: &AnyRow, column: &str) -> Result<Option<AttemptId>, StoreError> {
    match optional_text(row, column)? {
        None => Ok(None),
        Some(_) => attempt(row, column).map(Some),
    }
}

/// For columns that hold JSON. Only values whose maps have text keys are stored, so writing cannot fail.
pub(crate) fn to_json(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Internal { message: format!("cannot write JSON: {error}") })
}

pub(crate) fn optional_to_json(value: Option<&impl serde::Serialize>) -> Result<Option<String>, StoreError> {
    value.map(to_json).transpose()
}
