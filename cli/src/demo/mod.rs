//! `windrose demo`: the example pipeline in an offline AWS, from an empty bucket to checked data.
//!
//! Three parts run: the lab, a `windrose standalone` of its own, and this process, which plays the person who uploads
//! the day's file and looks at the result. However it ends, nothing is left behind.

mod check;
mod child;
mod folder;
mod follow;
mod lab;
mod lab_aws;
mod products;
mod progress;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::signal::unix::SignalKind;
use windrose_core::run_state::RunState;
use windrose_core::task_state::TaskStateName;
use windrose_store::{RunRow, TaskRow};

use crate::args::DemoArgs;
use crate::{output, signals};

use folder::DemoFolder;
use follow::Follow;
use lab::Lab;
use lab_aws::LabAws;
use server::Server;

/// The bucket that takes the day's file.
const SOURCE_BUCKET: &str = "sample-inp-bucket-etl-demo";
/// The bucket the curated table is unloaded to.
const TARGET_BUCKET: &str = "sample-opt-bucket-etl-demo";
/// The role of the account that owns both.
const BUCKET_ROLE: &str = "etl-demo-s3-access";
/// The task that waits for the file.
const SENSOR: &str = "sensor_key";
/// A pipeline that has not ended by then never will: its slowest part is some five-second pauses.
const LONGEST_RUN: Duration = Duration::from_secs(300);

/// Runs the demo.
pub(crate) async fn run(args: DemoArgs) -> Result<ExitCode> {
    let interrupted = signals::first_of([SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]);
    tokio::pin!(interrupted);
    let folder = DemoFolder::make(&args.dag)?;
    let mut parts = Parts::default();
    let outcome = tokio::select! {
        outcome = demonstrate(&args, &folder, &mut parts) => outcome.map(|()| ExitCode::SUCCESS),
        () = &mut interrupted => Err(anyhow::anyhow!("the demo was interrupted before the data was checked")),
    };
    if outcome.is_err() {
        folder.print_log_end();
    } else if !args.exit {
        println!("it stays up until Ctrl-C");
        tokio::select! {
            () = &mut interrupted => println!("\nstopping the server and the lab"),
            () = parts.one_ended() => eprintln!("windrose: the lab or the server of the demo has ended by itself"),
        }
    }
    parts.end().await;
    outcome
}

/// The processes of the demo, in the order in which they are started.
#[derive(Default)]
struct Parts {
    lab: Option<Lab>,
    server: Option<Server>,
}

impl Parts {
    async fn one_ended(&mut self) {
        let (Some(lab), Some(server)) = (&mut self.lab, &mut self.server) else { return };
        tokio::select! {
            () = lab.process.ended() => {}
            () = server.process.ended() => {}
        }
    }

    async fn end(self) {
        // The server first: it still talks to the lab.
        if let Some(server) = self.server {
            server.process.end().await;
        }
        if let Some(lab) = self.lab {
            lab.process.end().await;
        }
    }
}

async fn demonstrate(args: &DemoArgs, folder: &DemoFolder, parts: &mut Parts) -> Result<()> {
    println!("starting the lab");
    let lab = parts.lab.insert(Lab::start(&args.lab, folder)?).ready().await?;
    println!("the lab is up: an offline AWS at {}", lab.aws_endpoint_url);
    let aws = LabAws::new(&lab)?;
    let url = parts.server.insert(Server::start(args.bind, folder, &lab)?).ready().await?;
    println!("windrose is up: the web page is at {url}");

    let mut follow = Follow::start(folder).await?;
    let owner = aws.assume(lab.role(BUCKET_ROLE)?).await?;
    let Ok(ended) = tokio::time::timeout(LONGEST_RUN, pipeline(args, &owner, &mut follow)).await else {
        bail!("the run has not ended within {} s; the server's log above may say why", LONGEST_RUN.as_secs());
    };
    let (run, tasks) = ended?;
    follow.finish();
    all_green(&run, &tasks)?;
    let results = check::check(args.rows, &aws, &owner).await?;
    println!();
    output::list(&results, false)?;
    if results.iter().any(|one| !one.right) {
        bail!("the data is not what it has to be; see the table above");
    }
    println!("every row arrived; the web page is at {url}");
    Ok(())
}

/// The run, to its end; the file is uploaded once the sensor has looked for it in vain.
async fn pipeline(args: &DemoArgs, owner: &LabAws, follow: &mut Follow) -> Result<(RunRow, Vec<TaskRow>)> {
    let looked = |run: &RunRow, tasks: &[TaskRow]| {
        let waits =
            |task: &TaskRow| task.key.task.as_str() == SENSOR && task.state.name() == TaskStateName::UpForReschedule;
        run.state.is_final() || tasks.iter().any(waits)
    };
    let (run, _) = follow.until(looked).await?;
    if !run.state.is_final() {
        let day = run.facts.logical_date.unwrap_or(run.facts.run_after).to_utc();
        let key = format!("products/{}/products.csv", day.format("year=%Y/month=%m/day=%d"));
        follow.say(&format!("uploading {} rows to s3://{SOURCE_BUCKET}/{key}", args.rows));
        owner.put(SOURCE_BUCKET, &key, products::csv(args.rows)?).await?;
    }
    follow.until(|run, _| run.state.is_final()).await
}

/// A run can be green though a task failed (the last one runs in any case), so every task is looked at.
fn all_green(run: &RunRow, tasks: &[TaskRow]) -> Result<()> {
    let broken: Vec<_> = tasks
        .iter()
        .filter(|task| task.state.name() != TaskStateName::Success)
        .map(|task| {
            let cause = task.cause.as_ref().map(|cause| format!(" ({})", cause.sentence())).unwrap_or_default();
            format!("{} is {}{cause}", task.key.task, task.state.name().as_str())
        })
        .collect();
    if !broken.is_empty() || run.state != RunState::Success {
        bail!("the run ended as {}: {}", run.state.as_str(), broken.join("; "));
    }
    Ok(())
}
