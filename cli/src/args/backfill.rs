//! `windrose backfill`

use clap::{Args as ClapArgs, Subcommand};

/// `windrose backfill …`
#[derive(Debug, Subcommand)]
pub(crate) enum BackfillCommand {
    /// Make runs for the dates of a DAG's schedule in a range of the past.
    Create(BackfillArgs),
    /// Backfills, newest first.
    List {
        /// Only this DAG's.
        dag_id: Option<String>,
    },
    /// One backfill: its progress and its dates.
    Show {
        /// Its number.
        id: i64,
    },
    /// Let no further date have its turn; what runs goes on.
    Pause {
        /// Its number.
        id: i64,
    },
    /// Go on with a paused backfill.
    #[command(alias = "unpause")]
    Resume {
        /// Its number.
        id: i64,
    },
    /// End a backfill: dates that wait get no run, queued runs fail, and what runs goes on.
    Cancel {
        /// Its number.
        id: i64,
        /// Cancel what runs, too.
        #[arg(long)]
        running: bool,
    },
}

/// Options of `backfill create`.
#[derive(Debug, ClapArgs)]
pub(crate) struct BackfillArgs {
    /// The DAG's id.
    pub dag_id: String,
    /// The first date: 2026-01-31, or a time; without an offset it is in the DAG's time zone.
    #[arg(long, alias = "from-date", value_name = "TIME")]
    pub from: String,
    /// The last date, included.
    #[arg(long, alias = "to-date", value_name = "TIME")]
    pub to: String,
    /// The newest date goes first.
    #[arg(long, alias = "run-backwards")]
    pub backwards: bool,
    /// Which dates that have a run already run again.
    #[arg(long, alias = "reprocess-behavior", value_enum, default_value_t = ReprocessArg::None)]
    pub reprocess: ReprocessArg,
    /// How many of its runs may be under way at once; the DAG's own max_active_runs does not count them.
    #[arg(long, default_value_t = 10, value_name = "NUMBER")]
    pub max_active_runs: u32,
    /// Parameters of the runs, as a JSON object.
    #[arg(short, long, alias = "dag-run-conf", value_name = "JSON")]
    pub conf: Option<String>,
    /// Runs that run again take the newest version of the DAG [default: each keeps its own].
    #[arg(long, alias = "run-on-latest-version")]
    pub new_version: bool,
    /// Print what would be done for each date, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// What a backfill does with dates that have a run.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum ReprocessArg {
    /// None of them.
    None,
    /// Those whose run failed.
    Failed,
    /// Those whose run has ended.
    Completed,
}
