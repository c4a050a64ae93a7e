//! `windrose demo`: it ends well, and it leaves nothing behind, however it ends.

#![allow(clippy::expect_used, reason = "helpers of tests")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use windrose_testkit::process::wait_until;

fn start_demo(temporary: &TempDir, args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_windrose"))
        .args(["demo", "--bind", "127.0.0.1:0", "--rows", "300"])
        .args(args)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .env("TMPDIR", temporary.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the windrose binary")
}

fn folder_for_everybody() -> TempDir {
    let open = std::fs::Permissions::from_mode(0o755);
    tempfile::Builder::new().prefix("windrose-test-").permissions(open).tempdir().expect("a temporary folder")
}

/// No file, and no process that names the folder in its command line.
fn nothing_is_left(temporary: &TempDir) {
    let name = temporary.path().to_str().expect("a name");
    wait_until("everything to be gone", || {
        let files = std::fs::read_dir(temporary.path()).map_err(|error| error.to_string())?.count();
        let processes: Vec<_> = std::fs::read_dir("/proc")
            .map_err(|error| error.to_string())?
            .filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| line.contains(name))
            .collect();
        if files == 0 && processes.is_empty() { Ok(()) } else { Err(format!("{files} files, {processes:?}")) }
    });
}

#[test]
fn the_demo_moves_and_checks_every_row_and_leaves_nothing_behind() {
    let temporary = folder_for_everybody();
    let output = start_demo(&temporary, &["--exit"]).wait_with_output().expect("its end");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    for line in
        ["products_f, curated", "equal to the file, value by value", "equal to the table, value by value", "empty"]
    {
        assert!(said.contains(line), "'{line}' is missing in {said}");
    }
    assert!(!said.contains("NOT"), "{said}");
    nothing_is_left(&temporary);
}

#[test]
fn a_demo_that_is_interrupted_says_so_and_leaves_nothing_behind() {
    let temporary = folder_for_everybody();
    let mut demo = start_demo(&temporary, &[]);
    let mut lines = BufReader::new(demo.stdout.take().expect("its output")).lines();
    let waits = lines.by_ref().map_while(Result::ok).any(|line| line.contains("windrose is up"));
    assert!(waits, "the demo started its parts");
    kill(Pid::from_raw(i32::try_from(demo.id()).expect("a process id")), Signal::SIGINT).expect("a living process");
    lines.for_each(drop);
    assert_eq!(demo.wait().expect("its end").code(), Some(1));
    nothing_is_left(&temporary);
}

#[test]
fn a_demo_of_a_pipeline_that_is_not_there_fails_with_a_sentence() {
    let temporary = folder_for_everybody();
    let output = start_demo(&temporary, &["--dag", "dags/nothing.toml"]).wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(1));
    nothing_is_left(&temporary);
}
