//! The fields that all tasks have, those of sensors, and those of groups.

use serde_json::{Value, json};

use super::values::{
    Field, any_of, choice, count, duration, field, flag, notifiers, open_table, table, text, texts, with_default, words,
};
use crate::trigger_rule::TriggerRule;

/// Every field of a task with its meaning.
pub(super) fn task_fields() -> Vec<Field> {
    let mut fields = place();
    fields.extend(retries());
    fields.extend(limits());
    fields.extend(data());
    fields.extend(events());
    fields
}

fn place() -> Vec<Field> {
    let rules: Vec<&str> = TriggerRule::ALL.iter().map(|rule| rule.as_str()).collect();
    vec![
        ("operator", field(text(), "What the task does: `windrose operators list`.")),
        ("upstream", field(words(), "Ids of the tasks and groups that come before it.")),
        ("trigger_rule", field(with_default(choice(&rules), "all_success"), "How what is upstream must have ended.")),
        ("group", field(text(), "Its group, if its id does not begin with it.")),
        ("setup", field(flag(), "Makes something that others need; it is cleared along with them.")),
        (
            "teardown",
            field(
                any_of([flag(), texts()]),
                "Takes down what setups made: true, or their ids. It runs even if the work failed.",
            ),
        ),
        ("on_failure_fail_dagrun", field(flag(), "A failed teardown fails the run.")),
        ("depends_on_past", field(flag(), "It waits until it has succeeded in the run before.")),
        ("wait_for_downstream", field(flag(), "It waits for what is directly below it in the run before, too.")),
        ("tolerate_failure", field(flag(), "With run_fails_on = \"any\": its failure does not fail the run.")),
        ("doc", field(text(), "Documentation in Markdown.")),
        ("owner", field(text(), "Who answers for it.")),
    ]
}

fn retries() -> Vec<Field> {
    let causes = || any_of([text(), texts()]);
    vec![
        ("retries", field(with_default(count(0), 0), "How often it is tried again.")),
        ("retry_delay", field(with_default(duration(), "5m"), "The pause before a retry.")),
        (
            "retry_exponential_backoff",
            field(any_of([flag(), json!({ "type": "number" })]), "The factor by which the pause grows; true is 2."),
        ),
        ("max_retry_delay", field(duration(), "The longest pause.")),
        ("retry_on", field(causes(), "Causes that are worth a retry; others fail at once.")),
        ("no_retry_on", field(causes(), "Causes that are not worth a retry.")),
        ("on_lost", field(text(), "What happens when the worker is lost.")),
        ("execution_timeout", field(duration(), "A try that takes longer fails.")),
    ]
}

fn limits() -> Vec<Field> {
    vec![
        ("pool", field(with_default(text(), "default_pool"), "The pool whose slots it takes.")),
        ("pool_slots", field(with_default(count(1), 1), "How many slots it takes.")),
        ("priority_weight", field(with_default(json!({ "type": "integer" }), 1), "What is heavier goes first.")),
        (
            "weight_rule",
            field(
                with_default(choice(&["downstream", "upstream", "absolute"]), "downstream"),
                "Whose weights are added to its own.",
            ),
        ),
        ("queue", field(with_default(text(), "default"), "Which workers take it.")),
        ("max_active_tis_per_dag", field(count(1), "How many of its instances may be active at once, in all runs.")),
        ("max_active_tis_per_dagrun", field(count(1), "How many of its instances may be active at once in one run.")),
    ]
}

fn data() -> Vec<Field> {
    vec![
        ("params", field(open_table(), "Params of this task.")),
        (
            "env",
            field(
                json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } }),
                "Environment variables of its processes; their values are templates.",
            ),
        ),
        ("do_xcom_push", field(with_default(flag(), true), "Whether what it returns is kept for others.")),
        ("outlets", field(outlets(), "Assets that it changes.")),
        ("inlets", field(inlets(), "Assets that it reads.")),
        (
            "expand",
            field(
                open_table(),
                "Arguments over which it is mapped: lists, tables, or { xcom = \"task\" }; several give the cross product.",
            ),
        ),
        (
            "expand_kwargs",
            field(
                any_of([open_table(), json!({ "type": "array", "items": { "type": "object" } })]),
                "A list of tables of arguments, or { xcom = \"task\" }.",
            ),
        ),
        ("map_index_template", field(text(), "A template for the name of a mapped instance.")),
    ]
}

fn events() -> Vec<Field> {
    vec![
        ("on_success", field(notifiers(), "Sent when it succeeds.")),
        ("on_failure", field(notifiers(), "Sent when it fails.")),
        ("on_retry", field(notifiers(), "Sent when it is to be tried again.")),
        ("on_skipped", field(notifiers(), "Sent when it is skipped.")),
    ]
}

fn outlets() -> Value {
    let item = any_of([text(), table([("uri", text()), ("alias", text()), ("extra", open_table())])]);
    any_of([text(), json!({ "type": "array", "items": item })])
}

fn inlets() -> Value {
    let item = any_of([text(), table([("alias", text())])]);
    any_of([text(), json!({ "type": "array", "items": item })])
}

/// The fields that only sensors have.
pub(super) fn sensor_fields() -> Vec<Field> {
    vec![
        (
            "mode",
            field(
                with_default(choice(&["poke", "reschedule", "deferred"]), "poke"),
                "What it does between two looks: keep its slot, come back later, or wait without a slot.",
            ),
        ),
        ("poke_interval", field(with_default(duration(), "60s"), "The time between two looks.")),
        ("timeout", field(with_default(duration(), "7d"), "How long it waits in all.")),
        ("soft_fail", field(flag(), "It is skipped instead of failing.")),
        ("exponential_backoff", field(flag(), "The time between two looks grows.")),
        ("max_wait", field(duration(), "The longest time between two looks.")),
        ("silent_fail", field(flag(), "An error of a look counts as: not yet.")),
        ("never_fail", field(flag(), "It is skipped whatever goes wrong.")),
    ]
}

/// The fields of a group.
pub(super) fn group_fields() -> Vec<Field> {
    vec![
        ("tooltip", field(text(), "For people.")),
        ("upstream", field(words(), "Ids of the tasks and groups that come before its roots.")),
        ("expand", field(open_table(), "Arguments over which all its tasks are mapped together.")),
        (
            "expand_kwargs",
            field(
                any_of([open_table(), json!({ "type": "array", "items": { "type": "object" } })]),
                "A list of tables of arguments, or { xcom = \"task\" }.",
            ),
        ),
    ]
}
