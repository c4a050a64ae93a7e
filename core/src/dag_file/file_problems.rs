//! Files that a DAG names and that cannot be had, at the places that name them.

use toml::de::{DeTable, DeValue};

use super::diagnostics::Diagnostics;
use super::reporter::{Finding, Reporter, Span};
use super::{DagSource, read_document};
use crate::ids::TaskId;

/// Makes findings of what is wrong with a DAG's files: the task that names one, none for its `files`, the name as it is
/// written, and a sentence.
#[must_use]
pub fn file_problems<'p>(
    source: &DagSource,
    problems: impl IntoIterator<Item = (Option<&'p TaskId>, &'p str, &'p str)>,
) -> Diagnostics {
    let mut reporter = Reporter::new(source);
    if let Some(document) = read_document(source, &mut reporter) {
        for (task, name, message) in problems {
            let (node, top) = match task {
                None => (document.get_ref().get("files"), Span::TOP),
                Some(task) => {
                    let tasks = document.get_ref().get("tasks").and_then(|tasks| tasks.get_ref().as_table());
                    let task = tasks.and_then(|tasks| tasks.get_key_value(task.as_str()));
                    (task.map(|(_, node)| node), task.map_or(Span::TOP, |(key, _)| key.span().into()))
                }
            };
            let place = node.and_then(|node| text_span(node.get_ref(), node.span().into(), name)).unwrap_or(top);
            reporter.add(Finding::error(place, message));
        }
    }
    reporter.finish()
}

/// Where a text stands that holds this one.
fn text_span(value: &DeValue<'_>, span: Span, wanted: &str) -> Option<Span> {
    match value {
        DeValue::String(text) => (!wanted.is_empty() && text.contains(wanted)).then_some(span),
        DeValue::Array(items) => items.iter().find_map(|item| text_span(item.get_ref(), item.span().into(), wanted)),
        DeValue::Table(table) => in_table(table, wanted),
        _ => None,
    }
}

fn in_table(table: &DeTable<'_>, wanted: &str) -> Option<Span> {
    table.values().find_map(|node| text_span(node.get_ref(), node.span().into(), wanted))
}
