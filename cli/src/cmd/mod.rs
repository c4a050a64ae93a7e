//! The commands, one file each.

mod approvals;
mod assets;
mod backfill;
mod bundles;
mod change;
mod check;
pub(crate) mod commands;
mod completions;
mod connections;
mod dags;
mod db;
mod deadlines;
mod explain;
mod init;
mod operators;
mod pools;
mod runs;
mod schema;
mod simulate;
mod task_logs;
mod task_test;
mod tasks;
mod tries;
mod trigger;
mod variables;
mod versions;

use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::args::{Args, Command};
use crate::config::Config;
use crate::{database, demo, standalone};

/// What a command is given besides its own arguments.
pub(crate) struct Session {
    pub(crate) config: Config,
    pub(crate) json: bool,
}

impl Session {
    pub(crate) async fn store(&self) -> Result<windrose_store::Store> {
        database::open(&self.config).await
    }
}

/// Carries out what was typed.
pub(crate) fn run(args: Args) -> Result<ExitCode> {
    if let Command::Completions { shell } = args.command {
        return Ok(completions::print(shell));
    }
    let mut config = Config::load(args.config.as_deref())?;
    config.database = args.database.or(config.database);
    // Tasks run in folders of their own, where a relative path would mean something else.
    let data = args.data.unwrap_or(config.data);
    config.data = std::path::absolute(&data)
        .with_context(|| format!("the data folder {} has no absolute path", data.display()))?;
    let session = Session { config, json: args.json };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the asynchronous runtime cannot be started")?;
    let code = runtime.block_on(dispatch(session, args.command));
    // Blocking reads of standard input or files must not keep the process.
    runtime.shutdown_background();
    code
}

async fn dispatch(session: Session, command: Command) -> Result<ExitCode> {
    match command {
        Command::Standalone(args) => standalone::run(session.config, args).await,
        Command::Dags(command) => dags::run(&session, command).await,
        Command::Runs(command) => runs::run(&session, command).await,
        Command::Tasks(command) => tasks::run(&session, command).await,
        Command::Explain(args) => explain::run(&session, args).await,
        Command::Backfill(command) => backfill::run(&session, command).await,
        Command::Connections(command) => connections::run(&session, command).await,
        Command::Variables(command) => variables::run(&session, command).await,
        Command::Approvals(command) => approvals::run(&session, command).await,
        Command::Assets(command) => assets::run(&session, command).await,
        Command::Init { folder } => init::run(&folder).map(|()| ExitCode::SUCCESS),
        Command::Bundles(command) => bundles::run(&session, command).await,
        Command::Pools(command) => pools::run(&session, command).await,
        Command::Operators(command) => operators::run(&session, command),
        Command::Db(command) => db::run(&session, command).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Completions { shell } => Ok(completions::print(shell)),
    }
}
