//! A text of several SQL statements, taken apart at its semicolons.

use std::ops::Range;

/// What a stretch of SQL text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Anything that is not one of the others.
    Code,
    /// `'…'`, `"…"` or `$$…$$`, quotes included.
    Quoted,
    /// `-- …` or `/* … */`.
    Comment,
}

/// The stretches of a text, in order and without gaps. A quote or comment that is not closed reaches to the end.
pub(crate) fn parts(text: &str) -> Vec<(Part, Range<usize>)> {
    let bytes = text.as_bytes();
    let mut found: Vec<(Part, Range<usize>)> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (part, end) = match bytes[at] {
            b'\'' => (Part::Quoted, quoted_end(bytes, at, is_escape_string(bytes, at))),
            b'"' => (Part::Quoted, quoted_end(bytes, at, false)),
            b'$' => dollar_end(text, at).map_or((Part::Code, at + 1), |end| (Part::Quoted, end)),
            b'-' if bytes[at..].starts_with(b"--") => {
                (Part::Comment, text[at..].find('\n').map_or(bytes.len(), |newline| at + newline))
            }
            b'/' if bytes[at..].starts_with(b"/*") => (Part::Comment, comment_end(bytes, at)),
            _ => (Part::Code, at + 1),
        };
        match found.last_mut() {
            Some((Part::Code, last)) if part == Part::Code => last.end = end,
            _ => found.push((part, at..end)),
        }
        at = end;
    }
    found
}

/// The statements of a text, without the semicolons between them and without comments; empty ones are left out.
#[must_use]
pub fn split_statements(text: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    for (part, range) in parts(text) {
        let mut pieces = text[range.clone()].split(';');
        let Some(statement) = statements.last_mut() else { continue };
        match part {
            Part::Comment => statement.push(' '),
            Part::Quoted => statement.push_str(&text[range]),
            Part::Code => {
                statement.push_str(pieces.next().unwrap_or_default());
                statements.extend(pieces.map(str::to_owned));
            }
        }
    }
    statements.iter().map(|statement| statement.trim().to_owned()).filter(|statement| !statement.is_empty()).collect()
}

/// PostgreSQL's `E'…'`, in which a backslash hides the next character.
fn is_escape_string(bytes: &[u8], quote: usize) -> bool {
    let before = |back: usize| quote.checked_sub(back).map(|at| bytes[at]);
    matches!(before(1), Some(b'e' | b'E'))
        && !before(2).is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn quoted_end(bytes: &[u8], start: usize, escapes: bool) -> usize {
    let quote = bytes[start];
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of `$$…$$` or `$tag$…$tag$`; `None` if this is no such quote (`$1`, or the middle of a name).
fn dollar_end(text: &str, start: usize) -> Option<usize> {
    let in_name = text[..start].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
    let rest = &text[start + 1..];
    let tag_length = rest.find('$')?;
    let tag = &rest[..tag_length];
    let is_tag = tag.chars().all(|c| c.is_alphanumeric() || c == '_') && !tag.starts_with(|c: char| c.is_ascii_digit());
    if in_name || !is_tag {
        return None;
    }
    let delimiter = &text[start..start + tag_length + 2];
    let body = start + delimiter.len();
    Some(text[body..].find(delimiter).map_or(text.len(), |end| body + end + delimiter.len()))
}

/// Comments of this kind may hold others.
fn comment_end(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::split_statements;

    #[test]
    fn statements_end_at_semicolons() {
        assert_eq!(split_statements("SELECT 1; SELECT 2 ;"), ["SELECT 1", "SELECT 2"]);
        assert!(split_statements(" ; ;\n-- nothing\n; /* at all */").is_empty());
    }

    #[test]
    fn semicolons_in_quotes_and_comments_end_nothing() {
        for whole in [
            "SELECT ';'",
            "SELECT 'it''s; fine'",
            "SELECT E'\\'; still quoted'",
            r#"SELECT 1 AS "a;b""#,
            "DO $$ BEGIN PERFORM 1; END $$",
            "DO $body$ SELECT '$$;' $body$",
        ] {
            assert_eq!(split_statements(whole), [whole]);
        }
        assert_eq!(split_statements("SELECT 1 -- one; two\n + 1"), ["SELECT 1  \n + 1"]);
        assert_eq!(split_statements("SELECT /* a; /* b; */ c; */ 1"), ["SELECT   1"]);
    }

    #[test]
    fn a_backslash_is_no_escape_in_an_ordinary_string() {
        assert_eq!(split_statements(r"SELECT 'C:\'; SELECT 2"), [r"SELECT 'C:\'", "SELECT 2"]);
    }

    #[test]
    fn dollars_in_names_and_parameters_open_no_quote() {
        assert_eq!(split_statements("SELECT $1; SELECT a$b; SELECT $2"), ["SELECT $1", "SELECT a$b", "SELECT $2"]);
    }

    #[test]
    fn what_is_not_closed_reaches_to_the_end() {
        for open in ["SELECT 'a; b", "SELECT $$ a; b", "SELECT E'a\\"] {
            assert_eq!(split_statements(open), [open]);
        }
        assert_eq!(split_statements("SELECT 1 /* a; b"), ["SELECT 1"]);
    }
}
