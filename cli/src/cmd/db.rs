//! `windrose db`

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;
use windrose_store::Store;

use crate::args::DbCommand;
use crate::cmd::Session;
use crate::output;

pub(crate) async fn run(session: &Session, command: DbCommand) -> Result<ExitCode> {
    match command {
        DbCommand::Migrate => {
            let store = session.store().await?;
            eprintln!("the schema of {} is up to date", store.location());
        }
        DbCommand::Check => {
            let report = Store::check(&session.config.database_url()).await?;
            if session.json {
                output::object(&json!({
                    "location": report.location,
                    "server_version": report.server_version,
                    "schema_version": report.schema_version,
                    "known_version": report.known_version,
                    "pending": report.pending,
                }))?;
            } else {
                outln!("database        {} ({})", report.location, report.server_version);
                outln!("schema version  {} of {}", report.schema_version, report.known_version);
                let pending = if report.pending.is_empty() { "none".to_owned() } else { report.pending.join(", ") };
                outln!("to be migrated  {pending}");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
