//! `windrose backfill`

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use serde_json::{Map, Value, json};
use windrose_core::backfill::{BackfillStep, Reprocess};
use windrose_core::dag::Dag;
use windrose_core::dag_file::instant_from_text;
use windrose_core::ids::DagId;
use windrose_core::run_state::RunState;
use windrose_core::time::Timestamp;
use windrose_operators::catalog::OperatorCatalog;
use windrose_scheduler::{BackfillPlan, BackfillRequest, Command, plan_backfill};
use windrose_store::{BackfillDate, BackfillRow, Store};

use crate::args::{BackfillArgs, BackfillCommand, ReprocessArg};
use crate::clock;
use crate::cmd::commands::{self, Answer};
use crate::cmd::{Session, dags, trigger};
use crate::output::{self, Row};

/// How far a backfill is: its dates by what has become of them.
#[derive(Debug, Default, Serialize)]
struct Progress {
    dates: usize,
    /// Their turn has not come.
    waiting: usize,
    queued: usize,
    running: usize,
    success: usize,
    failed: usize,
    /// There was a run that stays as it is.
    skipped: usize,
}

impl Progress {
    fn of(dates: &[BackfillDate]) -> Self {
        let mut progress = Self { dates: dates.len(), ..Self::default() };
        for date in dates {
            let place = match state_of(date) {
                None if date.no_run.is_some() => &mut progress.skipped,
                None if date.run.is_some() => &mut progress.success,
                None => &mut progress.waiting,
                Some(RunState::Queued) => &mut progress.queued,
                Some(RunState::Running) => &mut progress.running,
                Some(RunState::Success) => &mut progress.success,
                Some(RunState::Failed) => &mut progress.failed,
            };
            *place += 1;
        }
        progress
    }
}

fn state_of(date: &BackfillDate) -> Option<RunState> {
    date.run.as_ref()?.now.as_ref().map(|(_, state)| *state)
}

#[derive(Serialize)]
struct Shown {
    backfill_id: i64,
    dag_id: String,
    state: &'static str,
    from: Timestamp,
    to: Timestamp,
    backwards: bool,
    reprocess: &'static str,
    max_active_runs: u32,
    conf: Map<String, Value>,
    new_version: bool,
    created_by: String,
    created_at: Timestamp,
    ended_at: Option<Timestamp>,
    progress: Progress,
}

impl Shown {
    fn of(row: BackfillRow, dates: &[BackfillDate]) -> Self {
        Self {
            backfill_id: row.id,
            dag_id: row.dag_id.to_string(),
            state: match (row.ended_at, row.cancelled, row.paused) {
                (Some(_), true, _) => "cancelled",
                (Some(_), false, _) => "ended",
                (None, _, true) => "paused",
                (None, _, false) => "running",
            },
            from: row.from,
            to: row.to,
            backwards: row.backwards,
            reprocess: row.reprocess.as_str(),
            max_active_runs: row.max_active_runs,
            conf: row.conf,
            new_version: row.new_version,
            created_by: row.created_by,
            created_at: row.created_at,
            ended_at: row.ended_at,
            progress: Progress::of(dates),
        }
    }
}

impl Row for Shown {
    const HEADS: &'static [&'static str] =
        &["backfill", "dag", "state", "from", "to", "dates", "waiting", "running", "success", "failed", "skipped"];

    fn cells(&self) -> Vec<String> {
        let Progress { dates, waiting, queued, running, success, failed, skipped } = self.progress;
        let mut cells = vec![
            self.backfill_id.to_string(),
            self.dag_id.clone(),
            self.state.to_owned(),
            self.from.to_string(),
            self.to.to_string(),
        ];
        cells.extend([dates, waiting, queued + running, success, failed, skipped].map(|count| count.to_string()));
        cells
    }
}

#[derive(Serialize)]
struct ShownDate {
    logical_date: Option<Timestamp>,
    run_id: Option<String>,
    /// Of the run, or `waiting`, or why there is none, or what would be done.
    state: String,
}

impl Row for ShownDate {
    const HEADS: &'static [&'static str] = &["logical date", "run", "state"];

    fn cells(&self) -> Vec<String> {
        let date = self.logical_date.map(|at| at.to_string()).unwrap_or_default();
        vec![date, self.run_id.clone().unwrap_or_default(), self.state.clone()]
    }
}

impl From<&BackfillDate> for ShownDate {
    fn from(date: &BackfillDate) -> Self {
        let now = date.run.as_ref().and_then(|run| run.now.as_ref());
        let state = match (now, date.no_run, &date.run) {
            (Some((_, state)), ..) => state.as_str(),
            (None, Some(reason), _) => reason.as_str(),
            (None, None, Some(_)) => "pruned",
            (None, None, None) => "waiting",
        };
        let run_id = now.map(|(id, _)| id.to_string());
        Self { logical_date: date.due.logical_date, run_id, state: state.to_owned() }
    }
}

pub(crate) async fn run(session: &Session, command: BackfillCommand) -> Result<ExitCode> {
    let store = session.store().await?;
    match command {
        BackfillCommand::Create(args) => return create(session, &store, args).await,
        BackfillCommand::List { dag_id } => {
            let mut shown = Vec::new();
            for row in store.backfills(dag_id.map(DagId::from).as_ref()).await? {
                let dates = store.backfill_dates(row.id).await?;
                shown.push(Shown::of(row, &dates));
            }
            output::list(&shown, session.json)?;
        }
        BackfillCommand::Show { id } => show(session, &store, id).await?,
        BackfillCommand::Pause { id } => return pause(session, &store, id, true).await,
        BackfillCommand::Resume { id } => return pause(session, &store, id, false).await,
        BackfillCommand::Cancel { id, running } => {
            let answer = commands::give(&store, &Command::CancelBackfill { backfill: id, running }).await?;
            return tell(session, answer, |result| {
                let count = |key: &str| result.get(key).and_then(Value::as_u64).unwrap_or_default();
                let (dropped, stopped, left) = (count("dropped"), count("stopped"), count("running"));
                let goes_on = if left == 0 { String::new() } else { format!("; {left} run(s) under way go on") };
                format!("backfill {id} is cancelled: {dropped} date(s) get no run, {stopped} run(s) stopped{goes_on}")
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(session: &Session, store: &Store, id: i64) -> Result<()> {
    let Some(row) = store.backfill(id).await? else {
        bail!("there is no backfill {id}; see 'windrose backfill list'");
    };
    let dates = store.backfill_dates(id).await?;
    let (shown, rows) = (Shown::of(row, &dates), dates.iter().map(ShownDate::from).collect::<Vec<_>>());
    if session.json {
        return output::object(&json!({ "backfill": shown, "dates": rows }));
    }
    output::list(&[shown], false)?;
    outln!();
    output::list(&rows, false)
}

async fn pause(session: &Session, store: &Store, id: i64, paused: bool) -> Result<ExitCode> {
    let answer = commands::give(store, &Command::PauseBackfill { backfill: id, paused }).await?;
    tell(session, answer, |_| {
        if paused {
            format!("backfill {id} is paused: no further run begins; 'windrose backfill resume {id}' goes on")
        } else {
            format!("backfill {id} goes on")
        }
    })
}

async fn create(session: &Session, store: &Store, args: BackfillArgs) -> Result<ExitCode> {
    let (row, dag) = dags::newest(session, store, &args.dag_id).await?;
    let request = BackfillRequest {
        dag_id: row.dag_id.clone(),
        from: instant(&args.from, "--from", &dag)?,
        to: instant(&args.to, "--to", &dag)?,
        backwards: args.backwards,
        reprocess: match args.reprocess {
            ReprocessArg::None => Reprocess::None,
            ReprocessArg::Failed => Reprocess::Failed,
            ReprocessArg::Completed => Reprocess::Completed,
        },
        max_active_runs: args.max_active_runs,
        conf: trigger::read_conf(args.conf.as_deref())?,
        new_version: args.new_version,
    };
    if args.dry_run {
        let defaults = session.config.dag_file_defaults()?;
        let plan = plan_backfill(store, &OperatorCatalog, &defaults, &request, clock::now()).await?;
        show_plan(session, &request, &plan)?;
        return Ok(ExitCode::SUCCESS);
    }
    let answer = commands::give(store, &Command::CreateBackfill(request)).await?;
    let code = tell(session, answer, |result| {
        let id = result.get("backfill_id").and_then(Value::as_i64).unwrap_or_default();
        let dates = result.get("dates").and_then(Value::as_u64).unwrap_or_default();
        format!("backfill {id} has {dates} date(s); follow it with 'windrose backfill show {id}'")
    })?;
    if row.paused {
        eprintln!("DAG '{}' is paused: the backfill waits until 'windrose dags unpause {0}'", args.dag_id);
    }
    Ok(code)
}

fn instant(text: &str, option: &str, dag: &Dag) -> Result<Timestamp> {
    instant_from_text(text, dag.timezone).with_context(|| {
        format!(
            "{option} '{text}' is no date; write it as 2026-01-31, 2026-01-31T06:00:00 or 2026-01-31T06:00:00+01:00"
        )
    })
}

fn show_plan(session: &Session, request: &BackfillRequest, plan: &BackfillPlan) -> Result<()> {
    let word = |step: &BackfillStep| match step {
        BackfillStep::Create => "create",
        BackfillStep::Reprocess => "reprocess",
        BackfillStep::Skip(reason) => reason.as_str(),
    };
    let rows: Vec<ShownDate> = plan
        .dates
        .iter()
        .map(|date| ShownDate {
            logical_date: date.due.logical_date,
            run_id: Some(date.run_id.to_string()),
            state: word(&date.step).to_owned(),
        })
        .collect();
    let count = |wanted: &str| rows.iter().filter(|row| row.state == wanted).count();
    let (created, again) = (count("create"), count("reprocess"));
    let skipped = rows.len() - created - again;
    if session.json {
        return output::object(&json!({
            "dag_id": request.dag_id, "status": "planned", "dag_version": plan.version, "create": created,
            "reprocess": again, "skip": skipped, "dates": rows,
        }));
    }
    output::list(&rows, false)?;
    outln!("{created} run(s) would be made, {again} would run again, {skipped} date(s) stay as they are");
    let version = plan.version.get(..12).unwrap_or(&plan.version);
    outln!("new runs under DAG version {version} (the newest)");
    Ok(())
}

/// Tells what came of a command for a backfill.
fn tell(session: &Session, answer: Answer, done: impl FnOnce(&Map<String, Value>) -> String) -> Result<ExitCode> {
    let (shown, sentence, code) = match answer {
        Answer::Done(result) => {
            let sentence = done(&result);
            let mut shown = Map::from_iter([("status".to_owned(), json!("done"))]);
            shown.extend(result);
            (shown, sentence, ExitCode::SUCCESS)
        }
        Answer::Queued(sentence) => {
            (Map::from_iter([("status".to_owned(), json!("queued"))]), sentence, ExitCode::from(commands::QUEUED))
        }
    };
    if session.json {
        output::object(&shown)?;
    } else {
        eprintln!("{sentence}");
    }
    Ok(code)
}
