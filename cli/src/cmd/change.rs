//! Clear and mark: the plan, the question, the command, and what came of it.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};
use windrose_engine::MarkedState;
use windrose_operators::catalog::OperatorCatalog;
use windrose_scheduler::{Action, Change, Command, RunPlan, plan_change};
use windrose_store::Store;

use crate::args::{ChangeArgs, RunArg};
use crate::clock;
use crate::cmd::{Session, commands, runs};
use crate::output::{self, Row};

/// How many task instances of a plan people are shown.
const SHOWN: usize = 50;

#[derive(serde::Serialize)]
struct Shown {
    run: String,
    task: String,
    state: &'static str,
    becomes: String,
    tries: u32,
}

impl Row for Shown {
    const HEADS: &'static [&'static str] = &["run", "task", "state", "becomes", "tries"];

    fn cells(&self) -> Vec<String> {
        vec![self.run.clone(), self.task.clone(), self.state.into(), self.becomes.clone(), self.tries.to_string()]
    }
}

/// Plans a change, asks, and has it done.
pub(crate) async fn run(
    session: &Session,
    store: &Store,
    run: &RunArg,
    args: &ChangeArgs,
    action: Action,
) -> Result<ExitCode> {
    let row = runs::find(store, run).await?;
    let (dag_id, run_id) = (row.facts.dag_id.clone(), row.facts.run_id.clone());
    let change = Change {
        dag_id: dag_id.clone(),
        run_id: run_id.clone(),
        past: args.past,
        future: args.future,
        new_version: args.new_version,
        action,
    };
    let defaults = session.config.dag_file_defaults()?;
    let mut plan = plan_change(store, &OperatorCatalog, &defaults, &change, clock::now()).await?;
    plan.retain(|run| !run.rehearsal.changes.is_empty() || run.rehearsal.from != run.rehearsal.to);
    if args.dry_run {
        show(session, &change, &plan)?;
        return Ok(ExitCode::SUCCESS);
    }
    if plan.is_empty() {
        if session.json {
            output::object(&json!({ "dag_id": dag_id, "run_id": run_id, "status": "nothing to do" }))?;
        } else {
            eprintln!("nothing to do: no task instance is selected, or all are so already");
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes && !agreed(session, &change, &plan)? {
        eprintln!("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    let answer = commands::give(store, &Command::Change(change.clone())).await?;
    commands::tell(session, (&dag_id, &run_id), answer, |result| sentence(&change, result))
}

/// Shows the plan to a person at a terminal, and asks.
fn agreed(session: &Session, change: &Change, plan: &[RunPlan]) -> Result<bool> {
    if !std::io::stdin().is_terminal() || session.json {
        let count = plan.iter().map(|run| run.rehearsal.changes.len()).sum::<usize>();
        bail!(
            "this changes {count} task instance(s) of {} run(s), and nobody is there to be asked; say --yes to do it, or \
             --dry-run to see the plan",
            plan.len()
        );
    }
    show(session, change, plan)?;
    eprint!("Do it? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn show(session: &Session, change: &Change, plan: &[RunPlan]) -> Result<()> {
    let total = plan.iter().map(|run| run.rehearsal.changes.len()).sum::<usize>();
    if session.json {
        let runs: Vec<Value> = plan.iter().map(run_as_json).collect();
        return output::object(&json!({ "dag_id": change.dag_id, "status": "planned", "total": total, "runs": runs }));
    }
    let rows = plan.iter().flat_map(|run| {
        run.rehearsal.changes.iter().map(|c| Shown {
            run: run.run.run_id.to_string(),
            task: if c.map_index < 0 { c.task.to_string() } else { format!("{}[{}]", c.task, c.map_index) },
            state: c.from.map_or("new", |state| state.as_str()),
            becomes: match (c.to.as_str(), c.stops) {
                ("none", true) => "stopped, and decided again".to_owned(),
                ("none", false) => "decided again".to_owned(),
                (state, true) => format!("stopped, and {state}"),
                (state, false) => state.to_owned(),
            },
            tries: c.tries,
        })
    });
    output::list(&rows.take(SHOWN).collect::<Vec<_>>(), false)?;
    if total > SHOWN {
        outln!("… and {} more", total - SHOWN);
    }
    outln!("{total} task instance(s) of {} run(s) of DAG '{}'", plan.len(), change.dag_id);
    let mut versions: Vec<(&str, bool)> = plan.iter().map(|run| (run.version.as_str(), run.newest)).collect();
    versions.sort_unstable();
    versions.dedup();
    for (hash, newest) in versions {
        let which = if newest { "the newest" } else { "not the newest; --new-version takes that" };
        outln!("under DAG version {} ({which})", hash.get(..12).unwrap_or(hash));
    }
    Ok(())
}

fn run_as_json(plan: &RunPlan) -> Value {
    let tasks: Vec<Value> = plan
        .rehearsal
        .changes
        .iter()
        .map(|c| {
            json!({
                "task_id": c.task, "map_index": c.map_index, "state": c.from, "becomes": c.to, "tries": c.tries,
                "stops": c.stops,
            })
        })
        .collect();
    json!({
        "run_id": plan.run.run_id, "logical_date": plan.run.logical_date, "state": plan.rehearsal.from,
        "becomes": plan.rehearsal.to, "dag_version": plan.version, "newest_version": plan.newest, "tasks": tasks,
    })
}

fn sentence(change: &Change, result: &Map<String, Value>) -> String {
    let cleared = commands::task_instances(result, "cleared");
    let marked = commands::task_instances(result, "marked");
    let of = match result.get("runs").and_then(Value::as_u64) {
        Some(1) => format!("run '{}'", change.run_id),
        count => format!("{} runs", count.unwrap_or_default()),
    };
    let below = match result.get("cleared").and_then(Value::as_u64) {
        Some(0) | None => String::new(),
        Some(_) => format!(", and {cleared} below cleared"),
    };
    match &change.action {
        Action::Clear { .. } => format!("{cleared} of {of} cleared, to run again"),
        Action::MarkTasks { state, .. } => {
            let word = match state {
                MarkedState::Success => "success",
                MarkedState::Failed => "failed",
                MarkedState::Skipped => "skipped",
            };
            format!("{marked} of {of} marked {word}{below}")
        }
        Action::MarkRun { success } => {
            let word = if *success { "success" } else { "failed" };
            format!("{of} marked {word}, with {marked}")
        }
    }
}
