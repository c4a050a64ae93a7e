//! Python's `re.match`: a pattern that must match at the start of a text, and need not match to its end.

use fancy_regex::{Regex, RegexBuilder};

/// A compiled pattern. A match that would take too long is an error, not a hang.
#[derive(Debug, Clone)]
pub struct PythonRegex(Regex);

impl PythonRegex {
    /// Compiles a pattern in Python's syntax.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn new(pattern: &str, ignore_case: bool) -> Result<Self, String> {
        RegexBuilder::new(&end_anchor(pattern))
            .case_insensitive(ignore_case)
            .build()
            .map(Self)
            .map_err(|e| format!("'{pattern}' is not a regular expression: {e}"))
    }

    /// Whether it matches at the start of a text.
    ///
    /// # Errors
    /// A sentence: the pattern backtracks too much on this text.
    pub fn matches_start(&self, text: &str) -> Result<bool, String> {
        // The search is leftmost, so a match at the start is the one that is found.
        let found = self.0.find(text).map_err(|e| format!("'{}' cannot be matched: {e}", self.0.as_str()))?;
        Ok(found.is_some_and(|found| found.start() == 0))
    }
}

/// Python's `\Z` is the very end, which is `\z` elsewhere.
fn end_anchor(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        out.push(c);
        if c == '\\'
            && let Some(escaped) = chars.next()
        {
            out.push(if escaped == 'Z' { 'z' } else { escaped });
        }
    }
    out
}

/// A text that everything the pattern matches begins with, as far as that is easy to see.
#[must_use]
pub fn literal_prefix(pattern: &str) -> String {
    // An alternative may begin otherwise, wherever it stands.
    if pattern.contains('|') {
        return String::new();
    }
    let mut prefix = String::new();
    let pattern = pattern.strip_prefix('^').or_else(|| pattern.strip_prefix("\\A")).unwrap_or(pattern);
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        let literal = match c {
            '\\' => match chars.next() {
                Some(escaped) if escaped.is_ascii_punctuation() => escaped,
                _ => break,
            },
            '.' | '^' | '$' | '*' | '+' | '?' | '{' | '[' | '(' | ')' => break,
            c => c,
        };
        match chars.peek() {
            Some('*' | '?' | '{') => break,
            _ => prefix.push(literal),
        }
    }
    prefix
}
