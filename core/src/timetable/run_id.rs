//! The ids of runs, letter by letter as Airflow makes them.

use crate::ids::RunId;
use crate::run_state::RunType;
use crate::time::Timestamp;

/// The id of a run with a logical date: `scheduled__2026-01-01T00:00:00+00:00`. The instant is the run's `run_after`
/// (Airflow 3), not its logical date.
#[must_use]
pub fn run_id(run_type: RunType, run_after: Timestamp) -> RunId {
    format!("{}__{}", run_type.as_str(), iso(run_after)).into()
}

/// The id of a run without a logical date, which another one of the same instant must not share:
/// `manual__2026-01-01T00:00:00+00:00_aB3dE6gH`. Airflow takes eight random letters and digits.
#[must_use]
pub fn run_id_without_date(run_type: RunType, run_after: Timestamp, random: &str) -> RunId {
    format!("{}__{}_{random}", run_type.as_str(), iso(run_after)).into()
}

/// Python's `isoformat()`: six digits of a second, or none.
fn iso(at: Timestamp) -> String {
    let at = at.to_utc();
    let format =
        if at.timestamp_subsec_micros() == 0 { "%Y-%m-%dT%H:%M:%S+00:00" } else { "%Y-%m-%dT%H:%M:%S%.6f+00:00" };
    at.format(format).to_string()
}
