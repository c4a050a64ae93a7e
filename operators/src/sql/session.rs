//! A session with a user's database.

use futures::{StreamExt, stream::BoxStream};
use serde_json::Value;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection as _, Database, Either, PgConnection, Row, SqliteConnection};
use windrose_core::cause::Cause;
use windrose_core::connection::Connection;

use super::connect::{Destination, Target};
use super::error::{cannot_connect, connect_timed_out};
use super::rows::{postgres_row, sqlite_row};
use super::split::{Part, parts};

/// An open session.
pub enum Session {
    /// With PostgreSQL or Redshift.
    Postgres(PgConnection),
    /// With a SQLite file.
    Sqlite(SqliteConnection),
}

/// What a statement gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
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
    pub async fn open(destination: &Destination, connection: &Connection) -> Result<Self, Cause> {
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
            Ok(opened) => opened.map_err(|error| cannot_connect(&error, connection)),
            Err(_) => Err(connect_timed_out(connection, destination.timeout.as_secs())),
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
                last_answer::<sqlx::Postgres>(statement.fetch_many(session), postgres_row, |r| r.rows_affected())
                    .await?
            }
            Self::Sqlite(session) => {
                last_answer::<sqlx::Sqlite>(statement.fetch_many(session), sqlite_row, |r| r.rows_affected()).await?
            }
        };
        if answer.rows.is_none() && gives_rows(text) {
            answer.rows = Some(Vec::new());
        }
        Ok(answer)
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

async fn last_answer<DB: Database>(
    mut stream: Answers<'_, DB>,
    row_as_json: fn(&DB::Row) -> Value,
    affected: fn(&DB::QueryResult) -> u64,
) -> Result<Answer, sqlx::Error> {
    let mut last = Answer::default();
    let mut rows: Option<Vec<Value>> = None;
    while let Some(item) = stream.next().await {
        match item? {
            Either::Right(row) => rows.get_or_insert_default().push(row_as_json(&row)),
            Either::Left(end) => last = Answer { rows: rows.take(), affected: affected(&end) },
        }
    }
    if rows.is_some() {
        last.rows = rows;
    }
    Ok(last)
}

/// Whether the last statement has a result set even if it is empty: the driver tells rows only.
fn gives_rows(text: &str) -> bool {
    let code: String =
        parts(text).into_iter().map(|(part, range)| if part == Part::Comment { " " } else { &text[range] }).collect();
    let last = super::split::split_statements(&code).pop().unwrap_or_default().to_uppercase();
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
