//! The ids of runs, letter by letter as Airflow makes them.

use crate::ids::RunId;
use crate::python_text::{datetime_isoformat, fixed};
use crate::run_state::RunType;
use crate::time::Timestamp;

/// The id of a run with a logical date: `scheduled__2026-01-01T00:00:00+00:00`. The instant is the run's `run_after`
/// (Airflow 3), not its logical date.
#[must_use]
pub fn run_id(run_type: RunType, run_after: Timestamp) -> RunId {
    format!("{}__{}", run_type.as_str(), isoformat(run_after)).into()
}

/// The id of a run without a logical date, which another one of the same instant must not share:
/// `manual__2026-01-01T00:00:00+00:00_aB3dE6gH`. Airflow takes eight random letters and digits.
#[must_use]
pub fn run_id_without_date(run_type: RunType, run_after: Timestamp, random: &str) -> RunId {
    format!("{}__{}_{random}", run_type.as_str(), isoformat(run_after)).into()
}

fn isoformat(at: Timestamp) -> String {
    datetime_isoformat(&fixed(&at.to_utc()))
}
