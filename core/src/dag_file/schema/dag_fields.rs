//! The fields at the top of the file, but for tasks, groups and defaults.

use serde_json::json;

use super::values::{
    Field, any_of, choice, count, duration, field, flag, instant, notifiers, open_table, table, text, texts,
    with_default, words,
};

/// Every field with its meaning.
pub(super) fn dag_fields() -> Vec<Field> {
    let mut fields = about();
    fields.extend(when());
    fields.extend(limits());
    fields.extend(content());
    fields
}

fn about() -> Vec<Field> {
    vec![
        (
            "dag_id",
            field(
                json!({ "type": "string", "pattern": "^[A-Za-z0-9_.-]{1,250}$" }),
                "The DAG's id. Default: the file's name without its ending.",
            ),
        ),
        ("description", field(text(), "One line for people.")),
        ("doc", field(text(), "Documentation in Markdown.")),
        ("owner", field(text(), "Who answers for it.")),
        ("tags", field(texts(), "For filters.")),
        ("paused", field(flag(), "Whether it is paused when it is first seen.")),
    ]
}

fn when() -> Vec<Field> {
    vec![
        (
            "schedule",
            field(
                schedule(),
                "When runs are made: a preset, a cron expression, or a table with `cron`, `every` or `assets`. Without one, runs are made by hand.",
            ),
        ),
        ("start_date", field(instant(), "The first logical date; a local one is in `timezone`.")),
        ("end_date", field(instant(), "The last logical date.")),
        ("timezone", field(with_default(text(), "UTC"), "An IANA zone such as Europe/Paris.")),
        (
            "catchup",
            field(
                any_of([flag(), choice(&["latest", "collapse"])]),
                "What happens to runs that were missed: all are made (true), none (false), only the latest, or one that stands for all of them (\"collapse\").",
            ),
        ),
        (
            "overlap",
            field(
                with_default(choice(&["queue", "skip", "cancel_old", "cancel_new"]), "queue"),
                "What happens when a run is due while others are active.",
            ),
        ),
        ("jitter", field(duration(), "Runs start up to this much later, each DAG by an amount of its own.")),
    ]
}

fn limits() -> Vec<Field> {
    vec![
        ("max_active_runs", field(with_default(count(1), 16), "How many runs may be active at once.")),
        (
            "max_active_tasks",
            field(with_default(count(1), 16), "How many task instances of one run may be active at once."),
        ),
        ("dagrun_timeout", field(duration(), "A run that takes longer fails.")),
        (
            "max_consecutive_failed_runs",
            field(with_default(count(0), 0), "After so many failed runs in a row the DAG is paused; 0 is never."),
        ),
        (
            "fail_fast",
            field(
                with_default(flag(), false),
                "The first failed task fails the run, and what has not begun is skipped.",
            ),
        ),
        (
            "run_fails_on",
            field(
                with_default(choice(&["leaves", "any"]), "leaves"),
                "Whether a run fails by its leaves, as in Airflow, or by any failed task.",
            ),
        ),
    ]
}

fn content() -> Vec<Field> {
    vec![
        (
            "render_native",
            field(with_default(flag(), false), "Templates give numbers, lists and truth values instead of text."),
        ),
        ("chain", field(chain(), "Tasks or groups in their order: [\"a\", [\"b\", \"c\"], \"d\"].")),
        ("chains", field(json!({ "type": "array", "items": chain() }), "Several chains.")),
        ("vars", field(open_table(), "Values for templates: {{ name }}.")),
        (
            "params",
            field(
                json!({ "type": "object" }),
                "Params of runs: a default value each, or a table of JSON Schema with `default`.",
            ),
        ),
        (
            "files",
            field(
                texts(),
                "Files beside those that tasks name, as patterns relative to the DAG's folder: they belong to its version.",
            ),
        ),
        ("on_success", field(notifiers(), "Sent when a run succeeds.")),
        ("on_failure", field(notifiers(), "Sent when a run fails.")),
        (
            "deadline",
            field(
                any_of([deadline(), json!({ "type": "array", "items": deadline() })]),
                "By when something must have happened, and who is told if not.",
            ),
        ),
    ]
}

fn schedule() -> serde_json::Value {
    let cron = || any_of([text(), texts()]);
    any_of([
        choice(&[
            "@once",
            "@continuous",
            "@hourly",
            "@daily",
            "@weekly",
            "@monthly",
            "@quarterly",
            "@yearly",
            "@annually",
        ]),
        text(),
        table([
            ("cron", field(cron(), "A cron expression with five fields, or several.")),
            ("timezone", field(text(), "The zone of the expression. Default: the DAG's.")),
            (
                "data_interval",
                field(
                    flag(),
                    "Whether a run stands for the time since the expression's last instant (Airflow's CronDataIntervalTimetable).",
                ),
            ),
            ("every", field(duration(), "The distance between runs.")),
            (
                "assets",
                field(
                    assets(2),
                    "Assets whose events start runs: a URI, a list that all must be there of, or a table of `all`, `any` or `alias`.",
                ),
            ),
        ]),
    ])
}

/// Conditions nest at will; editors are told of a few levels.
fn assets(levels: u8) -> serde_json::Value {
    let inner = if levels == 0 { json!({}) } else { assets(levels - 1) };
    let list = json!({ "type": "array", "items": inner });
    any_of([text(), list.clone(), table([("all", list.clone()), ("any", list), ("alias", text())])])
}

fn chain() -> serde_json::Value {
    json!({ "type": "array", "items": words() })
}

fn deadline() -> serde_json::Value {
    let moment = || any_of([text(), json!({ "type": "number" })]);
    table([
        (
            "not_started_by",
            field(moment(), "A time of day, or a duration after `reference`, by which a run must have started."),
        ),
        (
            "not_done_by",
            field(moment(), "A time of day, or a duration after `reference`, by which a run must have succeeded."),
        ),
        ("no_success_since", field(duration(), "So long may go by without a successful run.")),
        (
            "reference",
            field(
                any_of([
                    choice(&["run_after", "logical_date", "queued_at", "started_at", "average_runtime"]),
                    instant(),
                ]),
                "What a duration is counted from.",
            ),
        ),
        ("max_runs", field(count(1), "How many runs make the average.")),
        ("min_runs", field(count(1), "How many runs there must be for an average.")),
        ("name", field(text(), "Its name, if there are several.")),
        ("notify", field(notifiers(), "Who is told.")),
    ])
}
