//! `windrose bundles …`, and the commands about versions.

use clap::{Args as ClapArgs, Subcommand};

/// `windrose bundles …`
#[derive(Debug, Subcommand)]
pub(crate) enum BundlesCommand {
    /// Where DAG files come from, what of it is loaded, and what keeps it from being newer.
    List,
    /// Ask all bundles for news now.
    Refresh,
}

/// Options of `dags diff`.
#[derive(Debug, ClapArgs)]
pub(crate) struct DiffArgs {
    /// The DAG's id.
    pub dag_id: String,
    /// A version, or its commit [default: the one before].
    pub from: Option<String>,
    /// Another one [default: the current one].
    pub to: Option<String>,
}

/// Options of `dags rollback`.
#[derive(Debug, ClapArgs)]
pub(crate) struct RollbackArgs {
    /// The DAG's id.
    pub dag_id: String,
    /// The version, or its commit, that new runs get until the file changes again.
    #[arg(value_name = "VERSION", required_unless_present = "release")]
    pub wanted: Option<String>,
    /// Back to the newest version.
    #[arg(long, conflicts_with = "wanted")]
    pub release: bool,
}
