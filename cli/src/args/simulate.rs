//! `windrose dags simulate`

use std::path::PathBuf;

use clap::Args as ClapArgs;

/// Options of `dags simulate`.
#[derive(Debug, ClapArgs)]
pub(crate) struct SimulateArgs {
    /// The DAG file.
    pub file: PathBuf,
    /// What the tasks do (JSON); without it, every task succeeds.
    #[arg(long, value_name = "FILE")]
    pub outcomes: Option<PathBuf>,
    /// How long each try of a task takes, as load=90s; as often as needed.
    #[arg(long = "duration", value_name = "TASK=TIME", value_parser = pair)]
    pub durations: Vec<(String, String)>,
    /// How long each try of all other tasks takes.
    #[arg(long, value_name = "TIME")]
    pub default_duration: Option<String>,
    /// Take durations from the last successful runs in the metadata database, where nothing else says them.
    #[arg(long)]
    pub past_durations: bool,
    /// The slots of a pool, as narrow=3; as often as needed.
    #[arg(long = "pool", value_name = "NAME=SLOTS", value_parser = pair)]
    pub pools: Vec<(String, String)>,
    /// Take the slots of pools from the metadata database, where nothing else says them.
    #[arg(long)]
    pub stored_pools: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.rsplit_once('=').ok_or_else(|| format!("'{text}' has no '='; write NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}
