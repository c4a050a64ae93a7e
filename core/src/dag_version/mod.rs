//! What a DAG's version is: the content of its file, and the files of its bundle that it names.

mod named_files;
mod python_imports;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use named_files::{Named, named_files};
pub use python_imports::{imported_modules, mentioned_files};

/// SHA-256 of some bytes, in hexadecimal: how the content of files is named.
#[must_use]
pub fn bytes_hash(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The name of a version: the [`crate::dag_file::content_hash`] of the file, and what each named file holds by the path it has
/// in the bundle. Files may come in any order.
#[must_use]
pub fn version_hash<'a>(content_hash: &str, files: impl IntoIterator<Item = (&'a Path, &'a str)>) -> String {
    let mut files: Vec<(PathBuf, &str)> = files.into_iter().map(|(path, hash)| (path.to_owned(), hash)).collect();
    if files.is_empty() {
        return content_hash.to_owned();
    }
    files.sort_unstable();
    let mut hash = Sha256::new();
    hash.update(content_hash.as_bytes());
    for (path, content) in files {
        let path = path.as_os_str().as_encoded_bytes();
        hash.update((path.len() as u64).to_be_bytes());
        hash.update(path);
        hash.update(content.as_bytes());
    }
    hexadecimal(&hash.finalize())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
