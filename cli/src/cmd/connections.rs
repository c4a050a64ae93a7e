//! `windrose connections`

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use windrose_core::connection::{Connection, Reading};
use windrose_store::Topic;

use crate::args::ConnectionsCommand;
use crate::clock;
use crate::cmd::Session;
use crate::output::{self, Row};

/// A connection without its secrets.
#[derive(Serialize)]
struct Shown {
    conn_id: String,
    conn_type: String,
    host: Option<String>,
    port: Option<u16>,
    schema: Option<String>,
    login: Option<String>,
    has_password: bool,
    /// Keys only: values may be secrets.
    extra_keys: Vec<String>,
    description: Option<String>,
}

impl From<Connection> for Shown {
    fn from(c: Connection) -> Self {
        Self {
            has_password: c.password.as_ref().is_some_and(|p| !p.is_empty()),
            extra_keys: c.extra_object().keys().cloned().collect(),
            conn_id: c.conn_id,
            conn_type: c.conn_type,
            host: c.host,
            port: c.port,
            schema: c.schema,
            login: c.login,
            description: c.description,
        }
    }
}

impl Row for Shown {
    const HEADS: &'static [&'static str] =
        &["connection", "type", "host", "port", "schema", "login", "password", "extra"];

    fn cells(&self) -> Vec<String> {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        vec![
            self.conn_id.clone(),
            self.conn_type.clone(),
            text(&self.host),
            self.port.map(|p| p.to_string()).unwrap_or_default(),
            text(&self.schema),
            text(&self.login),
            if self.has_password { "set".into() } else { String::new() },
            self.extra_keys.join(", "),
        ]
    }
}

pub(crate) async fn run(session: &Session, command: ConnectionsCommand) -> Result<ExitCode> {
    let store = session.store().await?;
    match command {
        ConnectionsCommand::List => {
            let rows: Vec<Shown> = store.connections().await?.into_iter().map(Shown::from).collect();
            output::list(&rows, session.json)?;
        }
        ConnectionsCommand::Get { conn_id } => {
            let Some(connection) = store.connection(&conn_id).await? else { bail!("{}", missing(&conn_id)) };
            output::list(&[Shown::from(connection)], session.json)?;
        }
        ConnectionsCommand::Set { conn_id, value } => {
            let text = super::variables::value_or_stdin(value)?;
            let connection = parse(&conn_id, &text)?;
            store.put_connections(&[connection], true, clock::now()).await?;
            store.notify(Topic::Settings).await?;
            eprintln!("connection '{conn_id}' is stored");
        }
        ConnectionsCommand::Delete { conn_id } => {
            if !store.delete_connection(&conn_id).await? {
                bail!("{}", missing(&conn_id));
            }
            store.notify(Topic::Settings).await?;
            eprintln!("connection '{conn_id}' is deleted");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn missing(conn_id: &str) -> String {
    format!("the metadata database has no connection '{conn_id}'; see 'windrose connections list'")
}

/// A URI or a JSON object. The text may hold a password, so no error shows it.
fn parse(conn_id: &str, text: &str) -> Result<Connection> {
    let connection = if text.trim_start().starts_with('{') {
        Connection::from_json(conn_id, text, Reading::Server).map_err(|e| anyhow::anyhow!("{e}"))
    } else {
        Connection::from_uri(conn_id, text, Reading::Server).map_err(|e| anyhow::anyhow!("{e}"))
    };
    connection.with_context(|| format!("connection '{conn_id}' cannot be read; write a URI such as postgres://user:password@host:5432/database, or a JSON object"))
}
