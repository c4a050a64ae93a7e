//! `windrose demo`: it ends well, and it leaves nothing behind, however it ends.

#![allow(clippy::expect_used, reason = "helpers of tests")]

use std::io::{BufRead as _, BufReader, Lines};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

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
        let processes = processes_of(name);
        if files == 0 && processes.is_empty() { Ok(()) } else { Err(format!("{files} files, {processes:?}")) }
    });
}

/// The command lines that name the folder.
fn processes_of(folder: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("a list of processes");
    let lines = all.filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).filter(|line| line.contains(folder)).collect()
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

/// As Ctrl-C does.
fn interrupt(demo: &Child) {
    kill(Pid::from_raw(i32::try_from(demo.id()).expect("a process id")), Signal::SIGINT).expect("a living process");
}

/// All its parts run; the rest of what it says is still to come.
fn demo_that_is_up(temporary: &TempDir) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut demo = start_demo(temporary, &[]);
    let mut lines = BufReader::new(demo.stdout.take().expect("its output")).lines();
    let up = lines.by_ref().map_while(Result::ok).any(|line| line.contains("windrose is up"));
    assert!(up, "the demo started its parts");
    (demo, lines)
}

#[test]
fn a_demo_that_is_killed_takes_its_parts_with_it() {
    let temporary = folder_for_everybody();
    let name = temporary.path().to_str().expect("a name");
    let (mut demo, _lines) = demo_that_is_up(&temporary);
    assert!(processes_of(name).iter().any(|line| line.contains("standalone")), "the parts name the folder");
    demo.kill().expect("a living process");
    let _ = demo.wait();
    wait_until("the parts to end", || {
        let left = processes_of(name);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:#?}")) }
    });
}

#[test]
fn a_demo_that_is_interrupted_says_so_and_leaves_nothing_behind() {
    let temporary = folder_for_everybody();
    let (mut demo, lines) = demo_that_is_up(&temporary);
    interrupt(&demo);
    lines.for_each(drop);
    assert_eq!(demo.wait().expect("its end").code(), Some(1));
    nothing_is_left(&temporary);
}

#[test]
fn a_demo_that_has_shown_all_stays_up_until_it_is_interrupted_and_then_succeeds() {
    let temporary = folder_for_everybody();
    let (mut demo, mut lines) = demo_that_is_up(&temporary);
    let done = lines.by_ref().map_while(Result::ok).any(|line| line.contains("until Ctrl-C"));
    assert!(done, "the data arrived");
    assert_eq!(demo.try_wait().expect("its state"), None, "it stays up");
    interrupt(&demo);
    lines.for_each(drop);
    assert_eq!(demo.wait().expect("its end").code(), Some(0));
    nothing_is_left(&temporary);
}

#[test]
fn a_demo_of_a_pipeline_that_is_not_there_fails_with_a_sentence() {
    let temporary = folder_for_everybody();
    let output = start_demo(&temporary, &["--dag", "dags/nothing.toml"]).wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(1));
    nothing_is_left(&temporary);
}
