//! `windrose dags simulate`

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use windrose_core::run_state::RunState;
use windrose_engine::simulate::{Outcomes, simulate};

use crate::cmd::{Session, check};
use crate::output;

pub(crate) fn run(session: &Session, file: &Path, outcomes: Option<&Path>) -> Result<ExitCode> {
    let dag = Arc::new(check::load_file(session, file)?);
    let outcomes: Outcomes = match outcomes {
        None => Outcomes::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("the outcomes file {} cannot be read", path.display()))?;
            serde_json::from_str(&text)
                .with_context(|| format!("the outcomes file {} is not as 'dags simulate' wants it", path.display()))?
        }
    };
    let report = simulate(&dag, &outcomes, &[])?;
    if session.json {
        output::object(&report)?;
    } else {
        crate::output::write(format_args!("{}", report.timeline()));
    }
    let failed = report.runs.iter().any(|run| run.state != RunState::Success);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
