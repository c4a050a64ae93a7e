//! Ids of rows that are only ever added.

use uuid::Uuid;

/// A UUID of version 7 as 32 hexadecimal digits: unique everywhere, and within a process greater than all before.
pub(crate) fn row_id() -> String {
    Uuid::now_v7().simple().to_string()
}
