//! The syntax of templated strings.

use toml::de::DeValue;

use crate::template;

use super::reporter::{Finding, Reporter};
use super::values::Node;

/// Checks every string under a value. Keys of tables are not rendered.
pub(super) fn check_templates(field: &str, node: &Node<'_>, reporter: &mut Reporter<'_>) {
    match node.get_ref() {
        DeValue::String(text) => {
            if let Err((line, why)) = check_syntax(text) {
                let message = format!("the template in '{field}' has a mistake: {why}");
                let place = reporter.line_of_text(node.span().into(), line);
                reporter.add(Finding::error(place, message));
            }
        }
        DeValue::Array(items) => items.iter().for_each(|item| check_templates(field, item, reporter)),
        DeValue::Table(table) => table.values().for_each(|value| check_templates(field, value, reporter)),
        _ => {}
    }
}

/// The line and what is wrong there.
fn check_syntax(text: &str) -> Result<(), (usize, String)> {
    template::check_syntax(text).map_err(|why| (why.line.map_or(1, |line| line as usize), why.message))
}
