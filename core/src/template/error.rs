//! What can be wrong with a template, where, and what to do.

use minijinja::{Error, ErrorKind};

/// A template that is not well formed or could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct TemplateError {
    /// Where in the task's parameters: `sql`, `config.Name`, `args[2]`. Empty if only a text was checked.
    pub field: String,
    /// The line within the text, from 1.
    pub line: Option<u32>,
    /// The character within the line, from 1; only where it is certain.
    pub column: Option<u32>,
    /// What is wrong and what to do, as a sentence.
    pub message: String,
}

impl TemplateError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { field: String::new(), line: None, column: None, message: message.into() }
    }

    fn sentence(&self) -> String {
        let place = match (self.line, self.column) {
            (Some(line), Some(column)) => format!("line {line}, column {column}"),
            (Some(line), None) => format!("line {line}"),
            _ => String::new(),
        };
        match (self.field.is_empty(), place.is_empty()) {
            (true, true) => self.message.clone(),
            (true, false) => format!("{place}: {}", self.message),
            (false, true) => format!("{}: {}", self.field, self.message),
            (false, false) => format!("{}, {place}: {}", self.field, self.message),
        }
    }

    /// From the engine's error. `text` is what the engine was given; a column is told only if that is what the user
    /// wrote.
    pub(super) fn from_engine(error: &Error, text: &str, is_users_text: bool) -> Self {
        let start = error.range().map(|range| range.start).filter(|&start| start <= text.len());
        Self {
            field: String::new(),
            line: error.line().and_then(|line| u32::try_from(line).ok()),
            column: start.filter(|_| is_users_text).and_then(|start| column_of(text, start)),
            message: message_of(error),
        }
    }
}

fn column_of(text: &str, offset: usize) -> Option<u32> {
    let before = text.get(..offset)?;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    u32::try_from(before[line_start..].chars().count() + 1).ok()
}

fn message_of(error: &Error) -> String {
    let detail = error.detail().unwrap_or_default();
    match error.kind() {
        ErrorKind::UndefinedError => undefined_message(detail),
        ErrorKind::OutOfFuel => {
            "the template takes too many steps or makes too much text; make its loops and values smaller".to_owned()
        }
        ErrorKind::UnknownFilter => format!("no such filter: {detail}"),
        ErrorKind::UnknownTest => format!("no such test: {detail}"),
        ErrorKind::UnknownFunction => format!("no such function: {detail}"),
        ErrorKind::UnknownMethod => format!("no such method: {detail}"),
        ErrorKind::TemplateNotFound => {
            "include, import and extends are not supported yet; write the text into the field".to_owned()
        }
        _ if detail.is_empty() => error.kind().to_string(),
        _ => detail.to_owned(),
    }
}

/// The engine says "`a.b` is undefined"; people know it with plain quotes, and with a suggestion.
fn undefined_message(detail: &str) -> String {
    let Some((expression, _)) = detail.strip_prefix('`').and_then(|rest| rest.split_once('`')) else {
        return if detail.is_empty() {
            "a name or attribute that the template uses is undefined".to_owned()
        } else {
            detail.replace('`', "'")
        };
    };
    let hint = super::names::suggestion(expression).map(|s| format!("; {s}")).unwrap_or_default();
    format!("'{expression}' is undefined{hint}")
}
