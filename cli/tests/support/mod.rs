//! A lab, a workspace whose secrets come from it, and looking at what was left and shown.

#![allow(clippy::expect_used, reason = "helpers of tests")]

pub(crate) mod pipeline;
pub(crate) mod web;

use std::path::Path;

use windrose_testkit::lab::Lab;
use windrose_testkit::process::Workspace;

/// A lab, and a workspace that reads its connections and variables from it.
pub(crate) fn started_lab() -> (Lab, Workspace) {
    let lab = Lab::start();
    let mut workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    for (name, value) in lab.environment() {
        workspace.set_env(name, &value);
    }
    (lab, workspace)
}

/// Every file below a folder, with its path and its bytes.
pub(crate) fn files_below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("a file").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.display().to_string(), std::fs::read(&path).expect("a file's bytes")));
            }
        }
    }
    found
}
