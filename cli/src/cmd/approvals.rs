//! `windrose approvals`

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use serde_json::{Map, Value};
use windrose_core::approval::{Answer, Question};
use windrose_core::ids::{DagId, TaskId};
use windrose_core::time::Timestamp;
use windrose_scheduler::{AnswerRequest, Command};
use windrose_store::{ApprovalFilter, ApprovalRow, Store};

use crate::args::{AnswerArgs, ApprovalsCommand, QuestionArgs};
use crate::cmd::{Session, commands};
use crate::output::{self, Row};

#[derive(Serialize)]
struct Shown {
    dag_id: String,
    run_id: String,
    task_id: String,
    map_index: i32,
    try_number: u32,
    /// `open`, `answered`, or `closed` if its try has ended without an answer.
    state: &'static str,
    asked_at: Timestamp,
    #[serde(flatten)]
    question: Question,
    answer: Option<Answer>,
}

impl From<ApprovalRow> for Shown {
    fn from(row: ApprovalRow) -> Self {
        Self {
            dag_id: row.dag_id.to_string(),
            run_id: row.run_id.to_string(),
            task_id: row.of.key.task.to_string(),
            map_index: row.of.key.map_index,
            try_number: row.of.try_number,
            state: match (&row.asked.answer, row.is_open) {
                (Some(_), _) => "answered",
                (None, true) => "open",
                (None, false) => "closed",
            },
            asked_at: row.asked.asked_at,
            question: row.asked.question,
            answer: row.asked.answer,
        }
    }
}

impl Shown {
    fn task(&self) -> String {
        if self.map_index < 0 { self.task_id.clone() } else { format!("{}[{}]", self.task_id, self.map_index) }
    }

    fn answered(&self) -> String {
        self.answer.as_ref().map(answer_sentence).unwrap_or_default()
    }
}

fn answer_sentence(answer: &Answer) -> String {
    let by = answer.user.as_deref().unwrap_or("default, time was up");
    format!("{} ({by}, {})", answer.chosen_options.join(", "), answer.at)
}

impl Row for Shown {
    const HEADS: &'static [&'static str] = &["dag", "run", "task", "state", "subject", "options", "until", "answer"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.dag_id.clone(),
            self.run_id.clone(),
            self.task(),
            self.state.into(),
            self.question.subject.clone(),
            self.question.options.join(", "),
            self.question.expires_at.map(|at| at.to_string()).unwrap_or_default(),
            self.answered(),
        ]
    }
}

pub(crate) async fn run(session: &Session, command: ApprovalsCommand) -> Result<ExitCode> {
    let store = session.store().await?;
    match command {
        ApprovalsCommand::List { dag, all, limit } => {
            let filter = ApprovalFilter { dag_id: dag.map(DagId::from), open_only: !all, ..ApprovalFilter::default() };
            let rows: Vec<Shown> = store.approvals(&filter, limit).await?.into_iter().map(Shown::from).collect();
            output::list(&rows, session.json)?;
            Ok(ExitCode::SUCCESS)
        }
        ApprovalsCommand::Show(args) => show(session, &store, &args).await,
        ApprovalsCommand::Answer(args) => answer(session, &store, args).await,
    }
}

/// A task and its index, from `load` or `load[3]`.
fn task_and_index(text: &str) -> Result<(TaskId, i32)> {
    let Some((task, rest)) = text.split_once('[') else { return Ok((text.into(), -1)) };
    let index = rest.strip_suffix(']').and_then(|index| index.parse().ok());
    let index =
        index.with_context(|| format!("'{text}' is no task; an instance of a mapped task is written load[3]"))?;
    Ok((task.into(), index))
}

async fn show(session: &Session, store: &Store, args: &QuestionArgs) -> Result<ExitCode> {
    let (dag_id, run_id) = (DagId::from(args.dag_id.as_str()), args.run_id.as_str().into());
    let (task, map_index) = task_and_index(&args.task_id)?;
    let Some(run) = store.find_run(&dag_id, &run_id).await? else {
        bail!("DAG '{dag_id}' has no run '{run_id}'; see 'windrose runs list {dag_id}'");
    };
    let filter =
        ApprovalFilter { run: Some(run.facts.key), task: Some((task, map_index)), ..ApprovalFilter::default() };
    let Some(row) = store.approvals(&filter, 1).await?.pop() else {
        bail!("task '{}' of run '{run_id}' has asked nothing; see 'windrose approvals list --all'", args.task_id);
    };
    let shown = Shown::from(row);
    if session.json {
        output::object(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    outln!("{}", shown.question.subject);
    if let Some(body) = &shown.question.body {
        outln!("\n{body}\n");
    }
    let many = if shown.question.multiple { " (several can be chosen)" } else { "" };
    outln!("options   {}{many}", shown.question.options.join(", "));
    outln!("asked     {} by task {} (try {})", shown.asked_at, shown.task(), shown.try_number);
    if !shown.question.assigned_users.is_empty() {
        outln!("of        {}", shown.question.assigned_users.join(", "));
    }
    if let Some(at) = shown.question.expires_at {
        let then = shown.question.defaults.as_ref().map(|defaults| defaults.join(", "));
        outln!("until     {at}, then {}", then.unwrap_or_else(|| "the task fails".to_owned()));
    }
    for (name, param) in &shown.question.params {
        let default = param.default.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
        outln!("param     {name}{default}");
    }
    outln!("state     {} {}", shown.state, shown.answered());
    Ok(ExitCode::SUCCESS)
}

async fn answer(session: &Session, store: &Store, args: AnswerArgs) -> Result<ExitCode> {
    let AnswerArgs { question, options, params, user } = args;
    let (task_id, map_index) = task_and_index(&question.task_id)?;
    let params_input: Map<String, Value> = match params {
        None => Map::new(),
        Some(text) => serde_json::from_str(&text).context("--params is no JSON object; write '{\"rows\": 5}'")?,
    };
    let request = AnswerRequest {
        dag_id: question.dag_id.into(),
        run_id: question.run_id.into(),
        task_id,
        map_index,
        chosen_options: options,
        params_input,
    };
    let ids = (request.dag_id.clone(), request.run_id.clone());
    let answer = commands::give_as(store, &Command::Answer(request), &user).await?;
    commands::tell(session, (&ids.0, &ids.1), answer, |result| {
        let chosen: Vec<&str> = result
            .get("chosen_options")
            .and_then(Value::as_array)
            .map(|options| options.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        format!("{user} has answered '{}' with {}", question.task_id, chosen.join(", "))
    })
}
