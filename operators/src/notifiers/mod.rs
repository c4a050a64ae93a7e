//! Notifiers: how people are told. Each is an operator whose parameters stand in `on_failure` and the like; a worker runs
//! it apart from any task.

mod http;
mod slack;
mod smtp;
mod webhook;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use windrose_core::notify::Notifier;

use crate::aws::sns_notifier::SnsNotifier;
use crate::operator::OperatorEntry;

/// Every notifier.
pub static NOTIFIERS: LazyLock<Vec<OperatorEntry>> = LazyLock::new(|| {
    vec![
        OperatorEntry::of::<slack::Slack>(),
        OperatorEntry::of::<smtp::Smtp>(),
        OperatorEntry::of::<SnsNotifier>(),
        OperatorEntry::of::<webhook::Webhook>(),
    ]
});

/// The notifier with this name.
#[must_use]
pub fn find_notifier(name: &str) -> Option<&'static OperatorEntry> {
    NOTIFIERS.iter().find(|entry| entry.name == name)
}

/// A notifier as it stands in a DAG file: a table with its name under `notifier`. None if it has no name.
#[must_use]
pub fn notifier_of_table(table: &Map<String, Value>) -> Option<Notifier> {
    let notifier = table.get("notifier")?.as_str()?.to_owned();
    let others = table.iter().filter(|(key, _)| *key != "notifier");
    Some(Notifier { notifier, parameters: others.map(|(key, value)| (key.clone(), value.clone())).collect() })
}

/// Gives a text, as a template, to those who write none.
pub fn add_default_texts(notifier: &str, parameters: &mut Map<String, Value>) {
    let texts: &[(&str, &str)] = match notifier {
        "slack" => &[("text", "{{ notification.message }}")],
        "sns" => &[("message", "{{ notification.message }}")],
        "smtp" => &[
            ("subject", "DAG {{ notification.dag_id }}: {{ notification.reason }}"),
            ("html_content", "<p>{{ notification.message | e }}</p>"),
        ],
        _ => &[],
    };
    for (name, text) in texts {
        parameters.entry(*name).or_insert_with(|| json!(text));
    }
}

/// Gives all that is known to those who write nothing of it. It is no template: it may hold any text.
pub fn add_default_json(notifier: &str, parameters: &mut Map<String, Value>, facts: &Map<String, Value>) {
    if notifier == "webhook" {
        parameters.entry("json").or_insert_with(|| Value::Object(facts.clone()));
    }
}
