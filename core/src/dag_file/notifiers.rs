//! `on_success`, `on_failure`, `on_retry`, `on_skipped`, and `notify` of a deadline: one notifier or a list of them.

use toml::de::DeValue;

use super::reader::{Fields, not_a_choice, table_of, word_of, wrong_kind};
use super::reporter::{Finding, Reporter};
use super::template_check::check_templates;
use super::values::{Node, json_of};
use crate::catalog::Catalog;
use crate::notify::{Notifier, Notifiers, Occasion};

/// The notifiers of a table, for these occasions.
pub(super) fn read_notifiers(
    fields: &Fields<'_>,
    occasions: &[Occasion],
    catalog: &dyn Catalog,
    reporter: &mut Reporter<'_>,
) -> Notifiers {
    let mut notifiers = Notifiers::default();
    for &occasion in occasions {
        let Some(node) = fields.get(occasion.field()) else { continue };
        let found = read_list(occasion.field(), node, catalog, reporter);
        notifiers.on.extend(found.into_iter().map(|notifier| (occasion, notifier)));
    }
    notifiers
}

/// The value of a field that is a notifier or a list of them.
pub(super) fn read_list(
    field: &str,
    node: &Node<'_>,
    catalog: &dyn Catalog,
    reporter: &mut Reporter<'_>,
) -> Vec<Notifier> {
    match node.get_ref() {
        DeValue::Array(items) => items.iter().filter_map(|item| read(field, item, catalog, reporter)).collect(),
        DeValue::Table(_) => read(field, node, catalog, reporter).into_iter().collect(),
        _ => {
            let help = format!("write {field} = {{ notifier = \"webhook\", url = \"…\" }}");
            reporter.add(wrong_kind(field, node, "a notifier or a list of them").help(help));
            Vec::new()
        }
    }
}

fn read(field: &str, node: &Node<'_>, catalog: &dyn Catalog, reporter: &mut Reporter<'_>) -> Option<Notifier> {
    let table = table_of(field, node, reporter)?;
    let Some(name) = table.get("notifier") else {
        let names = catalog.notifier_names().join(", ");
        reporter.add(Finding::error(node.span(), "'notifier' is missing").help(format!("it is one of {names}")));
        return None;
    };
    let word = word_of("notifier", name, reporter)?;
    if !catalog.notifier_names().contains(&word.text.as_str()) {
        reporter.add(not_a_choice("notifier", &word, catalog.notifier_names().into_iter()));
        return None;
    }
    let mut notifier = Notifier { notifier: word.text, parameters: serde_json::Map::new() };
    for (key, value) in table.iter().filter(|(key, _)| key.get_ref().as_ref() != "notifier") {
        check_templates(key.get_ref(), value, reporter);
        notifier.parameters.insert(key.get_ref().to_string(), json_of(value, reporter));
    }
    for problem in catalog.check_notifier(&notifier.notifier, &notifier.parameters) {
        let key = problem.path.first().and_then(|key| table.get_key_value(key.as_str()));
        let place = key.map_or_else(|| node.span(), |(key, _)| key.span());
        reporter.add(Finding::error(place, problem.message.trim_end_matches('.').to_owned()));
    }
    Some(notifier)
}
