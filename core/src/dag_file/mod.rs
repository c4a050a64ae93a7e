//! The DAG file: TOML to [`Dag`], with everything that is wrong collected on the way.
//!
//! [`parse`] finds errors, [`lint`] finds what is allowed but rarely meant. Nothing here does I/O, and no input panics.
//! Bounds that a file must keep: at most 1 MiB of text ([`MAX_BYTES`]), 80 levels of nesting (the TOML parser's own
//! limit), 100,000 tasks ([`MAX_TASKS`]), 1,000 fields in `[defaults]`, a million edges ([`MAX_EDGES`]), ids of 250 and
//! tags of 100 characters, durations of a hundred years ([`MAX_DURATION`]). Of one file at most 200 findings are listed
//! ([`MAX_DIAGNOSTICS`]).

mod assets;
mod canonical;
mod chain;
mod cycles;
mod dag_fields;
mod dates;
mod deadlines;
mod default_args;
mod diagnostics;
mod duration;
mod edges;
mod excerpt;
mod file_problems;
mod group_ends;
mod groups;
mod ids;
mod known_fields;
mod lint;
mod mapping;
mod notifiers;
mod operator_parameters;
mod outline;
mod own_fields;
mod params;
mod reader;
mod reporter;
mod schedule;
pub mod schema;
mod sensor_fields;
mod setup_teardown;
mod suggest;
mod task_fields;
mod task_order;
mod template_check;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use chrono_tz::Tz;
use toml::Spanned;
use toml::de::DeTable;

use crate::catalog::Catalog;
use crate::dag::Dag;
use crate::mapping::MAX_MAP_LENGTH;
use crate::notify::Occasion;
use reader::Fields;
use reporter::{Finding, Reporter, Span};
use task_fields::{DeclaredTask, TaskReader};

pub use canonical::content_hash;
pub use dates::instant_from_text;
pub use diagnostics::{Diagnostic, Diagnostics, Severity};
pub use duration::{MAX_DURATION, parse_duration};
pub use file_problems::file_problems;
pub use lint::lint;
pub use outline::{Outline, outline};
pub use task_order::TaskOrder;

/// The longest file, in bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// The most tasks of one DAG.
pub const MAX_TASKS: usize = 100_000;
/// The most edges of one DAG, after groups are resolved.
pub const MAX_EDGES: usize = 1_000_000;
/// The most findings that are listed of one file.
pub const MAX_DIAGNOSTICS: usize = 200;

/// A DAG file's name and text.
#[derive(Debug, Clone)]
pub struct DagSource {
    /// As it is shown in messages, relative to the folder of DAGs. Its stem is the `dag_id` unless the file gives one.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// What the configuration says for DAGs that do not say it themselves.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// The zone of schedules and local dates.
    pub timezone: Tz,
    /// Whether a DAG is paused when first seen.
    pub dags_are_paused_at_creation: bool,
    /// Airflow's `catchup_by_default`.
    pub catchup: bool,
    /// Airflow's `max_active_runs_per_dag`.
    pub max_active_runs: u32,
    /// Airflow's `max_active_tasks_per_dag`.
    pub max_active_tasks: u32,
    /// Airflow's `max_map_length`.
    pub max_map_length: usize,
    /// Airflow's `default_task_retries`.
    pub retries: u32,
    /// Airflow's `default_task_retry_delay`.
    pub retry_delay: Duration,
    /// Whether a cron expression alone means Airflow's `CronDataIntervalTimetable`.
    pub create_cron_data_intervals: bool,
    /// Whether a distance alone means Airflow's `DeltaDataIntervalTimetable`.
    pub create_delta_data_intervals: bool,
}

/// Airflow's defaults.
impl Default for Defaults {
    fn default() -> Self {
        Self {
            timezone: Tz::UTC,
            dags_are_paused_at_creation: true,
            catchup: false,
            max_active_runs: 16,
            max_active_tasks: 16,
            max_map_length: MAX_MAP_LENGTH,
            retries: 0,
            retry_delay: Duration::from_secs(300),
            create_cron_data_intervals: false,
            create_delta_data_intervals: false,
        }
    }
}

/// Reads a DAG file.
///
/// # Errors
/// Everything that is wrong with it, not only the first thing.
pub fn parse(source: &DagSource, catalog: &dyn Catalog, defaults: &Defaults) -> Result<Dag, Diagnostics> {
    let mut reporter = Reporter::new(source);
    let Some(document) = read_document(source, &mut reporter) else { return Err(reporter.finish()) };
    let dag = read_dag(document.get_ref(), source, catalog, defaults, &mut reporter);
    if reporter.is_empty() { Ok(dag) } else { Err(reporter.finish()) }
}

/// The text as TOML; what is not TOML is reported.
fn read_document<'s>(source: &'s DagSource, reporter: &mut Reporter<'_>) -> Option<Spanned<DeTable<'s>>> {
    if source.text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes; at most {MAX_BYTES} are read", source.text.len());
        reporter.add(Finding::error(Span::TOP, message));
        return None;
    }
    let (document, errors) = DeTable::parse_recoverable(&source.text);
    for error in &errors {
        let span = error.span().map_or(Span::TOP, Span::from);
        reporter.add(Finding::error(span, format!("this is not TOML: {}", error.message())));
    }
    errors.is_empty().then_some(document)
}

fn read_dag<'d>(
    root: &'d DeTable<'d>,
    source: &DagSource,
    catalog: &dyn Catalog,
    defaults: &Defaults,
    reporter: &mut Reporter<'_>,
) -> Dag {
    dag_fields::refuse_unknown_fields(root, reporter);
    let fields = Fields::of(root);
    let mut tasks = read_tasks(&fields, catalog, defaults, reporter);
    let mut groups = groups::read_groups(&fields, reporter);
    refuse_shared_ids(&tasks, &groups, reporter);
    groups.take_in(&mut tasks, reporter);
    groups.refuse_nested_mapping(&tasks, reporter);
    setup_teardown::mark_listed_setups(&mut tasks, reporter);
    let links = chain::read_chains(&fields, reporter);
    let edges = edges::Resolver::new(&tasks, &groups, reporter).resolve(&links);
    cycles::check_cycles(&tasks, &edges, reporter);
    setup_teardown::link_setups(&mut tasks, &edges, reporter);

    let dag_id = dag_fields::read_dag_id(&fields, source, reporter);
    let rule_spans: Vec<Span> = tasks.iter().map(|declared| declared.trigger_rule_span).collect();
    let tasks = tasks.into_iter().map(|declared| declared.task).collect();
    let mut dag = Dag::new(dag_id, tasks, edges.iter());
    dag.groups = groups.list.into_iter().map(|declared| (declared.group.id.clone(), declared.group)).collect();
    dag_fields::read_dag_fields(&mut dag, &fields, defaults, reporter);
    dag.notifiers = notifiers::read_notifiers(&fields, &[Occasion::Success, Occasion::Failure], catalog, reporter);
    dag.deadlines = deadlines::read_deadlines(&fields, &dag, catalog, reporter);
    dag_fields::check_fail_fast(&dag, |position| rule_spans[position], reporter);
    dag
}

fn read_tasks<'d>(
    fields: &Fields<'d>,
    catalog: &dyn Catalog,
    defaults: &Defaults,
    reporter: &mut Reporter<'_>,
) -> Vec<DeclaredTask> {
    let default_args = default_args::read_default_args(fields, reporter);
    let mut reader = TaskReader::new(catalog, defaults, default_args);
    reader.check_defaults(reporter);
    let Some(table) = fields.table("tasks", reporter) else { return Vec::new() };
    if table.len() > MAX_TASKS {
        let message = format!("the DAG has {} tasks; at most {MAX_TASKS} are allowed", table.len());
        reporter.add(Finding::error(fields.span("tasks"), message));
        return Vec::new();
    }
    let tasks = table.iter().filter_map(|(key, node)| reader.read(key, node, reporter)).collect();
    reader.default_args.refuse_unknown(catalog, reporter);
    tasks
}

/// A task and a group share one name space: `upstream` names either.
fn refuse_shared_ids(tasks: &[DeclaredTask], groups: &groups::Groups, reporter: &mut Reporter<'_>) {
    for declared in tasks {
        if groups.position(declared.task.id.as_str()).is_some() {
            let message = format!("'{}' is both a task and a group", declared.task.id);
            reporter.add(Finding::error(declared.span, message));
        }
    }
}
