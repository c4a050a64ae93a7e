//! A session with a user's database.

use futures::{StreamExt, stream::BoxStream};
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::{PgColumn, PgQueryResult};
use sqlx::sqlite::{SqliteColumn, SqliteQueryResult};
use sqlx::{
    AssertSqlSafe, Column, ConnectOptions, Connection as _, Database, Either, Executor, PgConnection, Row, SqlSafeStr,
    SqlStr, SqliteConnection, Statement,
};
use windrose_core::connection::Connection;

use super::connect::{Destination, Target};
use super::error::CannotConnect;
use super::rows::{postgres_row, sqlite_row};
use super::split::{Part, parts, split_statements};

/// An open session.
pub enum Session {
    /// With PostgreSQL or Redshift.
    Postgres(PgConnection),
    /// With a SQLite file.
    Sqlite(SqliteConnection),
}

/// A column of a result set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ResultColumn {
    /// Its name.
    pub name: String,
    /// The number of its type, where the server has such.
    pub type_code: Option<u32>,
}

/// What a statement gave.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Answer {
    /// The columns of the rows; not known if there are no rows, unless [`Session::describe_empty`] finds them.
    pub columns: Vec<ResultColumn>,
    /// The rows; `None` if the statement has no result set.
    pub rows: Option<Vec<Value>>,
    /// How many rows it changed or gave.
    pub affected: u64,
}

impl Session {
    /// Opens a session.
    ///
    /// # Errors
    /// The cause for the task, without the password.
    pub async fn open(destination: &Destination, connection: &Connection) -> Result<Self, CannotConnect> {
        let opening = async {
            match &destination.target {
                // The driver would log slow statements, and some carry credentials.
                Target::Postgres(options) => {
                    options.as_ref().clone().disable_statement_logging().connect().await.map(Self::Postgres)
                }
                Target::Sqlite(options) => {
                    options.clone().disable_statement_logging().connect().await.map(Self::Sqlite)
                }
            }
        };
        match tokio::time::timeout(destination.timeout, opening).await {
            Ok(opened) => opened.map_err(|error| CannotConnect::new(&error, connection)),
            Err(_) => Err(CannotConnect::timed_out(connection, destination.timeout.as_secs())),
        }
    }

    /// Runs a text of one statement or several by the simple protocol; the answer is the last statement's.
    ///
    /// # Errors
    /// The database's.
    pub async fn run(&mut self, text: &str) -> Result<Answer, sqlx::Error> {
        // Whose statement it is was decided when the DAG was written; parameters are quoted by `literal`.
        let statement = sqlx::raw_sql(AssertSqlSafe(text.to_owned()));
        let mut answer = match self {
            Self::Postgres(session) => {
                let reading =
                    Reading { row: postgres_row, column: postgres_column, affected: PgQueryResult::rows_affected };
                last_answer::<sqlx::Postgres>(statement.fetch_many(session), reading).await?
            }
            Self::Sqlite(session) => {
                let reading =
                    Reading { row: sqlite_row, column: sqlite_column, affected: SqliteQueryResult::rows_affected };
                last_answer::<sqlx::Sqlite>(statement.fetch_many(session), reading).await?
            }
        };
        if answer.rows.is_none() && gives_rows(text) {
            answer.rows = Some(Vec::new());
        }
        Ok(answer)
    }

    /// Asks for the columns of a result set without rows, which the driver does not tell. `text` has just been run.
    pub async fn describe_empty(&mut self, text: &str, answer: &mut Answer) {
        if answer.rows.as_ref().is_none_or(|rows| !rows.is_empty()) || split_statements(text).len() != 1 {
            return;
        }
        let text: SqlStr = AssertSqlSafe(text.to_owned()).into_sql_str();
        let columns: Option<Vec<_>> = match self {
            Self::Postgres(session) => {
                session.prepare(text).await.ok().map(|s| s.columns().iter().map(postgres_column).collect())
            }
            Self::Sqlite(session) => {
                session.prepare(text).await.ok().map(|s| s.columns().iter().map(sqlite_column).collect())
            }
        };
        answer.columns = columns.unwrap_or_default();
    }

    /// The server's number for this session; `None` where there is no server.
    ///
    /// # Errors
    /// The database's.
    pub async fn server_process(&mut self) -> Result<Option<i64>, sqlx::Error> {
        match self {
            Self::Postgres(session) => {
                let row = sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(session).await?;
                Ok(postgres_row(&row)[0].as_i64().filter(|_| row.len() == 1))
            }
            Self::Sqlite(_) => Ok(None),
        }
    }

    /// Says goodbye. An error here is of no interest.
    pub async fn close(self) {
        let _ = match self {
            Self::Postgres(session) => session.close().await,
            Self::Sqlite(session) => session.close().await,
        };
    }
}

/// Rows as they come, and the end of each statement.
type Answers<'s, DB> = BoxStream<'s, Result<Either<<DB as Database>::QueryResult, <DB as Database>::Row>, sqlx::Error>>;

/// How a driver's answers are read.
struct Reading<DB: Database> {
    row: fn(&DB::Row) -> Value,
    column: fn(&DB::Column) -> ResultColumn,
    affected: fn(&DB::QueryResult) -> u64,
}

async fn last_answer<DB: Database>(mut stream: Answers<'_, DB>, reading: Reading<DB>) -> Result<Answer, sqlx::Error> {
    let mut last = Answer::default();
    let mut rows: Option<Vec<Value>> = None;
    let mut columns = Vec::new();
    while let Some(item) = stream.next().await {
        match item? {
            Either::Right(row) => {
                if rows.is_none() {
                    columns = row.columns().iter().map(reading.column).collect();
                }
                rows.get_or_insert_default().push((reading.row)(&row));
            }
            Either::Left(end) => {
                let columns = std::mem::take(&mut columns);
                last = Answer { columns, rows: rows.take(), affected: (reading.affected)(&end) };
            }
        }
    }
    if rows.is_some() {
        (last.rows, last.columns) = (rows, columns);
    }
    Ok(last)
}

fn postgres_column(column: &PgColumn) -> ResultColumn {
    ResultColumn { name: column.name().to_owned(), type_code: column.type_info().oid().map(|oid| oid.0) }
}

fn sqlite_column(column: &SqliteColumn) -> ResultColumn {
    ResultColumn { name: column.name().to_owned(), type_code: None }
}

/// Whether the last statement has a result set even if it is empty: the driver tells rows only.
fn gives_rows(text: &str) -> bool {
    let code: String =
        parts(text).into_iter().map(|(part, range)| if part == Part::Comment { " " } else { &text[range] }).collect();
    let last = split_statements(&code).pop().unwrap_or_default().to_uppercase();
    let first = last.split(|c: char| !c.is_ascii_alphabetic()).find(|word| !word.is_empty()).unwrap_or_default();
    let selects = ["SELECT", "VALUES", "TABLE", "SHOW", "EXPLAIN", "FETCH", "PRAGMA"].contains(&first);
    let changes = ["INSERT", "UPDATE", "DELETE", "MERGE"];
    let holds = |word: &str| last.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|found| found == word);
    let into = first == "SELECT" && holds("INTO");
    (selects && !into) || holds("RETURNING") || (first == "WITH" && !changes.iter().any(|word| holds(word)))
}

#[cfg(test)]
mod tests {
    use super::gives_rows;

    #[test]
    fn statements_with_a_result_set_are_told_from_others() {
        for yes in [
            "select 1",
            "-- why\nSELECT 1;",
            "WITH a AS (SELECT 1) SELECT * FROM a",
            "(SELECT 1)",
            "DELETE FROM t RETURNING id",
            "BEGIN; SELECT 1",
        ] {
            assert!(gives_rows(yes), "{yes}");
        }
        for no in [
            "INSERT INTO t SELECT 1",
            "SELECT 1 INTO t",
            "WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a",
            "CALL p()",
            "",
            "SELECT 1; DELETE FROM t",
        ] {
            assert!(!gives_rows(no), "{no}");
        }
    }
}
