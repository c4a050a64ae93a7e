//! The lines around a place, cut to a readable width, in the form miette draws. A file may be one line of a mebibyte.

use miette::{MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents};

use super::diagnostics::Diagnostic;

/// Characters shown before, within and after the marked place.
const WIDTH: usize = 100;

/// Up to three lines: the marked one and its neighbours.
#[derive(Debug)]
pub(super) struct Excerpt {
    file: String,
    text: String,
    /// From 0, as miette counts.
    first_line: usize,
    line: usize,
    column: usize,
    /// Offset and length in `text`.
    pub(super) mark: (usize, usize),
}

impl Excerpt {
    pub(super) fn of(diagnostic: &Diagnostic, source: &str) -> Self {
        let (offset, length) = diagnostic.place;
        let start = source[..offset].rfind('\n').map_or(0, |at| at + 1);
        let line = source[start..].lines().next().unwrap_or_default();
        let at = (offset - start).min(line.len());
        let (marked_line, mark) = window(line, at, length.min(line.len() - at));
        let before = source[..start].lines().next_back().map(head);
        let after = source[start..].lines().nth(1).map(head);

        let mut text = before.as_ref().map(|line| format!("{line}\n")).unwrap_or_default();
        let mark = (text.len() + mark.0, mark.1);
        text.push_str(&marked_line);
        if let Some(after) = &after {
            text.push('\n');
            text.push_str(after);
        }
        Self {
            file: diagnostic.file.clone(),
            text,
            first_line: diagnostic.line - 1 - usize::from(before.is_some()),
            line: diagnostic.line - 1,
            column: diagnostic.column - 1,
            mark,
        }
    }
}

fn head(line: &str) -> String {
    let shown: String = line.chars().take(WIDTH).collect();
    if shown.len() < line.len() { shown + "…" } else { shown }
}

/// The part of a line around a place, and the place within that part.
fn window(line: &str, at: usize, length: usize) -> (String, (usize, usize)) {
    let (before, rest) = line.split_at(at);
    let (marked, after) = rest.split_at(length);
    let cut = before.char_indices().rev().nth(WIDTH - 1).map_or(0, |(index, _)| index);
    let mut shown = if cut > 0 { "…".to_owned() } else { String::new() };
    shown.push_str(&before[cut..]);
    let start = shown.len();
    shown.push_str(&head(marked));
    let length = shown.len() - start;
    shown.push_str(&head(after));
    (shown, (start, length))
}

impl SourceCode for Excerpt {
    /// Without context it is asked for the place alone, to show its line and column; else for what to draw.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        context_before: usize,
        _context_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (data, span, line, column) = if context_before == 0 {
            let bytes = self.text.as_bytes().get(span.offset()..span.offset() + span.len());
            (bytes.ok_or(MietteError::OutOfBounds)?, *span, self.line, self.column)
        } else {
            (self.text.as_bytes(), SourceSpan::from((0, self.text.len())), self.first_line, 0)
        };
        let lines = self.text.lines().count();
        Ok(Box::new(MietteSpanContents::new_named(self.file.clone(), data, span, line, column, lines)))
    }
}
