//! The syntax of templated strings.

use std::sync::OnceLock;

use minijinja::Environment;
use toml::de::DeValue;

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
    static PARSER: OnceLock<Environment<'static>> = OnceLock::new();
    if !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
        return Ok(());
    }
    let parser = PARSER.get_or_init(Environment::new);
    parser.template_from_str(text).map(|_| ()).map_err(|why| {
        let what = why.detail().map_or_else(|| why.kind().to_string(), str::to_owned);
        (why.line().unwrap_or(1), what)
    })
}
