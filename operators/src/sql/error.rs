//! What a database's errors mean for a task. No message here holds a password.

use sqlx::postgres::{PgDatabaseError, PgErrorPosition};
use windrose_core::cause::Cause;
use windrose_core::connection::Connection;

use super::patience::passes;

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

/// A session that could not be opened.
#[derive(Debug)]
pub struct CannotConnect {
    /// The cause for the task.
    pub cause: Cause,
    /// Whether another try may succeed.
    pub passes: bool,
}

impl CannotConnect {
    pub(super) fn new(error: &sqlx::Error, connection: &Connection) -> Self {
        let place = match (&connection.host, connection.port) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.clone(),
            _ => "the database".to_owned(),
        };
        let message = format!("{place} cannot be connected to: {error}. {}", advice(error, connection));
        let cause = Cause::Connection { id: connection.conn_id.clone(), message, asked: Vec::new() };
        Self { cause, passes: passes(error) }
    }

    /// It did not come about in time.
    pub(super) fn timed_out(connection: &Connection, seconds: u64) -> Self {
        let late = std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no answer within {seconds} s"));
        Self::new(&sqlx::Error::Io(late), connection)
    }
}

/// What to do, as a sentence.
fn advice(error: &sqlx::Error, connection: &Connection) -> String {
    let id = &connection.conn_id;
    if let sqlx::Error::Database(refusal) = error {
        return match refusal.code().as_deref() {
            _ if refusal.message().contains("no encryption") => {
                format!("The server wants TLS: set sslmode = \"require\" or more in the extra of '{id}'.")
            }
            _ if refusal.message().contains("no pg_hba.conf entry") => {
                "The server's pg_hba.conf lets nobody in from the worker's address with this login and database: \
                 have its administrator add them."
                    .to_owned()
            }
            Some("28P01" | "28000") if connection.password.as_deref().is_none_or(str::is_empty) => {
                format!("The connection '{id}' has no password: give it one where it is kept.")
            }
            Some("28P01" | "28000") => {
                format!("Check the login and the password of the connection '{id}' where it is kept.")
            }
            Some("3D000") => "Check the database's name: the connection's schema, or the task's database.".to_owned(),
            Some("53300") => {
                "Close sessions, or let the server have more (max_connections, the role's limit).".to_owned()
            }
            Some("57P01" | "57P02" | "57P03") => "Wait until the server is up.".to_owned(),
            _ => "Check the login, the password and the database's name.".to_owned(),
        };
    }
    let text = error.to_string();
    let untrusted = "Nobody whom the worker trusts has signed the server's certificate: name the file with its authority's \
                     certificate in the extra's sslrootcert, or, without any check of who answers, set sslmode = \
                     \"require\" and no sslrootcert.";
    let certificate = [
        ("UnknownIssuer", untrusted),
        // An authority of the same name, but another one.
        ("BadSignature", untrusted),
        (
            "not valid for name",
            "The server's certificate is for another name: use that name as the host, or set sslmode = \"verify-ca\" in \
             the extra.",
        ),
        ("Expired", "The server's certificate has expired: have its administrator renew it."),
        (
            "does not support TLS",
            "Switch TLS on in the server, or, where nobody can listen, set sslmode = \"disable\" in the extra.",
        ),
    ];
    let found = certificate.iter().find(|(part, _)| text.contains(part)).map(|(_, advice)| *advice);
    let tls = matches!(error, sqlx::Error::Tls(_)) || text.contains("certificate") || text.contains("TLS");
    let other = if tls {
        "Check the connection's sslmode and certificates."
    } else {
        "Check the host and port, and that the worker's network may reach them (VPC peering, security group)."
    };
    found.unwrap_or(other).to_owned()
}
