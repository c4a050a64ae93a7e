//! `expand` and `expand_kwargs`: what a task or a group is mapped over.

use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

use super::known_fields::{SENSOR_FIELDS, TASK_FIELDS};
use super::reader::{Fields, Word, table_of, word_of, wrong_kind};
use super::reporter::{Finding, Reporter};
use super::template_check::check_templates;
use super::values::{Node, json_of};
use crate::ids::TaskId;
use crate::mapping::{Expansion, MAX_MAP_LENGTH, Source, ValueOf};

/// An expansion, with the places of the tasks it names.
pub(super) struct DeclaredExpansion {
    pub(super) expansion: Expansion,
    pub(super) sources: Vec<Word>,
}

/// Reads `expand` or `expand_kwargs` of a table.
pub(super) fn read_expansion(fields: &Fields<'_>, reporter: &mut Reporter<'_>) -> Option<DeclaredExpansion> {
    let mut reader = SourceReader { sources: Vec::new(), reporter };
    let expansion = match (fields.own("expand"), fields.own("expand_kwargs")) {
        (None, None) => return None,
        (Some(_), Some(_)) => {
            let message = "a task has 'expand' or 'expand_kwargs', not both";
            reader.reporter.add(Finding::error(fields.span("expand_kwargs"), message));
            return None;
        }
        (Some(node), None) => reader.product(node)?,
        (None, Some(node)) => reader.kwargs(node)?,
    };
    if expansion.literal_length().is_some_and(|length| length > MAX_MAP_LENGTH) {
        let message = format!("this makes more than {MAX_MAP_LENGTH} instances of one task");
        let key = if fields.own("expand").is_some() { "expand" } else { "expand_kwargs" };
        reader.reporter.add(Finding::error(fields.span(key), message).help("map over fewer values, in batches"));
        return None;
    }
    Some(DeclaredExpansion { expansion, sources: reader.sources })
}

struct SourceReader<'r, 's> {
    sources: Vec<Word>,
    reporter: &'r mut Reporter<'s>,
}

impl SourceReader<'_, '_> {
    fn product(&mut self, node: &Node<'_>) -> Option<Expansion> {
        let table = table_of("expand", node, self.reporter)?;
        if table.is_empty() {
            let finding = Finding::error(node.span(), "'expand' names no argument to map over");
            self.reporter.add(finding.help("write expand = { sql = [\"…\", \"…\"] }"));
            return None;
        }
        let mut arguments = Vec::with_capacity(table.len());
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            // `env` is a field of every task, but a parameter of operators too, and those map it.
            if name != "env" && (TASK_FIELDS.contains(&name) || SENSOR_FIELDS.contains(&name)) {
                let message = format!(
                    "'{name}' is the same for all instances of a task; only the operator's own fields can be mapped"
                );
                self.reporter.add(Finding::error(key.span(), message));
                continue;
            }
            check_templates(name, value, self.reporter);
            if let Some(source) = self.source(name, value) {
                arguments.push((name.to_owned(), source));
            }
        }
        (arguments.len() == table.len()).then_some(Expansion::Product(arguments))
    }

    fn kwargs(&mut self, node: &Node<'_>) -> Option<Expansion> {
        let is_source = node.get_ref().as_table().is_some_and(is_special);
        match node.get_ref() {
            DeValue::Array(items) => {
                check_templates("expand_kwargs", node, self.reporter);
                let wrong = items.iter().find(|item| item.get_ref().as_table().is_none());
                if let Some(item) = wrong {
                    self.reporter.add(wrong_kind("expand_kwargs", item, "a list of tables of arguments"));
                    return None;
                }
                self.source("expand_kwargs", node).map(Expansion::Kwargs)
            }
            _ if is_source => self.source("expand_kwargs", node).map(Expansion::Kwargs),
            _ => {
                let wanted = "a list of tables of arguments, or { xcom = \"task\" }";
                self.reporter.add(wrong_kind("expand_kwargs", node, wanted));
                None
            }
        }
    }

    fn source(&mut self, field: &str, node: &Node<'_>) -> Option<Source> {
        match node.get_ref() {
            DeValue::Array(items) => {
                Some(Source::List(items.iter().map(|item| json_of(item, self.reporter)).collect()))
            }
            DeValue::Table(table) if is_special(table) => self.special(field, table),
            DeValue::Table(table) => {
                let pair = |(key, value)| (AsRef::<str>::as_ref(key).to_owned(), value);
                let entries = table.iter().map(|(key, value)| (key.get_ref(), json_of(value, self.reporter)));
                Some(Source::Table(entries.map(pair).collect()))
            }
            _ => {
                let wanted = "a list or a table to map over, or { xcom = \"task\" }";
                self.reporter.add(wrong_kind(field, node, wanted));
                None
            }
        }
    }

    fn special(&mut self, field: &str, table: &DeTable<'_>) -> Option<Source> {
        let fields = Fields::of(table);
        if let Some(node) = fields.own("xcom") {
            let word = word_of("xcom", node, self.reporter)?;
            if let Some(key) = fields.word("key", self.reporter).filter(|key| key.text != "return_value") {
                let finding = Finding::error(key.span, "only what a task returns can be mapped over");
                self.reporter.add(finding.help("leave 'key' out"));
            }
            let source = Source::XCom(TaskId::from(word.text.as_str()));
            self.sources.push(word);
            return Some(source);
        }
        let (key, is_zip) = if fields.own("zip").is_some() { ("zip", true) } else { ("concat", false) };
        let node = fields.own(key)?;
        let Some(items) = node.get_ref().as_array() else {
            self.reporter.add(wrong_kind(key, node, "a list of what to put together"));
            return None;
        };
        let sources: Vec<Source> = items.iter().filter_map(|item| self.source(field, item)).collect();
        if sources.len() != items.len() || sources.is_empty() {
            if items.is_empty() {
                self.reporter.add(Finding::error(node.span(), format!("'{key}' puts nothing together")));
            }
            return None;
        }
        if !is_zip {
            return Some(Source::Concat(sources));
        }
        let fill = fields.own("fillvalue").map(|node| json_of(node, self.reporter));
        Some(Source::Zip { sources, fill })
    }
}

/// Whether a table names a source; any other table is itself mapped over.
fn is_special(table: &DeTable<'_>) -> bool {
    let has = |key: &str| table.get(key).is_some();
    let only = |known: &[&str]| table.keys().all(|key| known.contains(&key.get_ref().as_ref()));
    (has("xcom") && only(&["xcom", "key"]))
        || (has("zip") && only(&["zip", "fillvalue"]))
        || (has("concat") && only(&["concat"]))
}

/// The first values that the file itself gives to a mapped argument, for checking; not more than a few, because mistakes
/// of the same kind repeat.
pub(super) fn samples(expansion: &Expansion) -> Vec<Map<String, Value>> {
    const AT_MOST: usize = 20;
    let nothing = |_: &TaskId| &Value::Null;
    match expansion {
        Expansion::Product(arguments) => {
            let one = |(name, source): &(String, Source)| {
                let alone = Expansion::Product(vec![(name.clone(), source.clone())]);
                sampled(&alone, AT_MOST, &nothing)
            };
            arguments.iter().flat_map(one).collect()
        }
        Expansion::Kwargs(_) => sampled(expansion, AT_MOST, &nothing),
    }
}

fn sampled(expansion: &Expansion, at_most: usize, value_of: &ValueOf<'_>) -> Vec<Map<String, Value>> {
    let length = expansion.literal_length().unwrap_or(0).min(at_most);
    let arguments = (0..length).filter_map(|index| expansion.arguments(index, value_of).ok());
    arguments.map(|found| found.into_iter().map(|argument| (argument.name, argument.value)).collect()).collect()
}
