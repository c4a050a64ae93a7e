//! `windrose tasks logs`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::sync::watch;
use windrose_core::ids::TaskInstanceKey;
use windrose_core::log_line::LogLine;
use windrose_store::Store;
use windrose_store::task_log::{TaskLogId, TaskLogs};

use crate::args::RunArg;
use crate::cmd::{Session, runs};

/// Lines that are read at once.
const PAGE: usize = 1_000;

pub(crate) async fn run(
    session: &Session,
    run: &RunArg,
    task_id: &str,
    map_index: i32,
    try_number: Option<u32>,
    follow: bool,
) -> Result<ExitCode> {
    let store = session.store().await?;
    let row = runs::find(&store, run).await?;
    let key = TaskInstanceKey { run: row.facts.key, task: task_id.into(), map_index };
    let Some(task) = store.task(&key).await? else {
        bail!("run '{}' has no task '{task_id}'; see 'windrose tasks list {}'", row.facts.run_id, run.dag_id);
    };
    let id = TaskLogId {
        dag_id: row.facts.dag_id.to_string(),
        run_id: row.facts.run_id.to_string(),
        task_id: task_id.to_owned(),
        map_index,
        try_number: try_number.unwrap_or(task.columns.try_number).max(1),
    };
    if let Some(cause) = task.cause.as_ref().filter(|_| !session.json) {
        eprintln!("{task_id} {}: {}\n", task.state.name().as_str(), cause.sentence());
    }
    let logs = TaskLogs::new(session.config.log_folder());
    if follow {
        let (over, ended) = watch::channel(task.state.is_final());
        tokio::spawn(tell_when_over(store, key, over));
        let mut lines = logs.follow(&id, 0, ended);
        while let Some(lines) = lines.next().await.context("the log cannot be read")? {
            print(session, &lines)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut after = 0;
    loop {
        let lines = logs.read(&id, after, PAGE).await.context("the log cannot be read")?;
        let Some(last) = lines.last() else { return Ok(ExitCode::SUCCESS) };
        after = last.seq;
        print(session, &lines)?;
    }
}

async fn tell_when_over(store: Store, key: TaskInstanceKey, over: watch::Sender<bool>) {
    loop {
        // While the database is away the log may still grow.
        if let Ok(Some(task)) = store.task(&key).await
            && task.state.is_final()
        {
            over.send_replace(true);
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn print(session: &Session, lines: &[LogLine]) -> Result<()> {
    for line in lines {
        if session.json {
            outln!("{}", serde_json::to_string(line)?);
        } else {
            outln!("{} {}", line.ts, line.text);
        }
    }
    Ok(())
}
