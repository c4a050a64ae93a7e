//! Generated pages are what the program says today.

use std::path::Path;
use std::process::Command;

#[test]
fn the_operators_page_is_what_the_program_prints() {
    let printed = Command::new(env!("CARGO_BIN_EXE_windrose")).args(["operators", "docs"]).output().expect("windrose");
    assert!(printed.status.success());
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operators.md");
    let kept = std::fs::read_to_string(kept).expect("docs/operators.md");
    assert!(kept == String::from_utf8_lossy(&printed.stdout), "docs/operators.md is out of date; run 'make docs'");
}
