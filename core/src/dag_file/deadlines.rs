//! `deadline`: one table, or a list of tables, each with one condition.

use std::collections::HashSet;

use chrono::NaiveTime;
use chrono_tz::Tz;
use toml::de::{DeTable, DeValue};

use super::dates;
use super::notifiers::read_list;
use super::reader::{Fields, not_a_choice, refuse_unknown_keys, table_of, wrong_kind};
use super::reporter::{Finding, Reporter, Span};
use super::values::Node;
use crate::catalog::Catalog;
use crate::dag::Dag;
use crate::deadline::{By, Condition, Deadline, Reference};

const KINDS: [&str; 3] = ["not_started_by", "not_done_by", "no_success_since"];
const FIELDS: [&str; 8] =
    ["not_started_by", "not_done_by", "no_success_since", "reference", "max_runs", "min_runs", "name", "notify"];
const REFERENCES: [&str; 5] = ["run_after", "logical_date", "queued_at", "started_at", "average_runtime"];

/// Airflow's default for both.
const AVERAGE_OF: u32 = 10;

/// Airflow's limit for other names.
const MAX_NAME: usize = 250;

/// The deadlines of a DAG whose time zone is known.
pub(super) fn read_deadlines(
    fields: &Fields<'_>,
    dag: &Dag,
    catalog: &dyn Catalog,
    reporter: &mut Reporter<'_>,
) -> Vec<Deadline> {
    let Some(node) = fields.get("deadline") else { return Vec::new() };
    let nodes = match node.get_ref() {
        DeValue::Array(items) => items.iter().collect(),
        DeValue::Table(_) => vec![node],
        _ => {
            let help = "write deadline = { not_done_by = \"2h\", notify = { notifier = \"slack\", … } }";
            reporter.add(wrong_kind("deadline", node, "a table or a list of tables").help(help));
            return Vec::new();
        }
    };
    let mut names = HashSet::new();
    let mut deadlines = Vec::new();
    for node in nodes {
        let Some(deadline) = read_deadline(node, dag.timezone, catalog, reporter) else { continue };
        if !names.insert(deadline.name.clone()) {
            let finding = Finding::error(node.span(), format!("there are two deadlines '{}'", deadline.name));
            reporter.add(finding.help("give one of them another name = \"…\""));
        }
        deadlines.push(deadline);
    }
    deadlines
}

fn read_deadline(node: &Node<'_>, zone: Tz, catalog: &dyn Catalog, reporter: &mut Reporter<'_>) -> Option<Deadline> {
    let table = table_of("deadline", node, reporter)?;
    refuse_unknown_keys(table, &FIELDS, "a deadline", reporter);
    let fields = Fields::of(table);
    let kinds: Vec<&str> = KINDS.into_iter().filter(|kind| table.contains_key(*kind)).collect();
    let condition = match kinds[..] {
        ["no_success_since"] => {
            refuse_beside_no_success(table, reporter);
            fields.positive_duration("no_success_since", reporter).map(Condition::NoSuccessSince)
        }
        ["not_started_by"] => read_by("not_started_by", &fields, zone, reporter).map(Condition::NotStartedBy),
        ["not_done_by"] => read_by("not_done_by", &fields, zone, reporter).map(Condition::NotDoneBy),
        _ => {
            let message = format!("a deadline has exactly one of {}", KINDS.join(", "));
            reporter.add(Finding::error(node.span(), message));
            None
        }
    };
    let notifiers = match fields.get("notify") {
        Some(notify) => read_list("notify", notify, catalog, reporter),
        None => Vec::new(),
    };
    if fields.get("notify").is_none_or(|notify| notify.get_ref().as_array().is_some_and(|list| list.is_empty())) {
        let finding = Finding::error(node.span(), "a deadline needs somebody to tell: 'notify' is missing");
        reporter.add(finding.help("add notify = { notifier = \"webhook\", url = \"…\" }"));
    }
    let condition = condition?;
    let name = match fields.word("name", reporter) {
        Some(word) => {
            check_name(&word.text, word.span, reporter);
            word.text
        }
        None => default_name(condition.field(), table),
    };
    Some(Deadline { name, condition, notifiers })
}

fn check_name(name: &str, span: Span, reporter: &mut Reporter<'_>) {
    if name.trim().is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        let message = format!("the name of a deadline is one line of 1 to {MAX_NAME} characters");
        reporter.add(Finding::error(span, message));
    }
}

/// What it says, without who is told.
fn default_name(kind: &str, table: &DeTable<'_>) -> String {
    let written = |key: &str| {
        let text = match table.get(key)?.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(at) => at.to_string(),
            DeValue::Integer(number) => number.to_string(),
            DeValue::Float(number) => number.to_string(),
            _ => return None,
        };
        Some(text)
    };
    let value = written(kind).unwrap_or_default();
    let reference = written("reference").map(|reference| format!(" after {reference}")).unwrap_or_default();
    format!("{kind} {value}{reference}")
}

/// A deadline of the DAG as a whole counts from its runs' success, and from nothing else.
fn refuse_beside_no_success(table: &DeTable<'_>, reporter: &mut Reporter<'_>) {
    for key in ["reference", "max_runs", "min_runs"] {
        if let Some((key, _)) = table.get_key_value(key) {
            let message = format!("'{}' does not go with 'no_success_since'", key.get_ref());
            reporter.add(Finding::error(key.span(), message).help("it counts from the end of the last successful run"));
        }
    }
}

fn read_by(kind: &str, fields: &Fields<'_>, zone: Tz, reporter: &mut Reporter<'_>) -> Option<By> {
    let node = fields.get(kind)?;
    let time = match node.get_ref() {
        DeValue::String(text) => time_of_day(text),
        DeValue::Datetime(at) if at.date.is_none() && at.offset.is_none() => {
            let parse = |time: &str| NaiveTime::parse_from_str(time, "%H:%M:%S%.f").ok();
            at.time.and_then(|time| parse(&time.to_string()))
        }
        DeValue::Datetime(_) => {
            let finding = Finding::error(node.span(), format!("'{kind}' is a duration or a time of day"));
            reporter.add(finding.help(format!("for a fixed instant write {kind} = 0, reference = {}", at_text(node))));
            return None;
        }
        _ => None,
    };
    if let Some(time) = time {
        for key in ["reference", "max_runs", "min_runs"] {
            if let Some((key, _)) = fields.entry(key) {
                let message = format!("'{}' does not go with a time of day", key.get_ref());
                let help = "it is the first such time that is not before the run is due";
                reporter.add(Finding::error(key.span(), message).help(help));
            }
        }
        return Some(By::TimeOfDay(time));
    }
    let reference = read_reference(kind, fields, zone, reporter)?;
    let offset = read_offset(kind, &reference, fields, reporter)?;
    Some(By::After { reference, offset })
}

fn at_text(node: &Node<'_>) -> String {
    node.get_ref().as_datetime().map(ToString::to_string).unwrap_or_default()
}

/// `06:30` or `06:30:15`.
fn time_of_day(text: &str) -> Option<NaiveTime> {
    ["%H:%M", "%H:%M:%S"].iter().find_map(|form| NaiveTime::parse_from_str(text.trim(), form).ok())
}

/// Airflow takes any distance; one back makes sense where the instant it counts from is not the beginning of something.
fn read_offset(kind: &str, reference: &Reference, fields: &Fields<'_>, reporter: &mut Reporter<'_>) -> Option<i64> {
    let node = fields.get(kind)?;
    let back = node.get_ref().as_str().and_then(|text| text.trim().strip_prefix('-'));
    let may_be_back = matches!(reference, Reference::At(_) | Reference::LogicalDate | Reference::AverageRuntime { .. });
    let Some(back) = back.filter(|_| may_be_back) else {
        let duration = fields.duration(kind, reporter)?;
        return i64::try_from(duration.as_micros()).ok();
    };
    match super::parse_duration(back) {
        Ok(duration) => i64::try_from(duration.as_micros()).ok().map(|micros| -micros),
        Err(why) => {
            reporter.add(Finding::error(node.span(), format!("in '{kind}': {why}")));
            None
        }
    }
}

fn read_reference(kind: &str, fields: &Fields<'_>, zone: Tz, reporter: &mut Reporter<'_>) -> Option<Reference> {
    let node = fields.get("reference");
    let reference = match node.map(|node| node.get_ref()) {
        None => Reference::RunAfter,
        Some(DeValue::Datetime(_)) => Reference::At(dates::instant(fields, "reference", zone, reporter)?),
        Some(DeValue::String(_)) => {
            let word = fields.word("reference", reporter)?;
            match word.text.as_str() {
                "run_after" => Reference::RunAfter,
                "logical_date" => Reference::LogicalDate,
                "queued_at" => Reference::QueuedAt,
                "started_at" if kind == "not_done_by" => Reference::StartedAt,
                "started_at" => {
                    let message = "a run that has not started has no 'started_at' to count from";
                    reporter.add(Finding::error(word.span, message));
                    return None;
                }
                "average_runtime" => return read_average(fields, reporter),
                _ => {
                    reporter.add(not_a_choice("reference", &word, REFERENCES.into_iter()));
                    return None;
                }
            }
        }
        Some(_) => {
            let wanted = format!("one of {}, or a date-time", REFERENCES.join(", "));
            node.into_iter().for_each(|node| reporter.add(wrong_kind("reference", node, &wanted)));
            return None;
        }
    };
    for key in ["max_runs", "min_runs"] {
        if let Some((key, _)) = fields.entry(key) {
            let message = format!("'{}' needs reference = \"average_runtime\"", key.get_ref());
            reporter.add(Finding::error(key.span(), message));
        }
    }
    Some(reference)
}

fn read_average(fields: &Fields<'_>, reporter: &mut Reporter<'_>) -> Option<Reference> {
    let max_runs = fields.count("max_runs", 1, reporter);
    let min_runs = fields.count("min_runs", 1, reporter);
    let max_runs = max_runs.unwrap_or(AVERAGE_OF);
    // As in Airflow, all of them must be there unless the file says otherwise.
    let min_runs = min_runs.unwrap_or(max_runs);
    if min_runs > max_runs {
        let message = format!("at most {max_runs} runs are looked at (max_runs), so there are never {min_runs}");
        reporter.add(Finding::error(fields.span("min_runs"), message));
        return None;
    }
    Some(Reference::AverageRuntime { max_runs, min_runs })
}
