//! What is cleared or marked, and how a person is asked.

use clap::Args as ClapArgs;

/// Which task instances of a run.
#[derive(Debug, ClapArgs)]
pub(crate) struct SelectArgs {
    /// The run's id [default: the newest run].
    #[arg(long)]
    pub run_id: Option<String>,
    /// And what is upstream of them.
    #[arg(long)]
    pub upstream: bool,
    /// And what is downstream of them.
    #[arg(long)]
    pub downstream: bool,
    /// Of all those, only those that failed, or did not run because of such.
    #[arg(long)]
    pub only_failed: bool,
    /// Of all those, only those that a worker has now; together with --only-failed, either.
    #[arg(long)]
    pub only_running: bool,
    /// Of the named tasks, only these mapped instances.
    #[arg(long, value_name = "INDEX")]
    pub map_index: Vec<i32>,
}

/// Which runs of a DAG, and how a change of them is made. A plan comes first.
#[derive(Debug, ClapArgs)]
pub(crate) struct ChangeArgs {
    /// And in all runs with an earlier logical date.
    #[arg(long)]
    pub past: bool,
    /// And in all runs with a later logical date.
    #[arg(long)]
    pub future: bool,
    /// The runs go on under the newest version of the DAG [default: each keeps its own].
    #[arg(long)]
    pub new_version: bool,
    /// Do not ask.
    #[arg(short, long)]
    pub yes: bool,
    /// Print the plan, and change nothing.
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
}

/// Where a person can put a task instance.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum TaskMark {
    /// Done.
    Success,
    /// Failed for good.
    Failed,
    /// Left out.
    Skipped,
}

/// How a person can end a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RunMark {
    /// Done.
    Success,
    /// Failed.
    Failed,
}
