//! Typed access to the fields of a table. What does not fit is reported and read as absent, so that reading goes on.

use std::time::Duration;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::duration::{from_seconds, parse_duration};
use super::reporter::{Finding, Reporter, Span};
use super::suggest::nearest;
use super::values::{Node, integer_of, kind_of, number_of};

/// A word of the file with its place.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) span: Span,
}

/// The fields of a table; those it lacks are looked up in a second one.
#[derive(Clone, Copy)]
pub(super) struct Fields<'d> {
    own: &'d DeTable<'d>,
    fallback: Option<&'d DeTable<'d>>,
}

impl<'d> Fields<'d> {
    pub(super) fn of(own: &'d DeTable<'d>) -> Self {
        Self { own, fallback: None }
    }

    pub(super) fn with_fallback(own: &'d DeTable<'d>, fallback: Option<&'d DeTable<'d>>) -> Self {
        Self { own, fallback }
    }

    /// The table's own field only.
    pub(super) fn own(&self, key: &str) -> Option<&'d Node<'d>> {
        self.own.get(key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&'d Node<'d>> {
        self.own.get(key).or_else(|| self.fallback?.get(key))
    }

    /// The field with the place of its key.
    pub(super) fn entry(&self, key: &str) -> Option<(&'d Spanned<DeString<'d>>, &'d Node<'d>)> {
        self.own.get_key_value(key).or_else(|| self.fallback?.get_key_value(key))
    }

    pub(super) fn text(&self, key: &str, reporter: &mut Reporter<'_>) -> Option<String> {
        self.word(key, reporter).map(|word| word.text)
    }

    pub(super) fn word(&self, key: &str, reporter: &mut Reporter<'_>) -> Option<Word> {
        let node = self.get(key)?;
        word_of(key, node, reporter)
    }

    pub(super) fn flag(&self, key: &str, reporter: &mut Reporter<'_>) -> Option<bool> {
        let node = self.get(key)?;
        let flag = node.get_ref().as_bool();
        if flag.is_none() {
            reporter.add(wrong_kind(key, node, "true or false"));
        }
        flag
    }

    pub(super) fn integer(&self, key: &str, reporter: &mut Reporter<'_>) -> Option<i64> {
        let node = self.get(key)?;
        let number = integer_of(node.get_ref());
        if number.is_none() {
            reporter.add(wrong_kind(key, node, "a whole number"));
        }
        number
    }

    /// A whole number from `least` on.
    pub(super) fn count(&self, key: &str, least: u32, reporter: &mut Reporter<'_>) -> Option<u32> {
        let number = self.integer(key, reporter)?;
        match u32::try_from(number) {
            Ok(count) if count >= least => Some(count),
            _ => {
                let message = format!("'{key}' must lie between {least} and {}, not {number}", u32::MAX);
                reporter.add(Finding::error(self.span(key), message));
                None
            }
        }
    }

    pub(super) fn duration(&self, key: &str, reporter: &mut Reporter<'_>) -> Option<Duration> {
        let node = self.get(key)?;
        let parsed = match node.get_ref() {
            DeValue::String(text) => parse_duration(text),
            other => match number_of(other) {
                Some(seconds) => from_seconds(seconds),
                None => {
                    reporter.add(wrong_kind(key, node, "a duration: \"90s\", \"1h30m\" or a number of seconds"));
                    return None;
                }
            },
        };
        parsed.map_err(|why| reporter.add(Finding::error(node.span(), format!("in '{key}': {why}")))).ok()
    }

    /// A duration that is not zero.
    pub(super) fn positive_duration(&self, key: &str, reporter: &mut Reporter<'_>) -> Option<Duration> {
        let duration = self.duration(key, reporter)?;
        if duration.is_zero() {
            reporter.add(Finding::error(self.span(key), format!("'{key}' must be longer than zero")));
            return None;
        }
        Some(duration)
    }

    /// A list of strings.
    pub(super) fn words(&self, key: &str, reporter: &mut Reporter<'_>) -> Option<Vec<Word>> {
        let node = self.get(key)?;
        let Some(items) = node.get_ref().as_array() else {
            let mut finding = wrong_kind(key, node, "a list of strings");
            if let Some(text) = node.get_ref().as_str() {
                finding = finding.help(format!("write {key} = [\"{text}\"]"));
            }
            reporter.add(finding);
            return None;
        };
        Some(items.iter().filter_map(|item| word_of(key, item, reporter)).collect())
    }

    pub(super) fn table(&self, key: &str, reporter: &mut Reporter<'_>) -> Option<&'d DeTable<'d>> {
        let node = self.get(key)?;
        table_of(key, node, reporter)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)], reporter: &mut Reporter<'_>) -> Option<T> {
        let word = self.word(key, reporter)?;
        let chosen = choices.iter().find(|(name, _)| *name == word.text).map(|(_, value)| *value);
        if chosen.is_none() {
            reporter.add(not_a_choice(key, &word, choices.iter().map(|(name, _)| *name)));
        }
        chosen
    }

    /// Where the field's value stands.
    pub(super) fn span(&self, key: &str) -> Span {
        self.get(key).map_or(Span::TOP, |node| node.span().into())
    }
}

/// That a value is none of the words allowed.
pub(super) fn not_a_choice<'c>(key: &str, word: &Word, choices: impl Iterator<Item = &'c str> + Clone) -> Finding {
    let finding = Finding::error(word.span, format!("'{}' is not a value of '{key}'", word.text));
    match nearest(&word.text, choices.clone()) {
        Some(near) => finding.did_you_mean(Some(near)),
        None => finding.help(format!("it is one of {}", choices.collect::<Vec<_>>().join(", "))),
    }
}

/// That a value is of the wrong kind.
pub(super) fn wrong_kind(key: &str, node: &Node<'_>, wanted: &str) -> Finding {
    Finding::error(node.span(), format!("'{key}' must be {wanted}, not {}", kind_of(node.get_ref())))
}

/// A string with its place.
pub(super) fn word_of(key: &str, node: &Node<'_>, reporter: &mut Reporter<'_>) -> Option<Word> {
    let Some(text) = node.get_ref().as_str() else {
        reporter.add(wrong_kind(key, node, "a string"));
        return None;
    };
    Some(Word { text: text.to_owned(), span: node.span().into() })
}

/// A table.
pub(super) fn table_of<'d>(key: &str, node: &'d Node<'d>, reporter: &mut Reporter<'_>) -> Option<&'d DeTable<'d>> {
    let table = node.get_ref().as_table();
    if table.is_none() {
        reporter.add(wrong_kind(key, node, "a table"));
    }
    table
}

/// Reports every key of a table that is not known there. `of` names the table: `a group`.
pub(super) fn refuse_unknown_keys(table: &DeTable<'_>, known: &[&str], of: &str, reporter: &mut Reporter<'_>) {
    for key in table.keys() {
        let name = key.get_ref().as_ref();
        if !known.contains(&name) {
            let near = nearest(name, known.iter().copied());
            let finding = Finding::error(key.span(), format!("{of} has no field '{name}'")).label("unknown field");
            reporter.add(match near {
                Some(_) => finding.did_you_mean(near),
                None => finding.help(format!("it has {}", known.join(", "))),
            });
        }
    }
}
