//! The hash of what a file says, whatever way it is laid out.

use std::path::PathBuf;

use sha2::{Digest, Sha256};
use toml::de::{DeTable, DeValue};

use super::diagnostics::Diagnostics;
use super::reporter::Reporter;
use super::values::{integer_of, number_of};
use super::{DagSource, read_document};

/// SHA-256, in hexadecimal, of a file's content. Comments, white space, the order of keys and the notation of values
/// (`'a'` or `"a"`, `16` or `0x10`, inline tables or headers) do not change it.
///
/// # Errors
/// If the text is not TOML.
pub fn content_hash(text: &str) -> Result<String, Diagnostics> {
    let source = DagSource { path: PathBuf::from("DAG file"), text: text.to_owned() };
    let mut reporter = Reporter::new(&source);
    let Some(document) = read_document(&source, &mut reporter) else { return Err(reporter.finish()) };
    let mut hash = Sha256::new();
    add_table(&mut hash, document.get_ref());
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Every value is its kind, its length and its content, so no two different values look alike.
fn add(hash: &mut Sha256, kind: u8, content: &[u8]) {
    hash.update([kind]);
    hash.update((content.len() as u64).to_be_bytes());
    hash.update(content);
}

fn add_table(hash: &mut Sha256, table: &DeTable<'_>) {
    add(hash, b't', &(table.len() as u64).to_be_bytes());
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_unstable_by(|(a, _), (b, _)| a.get_ref().cmp(b.get_ref()));
    for (key, value) in entries {
        add(hash, b'k', key.get_ref().as_bytes());
        add_value(hash, value.get_ref());
    }
}

fn add_value(hash: &mut Sha256, value: &DeValue<'_>) {
    match value {
        DeValue::String(text) => add(hash, b's', text.as_bytes()),
        DeValue::Integer(number) => match integer_of(value) {
            Some(number) => add(hash, b'i', &number.to_be_bytes()),
            None => add(hash, b'i', number.to_string().as_bytes()),
        },
        DeValue::Float(number) => match number_of(value) {
            Some(number) => add(hash, b'f', &number.to_bits().to_be_bytes()),
            None => add(hash, b'f', number.as_str().as_bytes()),
        },
        DeValue::Boolean(flag) => add(hash, b'b', &[u8::from(*flag)]),
        DeValue::Datetime(instant) => add(hash, b'd', instant.to_string().as_bytes()),
        DeValue::Array(items) => {
            add(hash, b'a', &(items.len() as u64).to_be_bytes());
            items.iter().for_each(|item| add_value(hash, item.get_ref()));
        }
        DeValue::Table(table) => add_table(hash, table),
    }
}
