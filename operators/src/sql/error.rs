//! What a database's errors mean for a task. No message here holds a password.

use sqlx::postgres::{PgDatabaseError, PgErrorPosition};
use windrose_core::cause::Cause;
use windrose_core::connection::Connection;

/// How much of a statement is kept with its error, in characters.
const STATEMENT_SHOWN: usize = 500;

/// The cause of a statement that failed.
#[must_use]
pub fn statement_failed(error: &sqlx::Error, statement: &str) -> Cause {
    let refusal = error.as_database_error();
    let postgres = refusal.and_then(|e| e.try_downcast_ref::<PgDatabaseError>());
    let position = postgres.and_then(|e| match e.position() {
        Some(PgErrorPosition::Original(position)) => u32::try_from(position).ok(),
        _ => None,
    });
    let mut message = refusal.map_or_else(|| error.to_string(), |refusal| refusal.message().to_owned());
    for more in postgres.iter().flat_map(|e| [e.detail(), e.hint()]).flatten() {
        message.push_str("; ");
        message.push_str(more);
    }
    Cause::Sql {
        message,
        sqlstate: postgres.map(|e| e.code().to_owned()),
        position,
        statement: Some(statement.chars().take(STATEMENT_SHOWN).collect()),
    }
}

/// The cause of a connection that could not be made.
#[must_use]
pub fn cannot_connect(error: &sqlx::Error, connection: &Connection) -> Cause {
    let place = match (&connection.host, connection.port) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.clone(),
        _ => "the database".to_owned(),
    };
    let advice = match error {
        sqlx::Error::Database(_) => "Check the login, the password and the database's name.",
        sqlx::Error::Tls(_) => "Check the connection's sslmode and certificates.",
        _ => "Check the host and port, and that the worker's network may reach them (VPC peering, security group).",
    };
    Cause::Connection {
        id: connection.conn_id.clone(),
        message: format!("{place} cannot be connected to: {error}. {advice}"),
        asked: Vec::new(),
    }
}

/// The cause of a connection that did not come about in time.
#[must_use]
pub fn connect_timed_out(connection: &Connection, seconds: u64) -> Cause {
    let late =
        sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no answer within {seconds} s")));
    cannot_connect(&late, connection)
}
