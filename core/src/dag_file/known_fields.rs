//! The names of all fields, and of those that are refused for now.

/// Fields of the file's top level.
pub(super) const DAG_FIELDS: &[&str] = &[
    "dag_id",
    "description",
    "doc",
    "owner",
    "tags",
    "schedule",
    "start_date",
    "end_date",
    "timezone",
    "catchup",
    "max_active_runs",
    "max_active_tasks",
    "dagrun_timeout",
    "max_consecutive_failed_runs",
    "paused",
    "fail_fast",
    "render_native",
    "overlap",
    "jitter",
    "run_fails_on",
    "chain",
    "chains",
    "vars",
    "params",
    "files",
    "defaults",
    "tasks",
    "groups",
    "on_success",
    "on_failure",
    "deadline",
];

/// Fields of the file's top level that are refused for now, whatever their value.
pub(super) const DAG_FIELDS_NOT_SUPPORTED: &[&str] = &[];

/// Fields of every task.
pub(super) const TASK_FIELDS: &[&str] = &[
    "operator",
    "upstream",
    "trigger_rule",
    "retries",
    "retry_delay",
    "retry_exponential_backoff",
    "max_retry_delay",
    "retry_on",
    "no_retry_on",
    "on_lost",
    "execution_timeout",
    "pool",
    "pool_slots",
    "priority_weight",
    "weight_rule",
    "queue",
    "depends_on_past",
    "wait_for_downstream",
    "max_active_tis_per_dag",
    "max_active_tis_per_dagrun",
    "group",
    "setup",
    "teardown",
    "on_failure_fail_dagrun",
    "params",
    "env",
    "doc",
    "owner",
    "do_xcom_push",
    "map_index_template",
    "tolerate_failure",
    "outlets",
    "inlets",
    "expand",
    "expand_kwargs",
    "on_success",
    "on_failure",
    "on_retry",
    "on_skipped",
];

/// Fields of every task that are refused for now, whatever their value.
pub(super) const TASK_FIELDS_NOT_SUPPORTED: &[&str] = &[];

/// Fields of a task that say what it is or where it stands, so that they cannot be a default of all tasks.
pub(super) const TASK_FIELDS_WITHOUT_DEFAULT: &[&str] =
    &["operator", "upstream", "group", "setup", "teardown", "on_failure_fail_dagrun", "expand", "expand_kwargs"];

/// Fields that only sensors have.
pub(super) const SENSOR_FIELDS: &[&str] =
    &["mode", "poke_interval", "timeout", "soft_fail", "exponential_backoff", "max_wait", "silent_fail", "never_fail"];

/// Fields of a group.
pub(super) const GROUP_FIELDS: &[&str] = &["tooltip", "upstream", "expand", "expand_kwargs"];

/// What Airflow, or habit, calls a field that has another name here.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("schedule_interval", "schedule"),
    ("timetable", "schedule"),
    ("default_args", "defaults"),
    ("is_paused_upon_creation", "paused"),
    ("render_template_as_native_obj", "render_native"),
    ("dag_display_name", "description"),
    ("doc_md", "doc"),
    ("concurrency", "max_active_tasks"),
    ("depends_on", "upstream"),
    ("needs", "upstream"),
    ("upstream_task_ids", "upstream"),
    ("task_group", "group"),
    ("on_success_callback", "on_success"),
    ("on_failure_callback", "on_failure"),
    ("on_retry_callback", "on_retry"),
    ("on_skipped_callback", "on_skipped"),
    ("max_active_tis_per_run", "max_active_tis_per_dagrun"),
    ("task_concurrency", "max_active_tis_per_dag"),
];

/// The field meant by a name that it has elsewhere.
pub(super) fn meant_by(name: &str) -> Option<&'static str> {
    OTHER_NAMES.iter().find(|(other, _)| *other == name).map(|(_, field)| *field)
}
