//! Reads vectors: Airflow's own answers.

use std::path::PathBuf;

use serde_json::Value;

/// The rows of a file in the folder `WINDROSE_VECTORS`, or in the project's copy.
pub(super) fn rows(file: &str) -> Vec<Value> {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/vectors");
    let folder = std::env::var_os("WINDROSE_VECTORS").map_or(own, PathBuf::from);
    let text = std::fs::read_to_string(folder.join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
