//! Many rows in one statement: numbered `VALUES` lists, and the sizes in which long lists are cut.

use std::fmt::Write;

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::dialect::Dialect;
use crate::error::StoreError;

/// A statement that is being given its values.
pub(crate) type Statement<'q> = Query<'q, Any, AnyArguments>;

/// Lists up to this length are one statement each. Every length is a statement of its own to prepare and to keep, so
/// longer lists are cut into few sizes only.
const EXACT: usize = 16;
/// 16 columns times this is far below both databases' limits on parameters.
const SIZES: [usize; 2] = [256, 64];

/// `($1,$2),($3,$4)` for two rows of two columns.
pub(crate) fn values_list(columns: usize, rows: usize) -> String {
    let mut text = String::with_capacity(columns * rows * 5);
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ",(" });
        for column in 0..columns {
            let comma = if column == 0 { "" } else { "," };
            // Writing to a string cannot fail.
            let _ = write!(text, "{comma}${}", row * columns + column + 1);
        }
        text.push(')');
    }
    text
}

/// `(?,?),(?,?)` for two rows of two columns. To SQLite `$1` is a name, and names are searched one by one: a statement
/// with thousands of them spends nearly all its time on that.
fn unnumbered_values_list(columns: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    vec![row; rows].join(",")
}

/// Runs a statement for many rows. `sql` holds `{values}` where the list of `columns` values a row goes, and no other
/// parameters; `bind` gives a row's values in that order. Returns how many rows the database changed.
pub(crate) async fn execute_rows<'q, T>(
    tx: &mut Transaction<'_, Any>,
    sql: &str,
    columns: usize,
    rows: &'q [T],
    bind: impl for<'a> Fn(Statement<'a>, &'a T) -> Statement<'a>,
) -> Result<u64, StoreError> {
    let list = match Dialect::of(tx) {
        Dialect::Sqlite => unnumbered_values_list,
        Dialect::Postgres => values_list,
    };
    let mut changed = 0;
    let mut rest = rows;
    while !rest.is_empty() {
        let (chunk, more) = rest.split_at(chunk_size(rest.len()));
        let text = sql.replace("{values}", &list(columns, chunk.len()));
        let statement = chunk.iter().fold(sqlx::query(AssertSqlSafe(text)), &bind);
        changed += statement.execute(&mut **tx).await?.rows_affected();
        rest = more;
    }
    Ok(changed)
}

fn chunk_size(len: usize) -> usize {
    if len <= EXACT {
        return len;
    }
    SIZES.into_iter().find(|&size| size <= len).unwrap_or(EXACT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_through_all_rows() {
        assert_eq!(values_list(2, 3), "($1,$2),($3,$4),($5,$6)");
    }

    #[test]
    fn unnumbered_lists_have_as_many_places_as_numbered_ones() {
        assert_eq!(unnumbered_values_list(2, 3), "(?,?),(?,?),(?,?)");
    }

    #[test]
    fn a_long_list_is_cut_into_few_sizes_that_add_up() {
        let mut rest = 1000;
        let mut sizes = Vec::new();
        while rest > 0 {
            sizes.push(chunk_size(rest));
            rest -= chunk_size(rest);
        }
        assert_eq!(sizes, [256, 256, 256, 64, 64, 64, 16, 16, 8]);
    }
}
