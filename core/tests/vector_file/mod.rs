//! Reads vectors, and says how many of them pass.

use std::path::PathBuf;

use serde_json::Value;

/// The folder of the vectors: `WINDROSE_VECTORS`, or the project's copy.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("WINDROSE_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/vectors"), PathBuf::from)
}

/// The rows of a file of vectors.
pub(crate) fn read_rows(file: &str) -> Vec<Value> {
    let path = folder().join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.lines().filter(|l| !l.trim().is_empty()).map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// One kind of vectors and how it fared.
pub(crate) struct Family {
    pub(crate) name: String,
    total: usize,
    failures: Vec<String>,
}

impl Family {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), total: 0, failures: Vec::new() }
    }

    /// Takes one row's result.
    pub(crate) fn record(&mut self, row: &Value, result: Result<(), String>) {
        self.total += 1;
        if let Err(why) = result {
            self.failures.push(format!("{}: {why}", row["id"].as_str().unwrap_or("?")));
        }
    }

    /// Prints every family's count, and fails if any row failed or a family is empty.
    pub(crate) fn finish(families: &[Self]) {
        let mut bad = false;
        for family in families {
            println!("{}: {}/{}", family.name, family.total - family.failures.len(), family.total);
            for failure in &family.failures {
                println!("  {failure}");
            }
            bad |= !family.failures.is_empty() || family.total == 0;
        }
        assert!(!bad, "some vectors fail; they are listed above");
    }
}
