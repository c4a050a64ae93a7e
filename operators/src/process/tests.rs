use std::path::Path;
use std::sync::Arc;

use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::*;
use crate::context::LogSource;
use crate::testing::{TestServices, TestTask};

fn shell(script: &str) -> ProcessSpec {
    ProcessSpec {
        program: "bash".into(),
        args: vec!["-c".into(), script.into()],
        env: inherited_env(),
        cwd: "/".into(),
        stdin: Vec::new(),
    }
}

fn world() -> (TaskContext, Arc<TestServices>) {
    TestTask::new("process").real_time().build()
}

/// Waits until the process has logged a line that begins so, and gives the rest of it.
async fn logged(services: &TestServices, beginning: &str) -> String {
    loop {
        let lines = services.lines();
        if let Some(rest) = lines.iter().find_map(|line| line.text.strip_prefix(beginning)) {
            return rest.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the process is gone, or a zombie that only its parent has to collect.
async fn gone(pid: &str) {
    let stat = format!("/proc/{pid}/stat");
    while std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z ")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn both_outputs_are_logged_in_order_and_the_last_lines_kept() {
    let (ctx, services) = world();
    let end = run_process(&ctx, &shell("echo one; echo two >&2; printf three")).await.unwrap();
    assert_eq!((end.code, end.check()), (Some(0), Ok(())));
    assert_eq!((end.last_stdout.as_deref(), end.last_stderr.as_deref()), (Some("three"), Some("two")));
    let lines: Vec<_> = services.lines().into_iter().map(|line| (line.source, line.text)).collect();
    let of = |source| lines.iter().filter(|(s, _)| *s == source).map(|(_, text)| text.as_str()).collect::<Vec<_>>();
    assert_eq!((of(LogSource::Stdout), of(LogSource::Stderr)), (vec!["one", "three"], vec!["two"]));
}

#[tokio::test]
async fn a_bare_program_is_looked_for_in_the_childs_own_path() {
    let (ctx, _) = world();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/bin/echo", folder.path().join("our-echo")).unwrap();
    std::fs::create_dir(folder.path().join("true")).unwrap();
    let spec = |program: &str, path: Option<&str>| ProcessSpec {
        program: program.into(),
        args: vec!["found".into()],
        env: path
            .map(|path| ("PATH".into(), format!("{}:{path}", folder.path().display()).into()))
            .into_iter()
            .collect(),
        ..shell("")
    };
    let end = run_process(&ctx, &spec("our-echo", Some("/usr/bin"))).await.unwrap();
    assert_eq!(end.last_stdout.as_deref(), Some("found"));
    // A folder of that name is passed over, and without a PATH the system's folders are searched.
    assert_eq!(run_process(&ctx, &spec("true", Some("/usr/bin:/bin"))).await.unwrap().code, Some(0));
    assert_eq!(run_process(&ctx, &spec("true", None)).await.unwrap().code, Some(0));
    let error = run_process(&ctx, &spec("our-echo", None)).await.unwrap_err();
    assert!(error.to_string().contains("'our-echo' is not on this worker"), "{error}");
}

#[tokio::test]
async fn a_process_reads_what_it_is_given() {
    let (ctx, _) = world();
    let spec = ProcessSpec { stdin: b"given".to_vec(), ..shell("cat") };
    assert_eq!(run_process(&ctx, &spec).await.unwrap().last_stdout.as_deref(), Some("given"));
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let (ctx, _) = world();
    let spec = ProcessSpec { program: "no-such-program".into(), ..shell("") };
    assert!(
        run_process(&ctx, &spec).await.unwrap_err().to_string().contains("'no-such-program' is not on this worker")
    );
    let spec = ProcessSpec { cwd: "/no/such/folder".into(), ..shell("") };
    assert!(run_process(&ctx, &spec).await.unwrap_err().to_string().contains("Can not find the cwd: /no/such/folder"));
}

#[tokio::test]
async fn a_signal_from_outside_is_named() {
    let (ctx, _) = world();
    let end = run_process(&ctx, &shell("kill -SEGV $$")).await.unwrap();
    assert_eq!(end.check(), Err(Cause::Signal { signal: 11, name: "SIGSEGV".to_owned() }));
}

#[tokio::test]
async fn cancelling_ends_the_process_and_its_children() {
    let (ctx, services) = world();
    let running = ctx.clone();
    let process = tokio::spawn(async move { run_process(&running, &shell("sleep 600 & echo child $!; wait")).await });
    let child = logged(&services, "child ").await;
    ctx.cancelled.cancel();
    assert!(matches!(process.await.unwrap().unwrap_err(), TaskError::Cancelled));
    gone(&child).await;
}

#[tokio::test]
async fn a_process_may_clean_up_when_it_is_cancelled() {
    let (ctx, services) = world();
    let running = ctx.clone();
    let script = "trap 'echo cleaned up; exit 0' TERM; echo ready; while true; do sleep 0.01; done";
    let process = tokio::spawn(async move { run_process(&running, &shell(script)).await });
    logged(&services, "ready").await;
    ctx.cancelled.cancel();
    assert!(matches!(process.await.unwrap().unwrap_err(), TaskError::Cancelled));
    assert!(services.log_text().contains("cleaned up"));
}

#[tokio::test]
async fn dropping_the_future_kills_the_group() {
    let (ctx, services) = world();
    let running = ctx.clone();
    let process =
        tokio::spawn(
            async move { run_process(&running, &shell("trap '' TERM; sleep 600 & echo child $!; wait")).await },
        );
    let child = logged(&services, "child ").await;
    process.abort();
    gone(&child).await;
}

#[tokio::test]
async fn what_a_process_leaves_in_the_background_ends_with_it() {
    let (ctx, services) = world();
    run_process(&ctx, &shell("sleep 600 >/dev/null 2>&1 & echo child $!")).await.unwrap();
    gone(&logged(&services, "child ").await).await;
}

#[tokio::test]
async fn the_groups_of_a_worker_that_is_gone_are_swept() {
    let scratch = tempfile::tempdir().unwrap();
    // A worker that cannot be alive: no process has this number and start.
    let attempt = scratch.path().join("worker-999999999-boot-1").join("attempt");
    std::fs::create_dir_all(&attempt).unwrap();
    let mut child = start(&shell("sleep 600")).unwrap();
    std::mem::forget(ProcessGroup::record(&child, &attempt));
    assert_eq!(sweep(scratch.path()), 1);
    assert!(child.wait().await.unwrap().code().is_none());
    assert!(!attempt.exists());
}

#[tokio::test]
async fn the_groups_of_a_living_worker_are_left_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let attempt = scratch.path().join(owner_name()).join("attempt");
    std::fs::create_dir_all(&attempt).unwrap();
    let mut child = start(&shell("sleep 600")).unwrap();
    let group = ProcessGroup::record(&child, &attempt);
    assert_eq!(sweep(scratch.path()), 0);
    assert!(Path::new(&attempt).exists());
    let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    assert!(kill(pid, None).is_ok());
    drop(group);
    child.wait().await.unwrap();
}

#[test]
fn the_workers_own_settings_are_not_inherited() {
    assert!(inherited_env().keys().all(|name| !name.to_string_lossy().starts_with("WINDROSE_")));
    assert!(inherited_env().contains_key(&OsString::from("PATH")));
}
