//! `windrose dags check`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use serde_json::json;
use windrose_bundles::{BundleFolder, FileChange, FolderFiles, version_files};
use windrose_core::catalog::Catalog;
use windrose_core::dag::Dag;
use windrose_core::dag_file::{self, DagSource, Defaults, Diagnostics};
use windrose_operators::catalog::OperatorCatalog;

use crate::bundles;
use crate::cmd::Session;
use crate::output;

/// What the files hold.
#[derive(Default)]
struct Findings {
    files: usize,
    errors: usize,
    warnings: usize,
    all: Vec<Diagnostics>,
}

pub(crate) fn run(session: &Session, paths: Vec<PathBuf>, strict: bool) -> Result<ExitCode> {
    let paths = if paths.is_empty() { bundles::folders(&session.config) } else { paths };
    let defaults = session.config.dag_file_defaults()?;
    let mut findings = Findings::default();
    let mut seen: std::collections::HashMap<String, PathBuf> = std::collections::HashMap::new();
    for source in paths.iter().map(|path| sources(session, path)).collect::<Result<Vec<_>>>()?.into_iter().flatten() {
        findings.files += 1;
        match source {
            Err((path, message)) => {
                findings.errors += 1;
                eprintln!("{}: {message}", path.display());
            }
            Ok(File { root, source }) => {
                if let Some(dag) = look(&root, &source, &defaults, &mut findings)
                    && let Some(other) = seen.insert(dag.dag_id.to_string(), source.path.clone())
                {
                    findings.errors += 1;
                    eprintln!(
                        "{}: the DAG id '{}' is already used by {}; give one of the two another dag_id",
                        source.path.display(),
                        dag.dag_id,
                        other.display()
                    );
                }
            }
        }
    }
    report(session, &findings)?;
    let failed = findings.errors > 0 || (strict && findings.warnings > 0);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn look(root: &Path, source: &DagSource, defaults: &Defaults, findings: &mut Findings) -> Option<Dag> {
    let catalog: &dyn Catalog = &OperatorCatalog;
    match dag_file::parse(source, catalog, defaults) {
        Err(errors) => {
            findings.errors += errors.iter().count();
            findings.all.push(errors);
            None
        }
        Ok(dag) => {
            let within = source.path.strip_prefix(root).unwrap_or(&source.path);
            let files = version_files(&dag, within, &FolderFiles::new(root.to_owned()), catalog);
            let problems = files.problems.iter().map(|p| (p.task.as_ref(), p.name.as_str(), p.message.as_str()));
            let errors = dag_file::file_problems(source, problems);
            findings.errors += errors.iter().count();
            findings.all.push(errors);
            let warnings = dag_file::lint(&dag, source, catalog);
            findings.warnings += warnings.iter().count();
            findings.all.push(warnings);
            Some(dag)
        }
    }
}

fn report(session: &Session, findings: &Findings) -> Result<()> {
    if session.json {
        let all: Vec<_> = findings.all.iter().flat_map(Diagnostics::iter).collect();
        return output::object(&json!({ "files": findings.files, "findings": all }));
    }
    let colour = std::io::IsTerminal::is_terminal(&std::io::stdout());
    for diagnostics in findings.all.iter().filter(|d| !d.is_empty()) {
        crate::output::write(format_args!("{}", diagnostics.render(colour)));
    }
    outln!("{} files, {} errors, {} warnings", findings.files, findings.errors, findings.warnings);
    Ok(())
}

type Unreadable = (PathBuf, String);

/// A DAG file, and the top of its bundle.
struct File {
    root: PathBuf,
    source: DagSource,
}

/// The DAG files at a path: itself, or those below it.
fn sources(session: &Session, path: &Path) -> Result<Vec<Result<File, Unreadable>>> {
    if path.is_file() {
        let root = bundles::folder_around(&session.config, path);
        let text = std::fs::read_to_string(path).map_err(|e| (path.to_owned(), format!("it cannot be read: {e}")));
        return Ok(vec![text.map(|text| File { root, source: DagSource { path: path.to_owned(), text } })]);
    }
    if !path.is_dir() {
        bail!("there is no file or folder {}", path.display());
    }
    let news = BundleFolder::new(path.to_owned()).scan()?;
    let files = news.changes.into_iter().filter_map(|change| match change {
        FileChange::Changed { path: below, text } => {
            let below = path.join(below);
            Some(match text {
                Ok(text) => Ok(File { root: path.to_owned(), source: DagSource { path: below, text } }),
                Err(message) => Err((below, message)),
            })
        }
        FileChange::Removed { .. } => None,
    });
    Ok(files.collect())
}

/// Reads one DAG file that must be valid.
pub(crate) fn load_file(session: &Session, path: &Path) -> Result<Dag> {
    let text = std::fs::read_to_string(path).map_err(|e| anyhow::anyhow!("{} cannot be read: {e}", path.display()))?;
    let source = DagSource { path: path.to_owned(), text };
    dag_file::parse(&source, &OperatorCatalog, &session.config.dag_file_defaults()?)
        .map_err(|errors| anyhow::anyhow!("{} has errors\n{}", path.display(), errors.render(false)))
}
