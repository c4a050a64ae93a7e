//! `windrose bundles`

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde::Serialize;
use windrose_core::time::Timestamp;
use windrose_store::{BundleRow, Topic};

use crate::args::BundlesCommand;
use crate::cmd::Session;
use crate::output::{self, Row};

#[derive(Serialize)]
struct Shown {
    name: String,
    location: String,
    commit: Option<String>,
    author: Option<String>,
    committed_at: Option<Timestamp>,
    subject: Option<String>,
    loaded_at: Option<Timestamp>,
    checked_at: Option<Timestamp>,
    /// Why it cannot be newer.
    trouble: Option<String>,
}

impl From<BundleRow> for Shown {
    fn from(row: BundleRow) -> Self {
        let commit = row.commit;
        Self {
            name: row.name.to_string(),
            location: row.location,
            commit: commit.as_ref().map(|commit| commit.id.clone()),
            author: commit.as_ref().map(|commit| commit.author.clone()),
            committed_at: commit.as_ref().map(|commit| commit.committed_at),
            subject: commit.map(|commit| commit.subject),
            loaded_at: row.loaded_at,
            checked_at: row.checked_at,
            trouble: row.trouble,
        }
    }
}

impl Row for Shown {
    const HEADS: &'static [&'static str] = &["bundle", "location", "commit", "author", "loaded", "state"];

    fn cells(&self) -> Vec<String> {
        let commit = self.commit.as_deref().unwrap_or_default();
        let state = match (&self.trouble, self.loaded_at) {
            (Some(trouble), _) => trouble.as_str(),
            (None, None) => "not loaded yet",
            (None, Some(_)) => "ok",
        };
        vec![
            self.name.clone(),
            self.location.clone(),
            commit[..commit.len().min(12)].to_owned(),
            self.author.clone().unwrap_or_default(),
            self.loaded_at.map(|at| at.to_string()).unwrap_or_default(),
            state.to_owned(),
        ]
    }
}

pub(crate) async fn run(session: &Session, command: BundlesCommand) -> Result<ExitCode> {
    let store = session.store().await?;
    let rows = store.bundles().await?;
    match command {
        BundlesCommand::List => {
            let rows: Vec<Shown> = rows.into_iter().map(Shown::from).collect();
            output::list(&rows, session.json)?;
        }
        BundlesCommand::Refresh => {
            if rows.is_empty() {
                bail!("there are no bundles yet; start 'windrose standalone' first");
            }
            store.notify(Topic::Bundles).await?;
            eprintln!("the scheduler is told to ask all bundles for news; see 'windrose bundles list'");
        }
    }
    Ok(ExitCode::SUCCESS)
}
