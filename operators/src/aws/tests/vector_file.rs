//! Reads vectors: Airflow's own answers.

use std::path::PathBuf;

use serde_json::Value;

/// The rows of a file in the folder `WINDROSE_VECTORS`, or in the project's copies.
pub(super) fn rows(file: &str) -> Vec<Value> {
    let own = |folder| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(folder);
    let folders = match std::env::var_os("WINDROSE_VECTORS") {
        Some(given) => vec![PathBuf::from(given)],
        None => vec![own("vectors"), own("vectors_more")],
    };
    let texts = folders.iter().map(|folder| std::fs::read_to_string(folder.join(file)).unwrap());
    texts.flat_map(|text| text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>()).collect()
}
