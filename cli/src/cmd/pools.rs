//! `windrose pools`

use std::process::ExitCode;

use anyhow::{Result, bail};
use serde::Serialize;
use windrose_store::{PoolRow, Topic};

use crate::args::PoolsCommand;
use crate::cmd::Session;
use crate::output::{self, Row};

#[derive(Serialize)]
struct Shown {
    name: String,
    slots: i32,
    include_deferred: bool,
    description: Option<String>,
}

impl Row for Shown {
    const HEADS: &'static [&'static str] = &["pool", "slots", "counts deferred", "description"];

    fn cells(&self) -> Vec<String> {
        let slots = if self.slots < 0 { "unlimited".into() } else { self.slots.to_string() };
        let deferred = if self.include_deferred { "yes" } else { "no" };
        vec![self.name.clone(), slots, deferred.into(), self.description.clone().unwrap_or_default()]
    }
}

pub(crate) async fn run(session: &Session, command: PoolsCommand) -> Result<ExitCode> {
    let store = session.store().await?;
    match command {
        PoolsCommand::List => {
            let pools = store.pools().await?.into_iter();
            let rows: Vec<Shown> = pools
                .map(|p| Shown {
                    name: p.name,
                    slots: p.slots,
                    include_deferred: p.include_deferred,
                    description: p.description,
                })
                .collect();
            output::list(&rows, session.json)?;
        }
        PoolsCommand::Set { name, slots, description, include_deferred } => {
            if slots < -1 {
                bail!("a pool has 0 or more slots, or -1 for no limit; {slots} is neither");
            }
            store.put_pool(&PoolRow { name: name.clone(), slots, description, include_deferred }).await?;
            store.notify(Topic::Settings).await?;
            eprintln!("pool '{name}' is stored");
        }
        PoolsCommand::Delete { name } => {
            if name == "default_pool" {
                bail!("default_pool cannot be deleted: tasks that name no pool use it");
            }
            if !store.delete_pool(&name).await? {
                bail!("there is no pool '{name}'; see 'windrose pools list'");
            }
            store.notify(Topic::Settings).await?;
            eprintln!("pool '{name}' is deleted");
        }
    }
    Ok(ExitCode::SUCCESS)
}
