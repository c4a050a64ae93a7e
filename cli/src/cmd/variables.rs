//! `windrose variables`

use std::io::Read as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use windrose_store::{Topic, Variable};

use crate::args::VariablesCommand;
use crate::clock;
use crate::cmd::Session;
use crate::output::{self, Row};

#[derive(Serialize)]
struct Shown {
    key: String,
    description: Option<String>,
}

impl Row for Shown {
    const HEADS: &'static [&'static str] = &["variable", "description"];

    fn cells(&self) -> Vec<String> {
        vec![self.key.clone(), self.description.clone().unwrap_or_default()]
    }
}

pub(crate) async fn run(session: &Session, command: VariablesCommand) -> Result<ExitCode> {
    let store = session.store().await?;
    let missing = |key: &str| format!("the metadata database has no variable '{key}'; see 'windrose variables list'");
    match command {
        VariablesCommand::List => {
            let variables = store.variables().await?.into_iter();
            let rows: Vec<Shown> = variables.map(|v| Shown { key: v.key, description: v.description }).collect();
            output::list(&rows, session.json)?;
        }
        VariablesCommand::Get { key } => {
            let Some(value) = store.variable(&key).await? else { bail!("{}", missing(&key)) };
            if session.json { output::object(&value)? } else { outln!("{value}") }
        }
        VariablesCommand::Set { key, value } => {
            let value = value_or_stdin(value)?;
            let variable = Variable { key: key.clone(), value, description: None };
            store.put_variables(&[variable], true, clock::now()).await?;
            store.notify(Topic::Settings).await?;
            eprintln!("variable '{key}' is stored");
        }
        VariablesCommand::Delete { key } => {
            if !store.delete_variable(&key).await? {
                bail!("{}", missing(&key));
            }
            store.notify(Topic::Settings).await?;
            eprintln!("variable '{key}' is deleted");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `-` stands for what is written to standard input, without its last line break.
pub(crate) fn value_or_stdin(value: String) -> Result<String> {
    if value != "-" {
        return Ok(value);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).context("standard input cannot be read as text")?;
    Ok(text.strip_suffix('\n').map(str::to_owned).unwrap_or(text))
}
