//! Collects what is wrong while a file is read.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use super::diagnostics::{Diagnostic, Diagnostics, Severity};
use super::{DagSource, MAX_DIAGNOSTICS};

/// A place in the file, in bytes. A file has at most 1 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    /// The beginning of the file, for what is missing from it.
    pub(super) const TOP: Self = Self { start: 0, end: 0 };
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        let narrow = |offset| u32::try_from(offset).unwrap_or(u32::MAX);
        Self { start: narrow(range.start), end: narrow(range.end) }
    }
}

/// Something that is wrong, before it is written down.
#[derive(Debug)]
pub(super) struct Finding {
    severity: Severity,
    span: Span,
    message: String,
    label: Option<String>,
    help: Option<String>,
}

impl Finding {
    pub(super) fn error(span: impl Into<Span>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, span: span.into(), message: message.into(), label: None, help: None }
    }

    pub(super) fn warning(span: impl Into<Span>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(span, message) }
    }

    /// A field, value or combination that the format has and Windrose does not do yet.
    pub(super) fn not_supported(span: impl Into<Span>, what: &str) -> Self {
        Self::error(span, format!("'{what}' is not supported yet")).label("remove this")
    }

    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// `did you mean '…'?`, if there is something near.
    pub(super) fn did_you_mean(self, near: Option<&str>) -> Self {
        match near {
            Some(near) => self.help(format!("did you mean '{near}'?")),
            None => self,
        }
    }
}

/// The list of findings of one file.
pub(super) struct Reporter<'s> {
    source: &'s DagSource,
    line_starts: Vec<usize>,
    found: Vec<Diagnostic>,
    seen: HashSet<(Span, String)>,
    left_out: usize,
}

impl<'s> Reporter<'s> {
    pub(super) fn new(source: &'s DagSource) -> Self {
        let after_breaks = source.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(after_breaks).collect();
        Self { source, line_starts, found: Vec::new(), seen: HashSet::new(), left_out: 0 }
    }

    /// Writes a finding down. The same words at the same place count once: a bad value in `[defaults]` is found with
    /// every task.
    pub(super) fn add(&mut self, finding: Finding) {
        if self.is_full() {
            self.left_out += 1;
            return;
        }
        if !self.seen.insert((finding.span, finding.message.clone())) {
            return;
        }
        let text = &self.source.text;
        let start = text.floor_char_boundary(finding.span.start as usize);
        let line = self.line_starts.partition_point(|&at| at <= start);
        // Of a value over several lines the first is marked.
        let line_end = text[start..].find('\n').map_or(text.len(), |length| start + length);
        let end = text.floor_char_boundary(finding.span.end as usize).clamp(start, line_end);
        let column = text[self.line_starts[line - 1]..start].chars().count() + 1;
        self.found.push(Diagnostic {
            severity: finding.severity,
            message: finding.message,
            file: self.file(),
            line,
            column,
            label: finding.label,
            help: finding.help,
            place: (start, end - start),
        });
    }

    /// A line of a text over several lines, from 1; the whole of any other text.
    pub(super) fn line_of_text(&self, span: Span, line: usize) -> Span {
        let start = span.start as usize;
        let Some(raw) = self.source.text.get(start..span.end as usize) else { return span };
        let body = raw.strip_prefix("\"\"\"").or_else(|| raw.strip_prefix("'''"));
        // A backslash at the end of a line joins it with the next, and then lines of the text are not lines of the file.
        let Some(body) = body.filter(|_| !raw.contains("\\\n") && !raw.contains("\\\r")) else { return span };
        let skipped = usize::from(body.starts_with('\n') || body.starts_with("\r\n"));
        let mut offset = 0;
        for (index, text) in raw.split_inclusive('\n').enumerate() {
            if index + 1 == line + skipped {
                let shown = text.trim();
                let at = start + offset + text.find(shown).unwrap_or(0);
                return Span::from(at..at + shown.len());
            }
            offset += text.len();
        }
        span
    }

    /// True once there is no room for more: no work is worth doing for a better message.
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= MAX_DIAGNOSTICS
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn finish(mut self) -> Diagnostics {
        self.found.sort_by_key(|diagnostic| diagnostic.place.0);
        Diagnostics {
            file: self.file(),
            text: Arc::from(self.source.text.as_str()),
            found: self.found,
            left_out: self.left_out,
        }
    }

    fn file(&self) -> String {
        self.source.path.display().to_string()
    }
}
