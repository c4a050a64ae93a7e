//! Reads vectors, and says how many of them pass.

use std::path::PathBuf;

use serde_json::Value;

/// The folder of the vectors: `WINDROSE_VECTORS`, or the project's copy.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("WINDROSE_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/vectors"), PathBuf::from)
}

/// The rows of a file of vectors, and those of our own making in `vectors_more`. One that is no JSON has its number as id.
pub(crate) fn read_rows(file: &str) -> Vec<Value> {
    let mut text = String::new();
    let more = std::env::var_os("WINDROSE_VECTORS").is_none().then(|| folder().join("../vectors_more"));
    for folder in [Some(folder()), more].into_iter().flatten() {
        let path = folder.join(file);
        match std::fs::read_to_string(&path) {
            Ok(rows) => text.push_str(&rows),
            Err(_) if folder.ends_with("vectors_more") => {}
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
    let row = |(at, line): (usize, &str)| {
        serde_json::from_str(line).unwrap_or_else(|_| serde_json::json!({ "id": format!("line {}", at + 1) }))
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(row).collect()
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

    /// Judges one row. One that cannot even be read fails by itself, and ends no other.
    #[allow(dead_code, reason = "not every family needs it")]
    pub(crate) fn judge(&mut self, row: &Value, check: impl FnOnce(&Value) -> Result<(), String>) {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(row)));
        self.record(row, result.unwrap_or_else(|_| Err("this row panics".to_owned())));
    }

    /// The same for a family with rows of several kinds, after the count of all of them.
    #[allow(dead_code, reason = "not every family has kinds")]
    pub(crate) fn finish_kinds(name: &str, kinds: &[Self]) {
        let (total, failed) = kinds.iter().fold((0, 0), |sum, k| (sum.0 + k.total, sum.1 + k.failures.len()));
        println!("{name}: {}/{total}", total - failed);
        Self::finish(kinds);
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
