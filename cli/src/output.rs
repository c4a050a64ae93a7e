//! How answers are printed: tables for people, JSON for scripts, errors as one sentence.

use std::io::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// `println!` for answers: a reader that has seen enough, such as `head`, is no error.
macro_rules! outln {
    () => { $crate::output::write(format_args!("\n")) };
    ($($text:tt)*) => { $crate::output::write(format_args!("{}\n", format_args!($($text)*))) };
}

/// Writes a part of an answer to standard output. If nobody reads it any more, there is nothing left to do.
pub(crate) fn write(text: std::fmt::Arguments<'_>) {
    if let Err(error) = std::io::stdout().write_fmt(text) {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            std::process::exit(0);
        }
        eprintln!("windrose: the answer cannot be written: {error}; look at where standard output goes");
        std::process::exit(1);
    }
}

/// The whole chain of an error in one line, repetitions left out.
pub(crate) fn sentence(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}

/// A thing that has a row in a table.
pub(crate) trait Row: Serialize {
    /// The column heads.
    const HEADS: &'static [&'static str];
    /// The cells, one for each head.
    fn cells(&self) -> Vec<String>;
}

/// Tables are not squeezed into less.
const NARROWEST: u16 = 20;

/// Prints a list, as JSON or as a table.
pub(crate) fn list<R: Row>(rows: &[R], json: bool) -> anyhow::Result<()> {
    if json {
        return object(&rows);
    }
    if rows.is_empty() {
        eprintln!("none");
        return Ok(());
    }
    let mut table = Table::new();
    // A terminal that does not know its width says 0, and every column would get one character.
    let known = terminal_size::terminal_size().is_some_and(|(width, _)| width.0 >= NARROWEST);
    let arrangement = if known { ContentArrangement::Dynamic } else { ContentArrangement::Disabled };
    table.load_style(presets::NOTHING).set_content_arrangement(arrangement);
    table.set_header(R::HEADS.iter().map(|head| head.to_uppercase()));
    for row in rows {
        table.add_row(row.cells());
    }
    let text = table.to_string();
    for line in text.lines() {
        outln!("{}", line.trim_end());
    }
    Ok(())
}

/// Prints anything as JSON.
pub(crate) fn object<T: Serialize>(value: &T) -> anyhow::Result<()> {
    outln!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}
