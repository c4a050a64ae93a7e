//! The DAG file as its users meet it: what is read, what is refused and in which words.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod catalog;
mod deadlines;
mod edges;
mod errors;
mod fields;
mod hash;
mod hostile;
mod lint;
mod schedule;
#[path = "../vector_file/mod.rs"]
mod vector_file;
mod whole_file;

use windrose_core::dag::Dag;
use windrose_core::dag_file::{DagSource, Defaults, Diagnostics, parse};

use crate::catalog::SmallCatalog;

fn source(text: &str) -> DagSource {
    DagSource { path: "dags/example.toml".into(), text: text.to_owned() }
}

fn read(text: &str) -> Result<Dag, Diagnostics> {
    parse(&source(text), &SmallCatalog, &Defaults::default())
}

fn read_well(text: &str) -> Dag {
    match read(text) {
        Ok(dag) => dag,
        Err(found) => panic!("{found}"),
    }
}

/// The messages of a file that is refused, each with its line.
fn messages(text: &str) -> Vec<String> {
    let found = read(text).expect_err("the file is refused");
    found.iter().map(|d| format!("{}: {}", d.line, d.message)).collect()
}
