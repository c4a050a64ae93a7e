//! What is wrong with a DAG file, for people (with the source line and a caret) and for programs (as JSON).

use std::fmt;
use std::sync::Arc;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan};
use serde::{Serialize, Serializer};

use super::excerpt::Excerpt;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The DAG is refused.
    Error,
    /// The DAG is taken, but it may not do what is meant.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong, as a sentence.
    pub message: String,
    /// The file, as [`super::DagSource::path`] names it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What stands under the marked place.
    pub label: Option<String>,
    /// What to do.
    pub help: Option<String>,
    /// The marked place: offset and length in bytes.
    #[serde(skip)]
    pub(super) place: (usize, usize),
}

/// Everything found in one file, in the order of the file.
#[derive(Clone)]
pub struct Diagnostics {
    pub(super) file: String,
    pub(super) text: Arc<str>,
    pub(super) found: Vec<Diagnostic>,
    pub(super) left_out: usize,
}

impl Diagnostics {
    /// What was found; at most [`super::MAX_DIAGNOSTICS`].
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.found.iter()
    }

    /// How many were found beyond those that are listed.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The report for people. With colour it is drawn with lines and ANSI codes, without it is plain ASCII.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::none() };
        let handler = GraphicalReportHandler::new_themed(theme).with_width(120).with_links(false).with_context_lines(1);
        let mut report = String::new();
        for diagnostic in &self.found {
            let drawn = Drawn { diagnostic, excerpt: Excerpt::of(diagnostic, &self.text) };
            // Writing to a String cannot fail, and a report that could not be drawn must not hide the others.
            if handler.render_report(&mut report, &drawn).is_err() {
                report.push_str(&diagnostic.to_string());
            }
            report.push('\n');
        }
        if self.left_out > 0 {
            report.push_str(&format!("… and {} more; correct these first.\n", self.left_out));
        }
        report
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Serialize for Diagnostics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.found.serialize(serializer)
    }
}

/// One line each: `file:line:column: message`.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.found.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            fmt::Display::fmt(diagnostic, f)?;
        }
        if self.left_out > 0 {
            write!(f, "\n{}: and {} more; correct these first", self.file, self.left_out)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.found).finish()
    }
}

impl std::error::Error for Diagnostics {}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// A diagnostic with its source, in the form miette draws.
struct Drawn<'a> {
    diagnostic: &'a Diagnostic,
    excerpt: Excerpt,
}

impl fmt::Display for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl fmt::Debug for Drawn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.diagnostic, f)
    }
}

impl std::error::Error for Drawn<'_> {}

impl miette::Diagnostic for Drawn<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display + 'a>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(&self.excerpt)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (offset, length) = self.excerpt.mark;
        Some(Box::new(std::iter::once(LabeledSpan::new(self.diagnostic.label.clone(), offset, length))))
    }
}
