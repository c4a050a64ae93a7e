//! `windrose dags versions`, `dags diff` and `dags rollback`

use anyhow::{Result, bail};
use serde::Serialize;
use similar::TextDiff;
use windrose_core::time::Timestamp;
use windrose_store::{DagRow, DagVersionRow, Store, Topic};

use crate::cmd::{Session, dags};
use crate::output::{self, Row};

/// As people name a version.
const SHORT: usize = 12;
/// A shorter beginning of a version's name is not looked for.
const LEAST: usize = 4;

#[derive(Serialize)]
struct Shown {
    version: String,
    /// New runs get this one.
    current: bool,
    /// The file holds this one.
    newest: bool,
    loaded_at: Timestamp,
    bundle: String,
    file: String,
    commit: Option<String>,
    author: Option<String>,
    committed_at: Option<Timestamp>,
    subject: Option<String>,
    runs: u64,
}

impl Row for Shown {
    const HEADS: &'static [&'static str] = &["version", "", "loaded", "runs", "commit", "author", "subject"];

    fn cells(&self) -> Vec<String> {
        let mark = match (self.current, self.newest) {
            (true, true) => "current",
            (true, false) => "current, by rollback",
            (false, true) => "newest",
            (false, false) => "",
        };
        vec![
            short(&self.version).to_owned(),
            mark.to_owned(),
            self.loaded_at.to_string(),
            self.runs.to_string(),
            self.commit.as_deref().map(short).unwrap_or_default().to_owned(),
            self.author.clone().unwrap_or_default(),
            self.subject.clone().unwrap_or_default(),
        ]
    }
}

fn short(name: &str) -> &str {
    &name[..name.len().min(SHORT)]
}

fn newest(dag: &DagRow) -> &str {
    dag.held_from.as_deref().unwrap_or(&dag.version)
}

pub(crate) async fn list(session: &Session, dag_id: &str) -> Result<()> {
    let store = session.store().await?;
    let dag = dags::find(&store, dag_id).await?;
    let counts = store.runs_by_version(&dag.dag_id).await?;
    let rows = store.dag_versions(&dag.dag_id).await?;
    let rows: Vec<Shown> = rows.into_iter().map(|row| shown(&dag, row, &counts)).collect();
    output::list(&rows, session.json)
}

fn shown(dag: &DagRow, row: DagVersionRow, counts: &std::collections::HashMap<String, u64>) -> Shown {
    let commit = row.commit;
    Shown {
        current: row.hash == dag.version,
        newest: row.hash == newest(dag),
        loaded_at: row.created_at,
        bundle: row.bundle.to_string(),
        file: row.file,
        commit: commit.as_ref().map(|commit| commit.id.clone()),
        author: commit.as_ref().map(|commit| commit.author.clone()),
        committed_at: commit.as_ref().map(|commit| commit.committed_at),
        subject: commit.map(|commit| commit.subject),
        runs: counts.get(&row.hash).copied().unwrap_or(0),
        version: row.hash,
    }
}

/// The version whose name, or whose commit's, begins like this.
fn find<'r>(rows: &'r [DagVersionRow], dag_id: &str, name: &str) -> Result<&'r DagVersionRow> {
    let begins = |row: &&DagVersionRow| {
        row.hash.starts_with(name) || row.commit.as_ref().is_some_and(|commit| commit.id.starts_with(name))
    };
    let found: Vec<_> = if name.len() < LEAST { Vec::new() } else { rows.iter().filter(begins).collect() };
    match found.as_slice() {
        [one] => Ok(one),
        [] => bail!("DAG '{dag_id}' has no version '{name}'; see 'windrose dags versions {dag_id}'"),
        many => bail!("'{name}' may be {} versions of DAG '{dag_id}'; give more digits of its name", many.len()),
    }
}

/// What differs between two versions: by default the one before and the current one.
pub(crate) async fn diff(session: &Session, dag_id: &str, from: Option<String>, to: Option<String>) -> Result<()> {
    let store = session.store().await?;
    let dag = dags::find(&store, dag_id).await?;
    let rows = store.dag_versions(&dag.dag_id).await?;
    let to = match &to {
        Some(name) => find(&rows, dag_id, name)?,
        None => find(&rows, dag_id, &dag.version)?,
    };
    let from = match &from {
        Some(name) => find(&rows, dag_id, name)?,
        None => match rows.iter().skip_while(|row| row.hash != to.hash).nth(1) {
            Some(before) => before,
            None => bail!("DAG '{dag_id}' has no version before {}", short(&to.hash)),
        },
    };
    let (old, new) = (texts(&store, from).await?, texts(&store, to).await?);
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let mut changed = Vec::new();
    for name in names {
        let empty = String::new();
        let (before, after) = (old.get(name).unwrap_or(&empty), new.get(name).unwrap_or(&empty));
        if before != after {
            let text = TextDiff::from_lines(before, after)
                .unified_diff()
                .header(&format!("{name} ({})", short(&from.hash)), &format!("{name} ({})", short(&to.hash)))
                .to_string();
            changed.push((name.clone(), text));
        }
    }
    if session.json {
        let files: Vec<_> =
            changed.iter().map(|(file, diff)| serde_json::json!({ "file": file, "diff": diff })).collect();
        return output::object(&serde_json::json!({ "from": from.hash, "to": to.hash, "files": files }));
    }
    changed.iter().for_each(|(_, text)| output::write(format_args!("{text}")));
    Ok(())
}

/// The files of a version by name; those that are no text are shown by their hash.
async fn texts(store: &Store, row: &DagVersionRow) -> Result<std::collections::BTreeMap<String, String>> {
    let mut texts = std::collections::BTreeMap::from([(row.file.clone(), row.source.clone())]);
    for file in store.version_files(&row.dag_id, &row.hash).await? {
        let text =
            String::from_utf8(file.content.to_vec()).unwrap_or_else(|_| format!("(no text) sha256 {}\n", file.hash));
        texts.insert(file.path, text);
    }
    Ok(texts)
}

/// Goes back to an older version, or with none to the newest.
pub(crate) async fn rollback(session: &Session, dag_id: &str, version: Option<String>) -> Result<()> {
    let store = session.store().await?;
    let dag = dags::find(&store, dag_id).await?;
    let rows = store.dag_versions(&dag.dag_id).await?;
    let wanted = match &version {
        Some(name) => find(&rows, dag_id, name)?,
        None => find(&rows, dag_id, newest(&dag))?,
    };
    let changed = store.hold_version(&dag.dag_id, Some(&wanted.hash)).await?;
    store.notify(Topic::Dags).await?;
    let before = if changed { "" } else { ", as before" };
    let until = if wanted.hash == newest(&dag) { "" } else { ", until its file changes again" };
    eprintln!("new runs of DAG '{dag_id}' get version {}{until}{before}", short(&wanted.hash));
    Ok(())
}
