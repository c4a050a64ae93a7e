//! The logs of tasks, on a real file system.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;

use tokio::sync::watch;
use windrose_core::log_line::{LogLevel, LogSource};
use windrose_core::time::Timestamp;
use windrose_store::task_log::{TaskLogId, TaskLogWriter, TaskLogs};

fn id() -> TaskLogId {
    TaskLogId {
        dag_id: "pipeline".to_owned(),
        run_id: "manual__2026-01-01T00:00:00+00:00".to_owned(),
        task_id: "extract.load".to_owned(),
        map_index: -1,
        try_number: 1,
    }
}

fn say(writer: &TaskLogWriter, text: &str) {
    writer.append(Timestamp::from_micros(1), LogSource::Stdout, LogLevel::Info, text);
}

async fn texts(logs: &TaskLogs, after: u64) -> Vec<(u64, String)> {
    logs.read(&id(), after, 1000).await.unwrap().into_iter().map(|line| (line.seq, line.text)).collect()
}

fn numbered(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    expected.iter().map(|(seq, text)| (*seq, (*text).to_owned())).collect()
}

#[tokio::test]
async fn lines_are_numbered_over_the_attempts_of_a_try() {
    let folder = tempfile::tempdir().unwrap();
    let logs = TaskLogs::new(folder.path());
    let first = logs.writer(&id());
    say(&first, "one\ntwo");
    first.flush().await;
    let second = logs.writer(&id());
    say(&second, "three");
    second.flush().await;
    assert_eq!(texts(&logs, 0).await, numbered(&[(1, "one"), (2, "two"), (3, "three")]));
    assert_eq!(texts(&logs, 2).await, numbered(&[(3, "three")]));
}

#[tokio::test]
async fn a_log_that_does_not_exist_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    assert!(texts(&TaskLogs::new(folder.path()), 0).await.is_empty());
}

#[tokio::test]
async fn a_line_torn_by_a_crash_is_left_out_and_does_not_swallow_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let logs = TaskLogs::new(folder.path());
    let writer = logs.writer(&id());
    say(&writer, "whole");
    writer.flush().await;
    let path = id().path(folder.path());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend_from_slice(b"{\"seq\":2,\"ts\":1,\"sou");
    std::fs::write(&path, bytes).unwrap();
    let next = logs.writer(&id());
    say(&next, "after the crash");
    next.flush().await;
    assert_eq!(texts(&logs, 0).await, numbered(&[(1, "whole"), (2, "after the crash")]));
}

#[tokio::test]
async fn a_follower_sees_lines_as_they_come_and_ends_when_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let logs = TaskLogs::new(folder.path());
    let (over, ended) = watch::channel(false);
    let mut follower = logs.follow(&id(), 0, ended);
    let reading = tokio::spawn(async move {
        let mut seen = Vec::new();
        while let Some(lines) = follower.next().await.unwrap() {
            seen.extend(lines.into_iter().map(|line| line.text));
        }
        seen
    });
    let writer = logs.writer(&id());
    for text in ["one", "two", "three"] {
        say(&writer, text);
        writer.flush().await;
    }
    over.send(true).unwrap();
    assert_eq!(reading.await.unwrap(), ["one", "two", "three"]);
}

#[tokio::test]
async fn lines_are_written_without_a_flush() {
    let folder = tempfile::tempdir().unwrap();
    let logs = TaskLogs::new(folder.path());
    let (_over, ended) = watch::channel(false);
    say(&logs.writer(&id()), "in the background");
    let lines = logs.follow(&id(), 0, ended).next().await.unwrap().unwrap();
    assert_eq!(lines[0].text, "in the background");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_says_how_much_is_missing_once_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let logs = TaskLogs::new(folder.path());
    let writer = logs.writer(&id());
    let in_the_way = folder.path().join("pipeline");
    std::fs::write(&in_the_way, "a file where a folder should be").unwrap();
    say(&writer, "lost one\nlost two");
    writer.flush().await;
    std::fs::remove_file(&in_the_way).unwrap();
    say(&writer, "kept");
    writer.flush().await;
    let lines = texts(&logs, 0).await;
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].1.starts_with("2 lines of this log could not be kept"), "{lines:?}");
    assert_eq!(lines[1].1, "kept");
}

#[tokio::test]
async fn more_than_memory_may_hold_is_counted_instead_of_kept() {
    let folder = tempfile::tempdir().unwrap();
    let logs = TaskLogs::new(folder.path());
    let writer = logs.writer(&id());
    let long = "x".repeat(1024 * 1024);
    for _ in 0..20 {
        say(&writer, &long);
    }
    writer.flush().await;
    let lines = logs.read(&id(), 0, 1000).await.unwrap();
    assert!(lines.len() < 20);
    assert!(lines.last().unwrap().text.contains("could not be kept"), "{}", lines.last().unwrap().text);
}

#[tokio::test]
async fn the_logs_of_a_run_can_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let logs = TaskLogs::new(folder.path());
    let writer = logs.writer(&id());
    say(&writer, "soon gone");
    writer.flush().await;
    logs.remove_run("pipeline", &id().run_id).await.unwrap();
    logs.remove_run("pipeline", "never there").await.unwrap();
    assert!(!Path::new(&id().path(folder.path())).exists());
}
