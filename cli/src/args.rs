//! What can be typed. Doc comments are the help texts.

mod approvals;
mod backfill;
mod bundles;
mod changes;
mod simulate;

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

pub(crate) use approvals::{AnswerArgs, ApprovalsCommand, QuestionArgs};
pub(crate) use backfill::{BackfillArgs, BackfillCommand, ReprocessArg};
pub(crate) use bundles::{BundlesCommand, DiffArgs, RollbackArgs};
pub(crate) use changes::{ChangeArgs, RunMark, SelectArgs, TaskMark};
pub(crate) use simulate::SimulateArgs;

/// Workflow orchestration: what Airflow does, in one binary.
///
/// Exit codes: 0 success, 1 an error or a failed run or check, 2 wrong usage, 3 a command (trigger, cancel, clear, mark,
/// backfill, answer) that is kept but not done yet, as when no scheduler is running.
#[derive(Debug, Parser)]
#[command(name = "windrose", version, propagate_version = true, max_term_width = 120)]
pub(crate) struct Args {
    /// The configuration file [default: windrose.toml in this folder, if there is one].
    #[arg(long, global = true, env = "WINDROSE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The database: sqlite:PATH or postgres://… (overrides the configuration).
    #[arg(long, global = true, value_name = "URL")]
    pub database: Option<String>,
    /// The folder for the database, logs and caches (overrides the configuration).
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Scheduler, worker and web page in one process.
    Standalone(StandaloneArgs),
    /// DAGs: list, check, trigger, simulate ….
    #[command(subcommand)]
    Dags(DagsCommand),
    /// DAG runs: list, watch, cancel, clear, mark ….
    #[command(subcommand)]
    Runs(RunsCommand),
    /// Task instances: list, logs, tries, clear, mark, test.
    #[command(subcommand)]
    Tasks(TasksCommand),
    /// Why a DAG, a run or a task does not run now, and what will wake it.
    Explain(ExplainArgs),
    /// Runs for dates of the past.
    #[command(subcommand)]
    Backfill(BackfillCommand),
    /// Connections of the metadata database.
    #[command(subcommand)]
    Connections(ConnectionsCommand),
    /// Variables of the metadata database.
    #[command(subcommand)]
    Variables(VariablesCommand),
    /// Questions that tasks ask people: list, show, answer.
    #[command(subcommand)]
    Approvals(ApprovalsCommand),
    /// Assets: what tasks change and DAGs wait for.
    #[command(subcommand)]
    Assets(AssetsCommand),
    /// Make a DAG repository: an example, the configuration, the editor schema, a CI workflow.
    Init {
        /// The folder.
        #[arg(default_value = ".")]
        folder: PathBuf,
    },
    /// Where DAG files come from.
    #[command(subcommand)]
    Bundles(BundlesCommand),
    /// Pools.
    #[command(subcommand)]
    Pools(PoolsCommand),
    /// The operators that tasks can use.
    #[command(subcommand)]
    Operators(OperatorsCommand),
    /// The metadata database.
    #[command(subcommand)]
    Db(DbCommand),
    /// Run the example pipeline with real data, offline (what `make demo` does).
    #[command(hide = true)]
    Demo(DemoArgs),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

/// Options of standalone.
#[derive(Debug, ClapArgs)]
pub(crate) struct StandaloneArgs {
    /// The folder with DAG files (overrides the configuration).
    #[arg(long, value_name = "FOLDER")]
    pub dags: Option<PathBuf>,
    /// The web server's address (overrides the configuration).
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub bind: Option<std::net::SocketAddr>,
    /// Serve no web page.
    #[arg(long)]
    pub no_web: bool,
    /// Stop when standard input ends, as it does when whoever holds its other end is gone, however that came about.
    #[arg(long)]
    pub exit_with_stdin: bool,
}

/// Options of the demo.
#[derive(Debug, ClapArgs)]
pub(crate) struct DemoArgs {
    /// End when the data was checked, instead of serving the web page until Ctrl-C.
    #[arg(long)]
    pub exit: bool,
    /// How many rows the generated products.csv has.
    #[arg(long, value_name = "NUMBER", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rows: u32,
    /// The web page's address [default: 127.0.0.1:8080, or a free port if that one is taken].
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub bind: Option<std::net::SocketAddr>,
    /// The program that starts the offline AWS.
    #[arg(long, value_name = "FILE", default_value = "lab/lab")]
    pub lab: PathBuf,
    /// The pipeline.
    #[arg(long, value_name = "FILE", default_value = "dags/data_pipeline.toml")]
    pub dag: PathBuf,
}

/// A DAG.
#[derive(Debug, ClapArgs)]
pub(crate) struct DagArg {
    /// The DAG's id.
    pub dag_id: String,
}

/// `windrose dags …`
#[derive(Debug, Subcommand)]
pub(crate) enum DagsCommand {
    /// The DAGs that the database knows.
    List {
        /// Only ids that contain this text.
        #[arg(long)]
        search: Option<String>,
    },
    /// One DAG: its tasks, its schedule and its last runs.
    Show(DagArg),
    /// Check DAG files; exit with 1 if one has an error.
    Check {
        /// Files or folders [default: the configured folder].
        paths: Vec<PathBuf>,
        /// Warnings fail the check too.
        #[arg(long)]
        strict: bool,
    },
    /// The next runs of a DAG's schedule.
    Next {
        /// The DAG's id.
        dag_id: String,
        /// How many.
        #[arg(short = 'n', long, default_value_t = 5)]
        count: usize,
    },
    /// By when something must have happened, and what was missed.
    Deadlines {
        /// The DAG's id [default: all DAGs].
        dag_id: Option<String>,
    },
    /// Make no more scheduled runs.
    Pause(DagArg),
    /// Make scheduled runs again.
    Unpause(DagArg),
    /// The JSON Schema of DAG files, for editors.
    Schema,
    /// The versions of a DAG, with commit, author and runs.
    Versions(DagArg),
    /// What differs between two versions.
    Diff(DiffArgs),
    /// Give new runs an older version.
    Rollback(RollbackArgs),
    /// Start a run by hand.
    Trigger(TriggerArgs),
    /// Run a DAG file through the real scheduling code in simulated time.
    Simulate(SimulateArgs),
}

/// Options of `dags trigger`.
#[derive(Debug, ClapArgs)]
pub(crate) struct TriggerArgs {
    /// The DAG's id.
    pub dag_id: String,
    /// Parameters of the run, as a JSON object.
    #[arg(short, long, value_name = "JSON")]
    pub conf: Option<String>,
    /// The run's id [default: manual__ and the time].
    #[arg(long)]
    pub run_id: Option<String>,
    /// The instant the run stands for, as RFC 3339 [default: that of --run-after, or now].
    #[arg(long, value_name = "TIME")]
    pub logical_date: Option<chrono::DateTime<chrono::Utc>>,
    /// Do not start it before this instant, as RFC 3339.
    #[arg(long, value_name = "TIME")]
    pub run_after: Option<chrono::DateTime<chrono::Utc>>,
    /// A word for whoever looks at it later.
    #[arg(long)]
    pub note: Option<String>,
    /// Wait for its end, and exit with 1 if it failed.
    #[arg(short, long)]
    pub wait: bool,
}

/// A run.
#[derive(Debug, ClapArgs)]
pub(crate) struct RunArg {
    /// The DAG's id.
    pub dag_id: String,
    /// The run's id [default: the newest run].
    pub run_id: Option<String>,
}

/// What `windrose explain` is asked about.
#[derive(Debug, ClapArgs)]
pub(crate) struct ExplainArgs {
    /// The DAG's id.
    pub dag_id: String,
    /// The run's id [default: the DAG, and all its runs that have not ended].
    pub run_id: Option<String>,
    /// The task's id, with an index like load[3] for one of its mapped instances [default: all that have not ended].
    pub task_id: Option<String>,
}

/// `windrose runs …`
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// Runs, newest first.
    List {
        /// Only this DAG's.
        dag_id: Option<String>,
        /// Only those in this state: queued, running, success, failed.
        #[arg(long)]
        state: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 25)]
        limit: u32,
    },
    /// One run with its task instances.
    Show(RunArg),
    /// Follow a run to its end; exit with 1 if it failed.
    Watch(RunArg),
    /// Stop a run: its processes and remote work are cancelled, and it fails.
    Cancel(RunArg),
    /// Clear the task instances of a run, so that it runs again.
    Clear {
        /// The run.
        #[command(flatten)]
        run: RunArg,
        /// Only task instances that failed, or did not run because of those.
        #[arg(long)]
        only_failed: bool,
        /// Only task instances that a worker has now; together with --only-failed, either.
        #[arg(long)]
        only_running: bool,
        /// Which runs, and how.
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Say how a run ended: all its task instances become successful, or what runs of it is cancelled and fails.
    Mark {
        /// How.
        state: RunMark,
        /// The run.
        #[command(flatten)]
        run: RunArg,
        /// Which runs, and how.
        #[command(flatten)]
        change: ChangeArgs,
    },
}

/// `windrose tasks …`
#[derive(Debug, Subcommand)]
pub(crate) enum TasksCommand {
    /// The task instances of a run.
    List(RunArg),
    /// A task instance's log.
    Logs {
        /// The DAG's id.
        dag_id: String,
        /// The task's id.
        task_id: String,
        /// The run's id [default: the newest run].
        #[arg(long)]
        run_id: Option<String>,
        /// The try [default: the last].
        #[arg(long = "try", value_name = "NUMBER")]
        try_number: Option<u32>,
        /// Which mapped instance.
        #[arg(long, default_value_t = -1)]
        map_index: i32,
        /// Follow it to the end.
        #[arg(short, long)]
        follow: bool,
    },
    /// Every try of a task instance, and how it ended; their logs are shown by `tasks logs --try`.
    Tries {
        /// The DAG's id.
        dag_id: String,
        /// The task's id.
        task_id: String,
        /// The run's id [default: the newest run].
        #[arg(long)]
        run_id: Option<String>,
        /// Which mapped instance.
        #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
        map_index: i32,
    },
    /// Clear task instances, so that they run again.
    Clear {
        /// The DAG's id.
        dag_id: String,
        /// The tasks' ids [default: all tasks of the run].
        task_ids: Vec<String>,
        /// Which of their instances.
        #[command(flatten)]
        select: SelectArgs,
        /// Which runs, and how.
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Say where task instances stand; what failed below them is cleared.
    Mark {
        /// Where.
        state: TaskMark,
        /// The DAG's id.
        dag_id: String,
        /// The tasks' ids.
        #[arg(required = true)]
        task_ids: Vec<String>,
        /// Which of their instances.
        #[command(flatten)]
        select: SelectArgs,
        /// Which runs, and how.
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Run one task here and now, with no scheduler and no state kept.
    Test {
        /// The DAG file.
        file: PathBuf,
        /// The task's id.
        task_id: String,
        /// The instant the run stands for, as RFC 3339 [default: now].
        #[arg(long, value_name = "TIME")]
        logical_date: Option<chrono::DateTime<chrono::Utc>>,
        /// Parameters of the run, as a JSON object.
        #[arg(short, long, value_name = "JSON")]
        conf: Option<String>,
    },
}

/// `windrose connections …`
#[derive(Debug, Subcommand)]
pub(crate) enum ConnectionsCommand {
    /// The stored connections; secrets are not shown.
    List,
    /// One stored connection; secrets are not shown.
    Get {
        /// Its id.
        conn_id: String,
    },
    /// Store a connection.
    Set {
        /// Its id.
        conn_id: String,
        /// As a URI or a JSON object; `-` reads it from standard input, which keeps it out of the shell's history.
        value: String,
    },
    /// Delete a stored connection.
    Delete {
        /// Its id.
        conn_id: String,
    },
}

/// `windrose variables …`
#[derive(Debug, Subcommand)]
pub(crate) enum VariablesCommand {
    /// The stored variables' keys.
    List,
    /// One stored variable's value.
    Get {
        /// Its key.
        key: String,
    },
    /// Store a variable.
    Set {
        /// Its key.
        key: String,
        /// Its value; `-` reads it from standard input.
        value: String,
    },
    /// Delete a stored variable.
    Delete {
        /// Its key.
        key: String,
    },
}

/// `windrose assets …`
#[derive(Debug, Subcommand)]
pub(crate) enum AssetsCommand {
    /// The assets that DAGs name or that events are of.
    List {
        /// Only URIs that contain this text.
        #[arg(long)]
        search: Option<String>,
    },
    /// One asset: what changes it, what waits for it, and its last events.
    Show {
        /// Its URI.
        uri: String,
    },
    /// Events, newest first.
    Events {
        /// Only this asset's.
        uri: Option<String>,
        /// Only those that came through this alias.
        #[arg(long, conflicts_with = "uri")]
        alias: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 25)]
        limit: u32,
    },
    /// Say that an asset has changed, which may start runs.
    Emit {
        /// Its URI.
        uri: String,
        /// What the event carries, as a JSON object.
        #[arg(long, value_name = "JSON")]
        extra: Option<String>,
    },
}

/// `windrose pools …`
#[derive(Debug, Subcommand)]
pub(crate) enum PoolsCommand {
    /// Pools and how full they are.
    List,
    /// Make or change a pool.
    Set {
        /// Its name.
        name: String,
        /// Its slots; −1 is unlimited.
        #[arg(allow_negative_numbers = true)]
        slots: i32,
        /// For people.
        #[arg(long)]
        description: Option<String>,
        /// Deferred tasks take slots too.
        #[arg(long)]
        include_deferred: bool,
    },
    /// Delete a pool.
    Delete {
        /// Its name.
        name: String,
    },
}

/// `windrose operators …`
#[derive(Debug, Subcommand)]
pub(crate) enum OperatorsCommand {
    /// All operators.
    List,
    /// One operator with its parameters.
    Show {
        /// Its name.
        name: String,
    },
    /// The reference of all operators as Markdown.
    Docs,
}

/// `windrose db …`
#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Bring the database's schema up to date.
    Migrate,
    /// Say where the database is, how old its schema is, and what a migration would do.
    Check,
}
