//! Deadlines: what must have happened by when, and who is told if it has not.

use std::time::Duration;

use chrono::{Days, NaiveTime};
use chrono_tz::Tz;

use crate::notify::Notifier;
use crate::time::Timestamp;
use crate::timetable;

/// A deadline of a DAG.
#[derive(Debug, Clone, PartialEq)]
pub struct Deadline {
    /// Unique within the DAG.
    pub name: String,
    /// What must have happened.
    pub condition: Condition,
    /// Who is told if it has not.
    pub notifiers: Vec<Notifier>,
}

/// What must have happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The run has started by then.
    NotStartedBy(By),
    /// The run has ended by then, well or not.
    NotDoneBy(By),
    /// A run of the DAG has succeeded within this time.
    NoSuccessSince(Duration),
}

impl Condition {
    /// The field of the DAG file.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::NotStartedBy(_) => "not_started_by",
            Self::NotDoneBy(_) => "not_done_by",
            Self::NoSuccessSince(_) => "no_success_since",
        }
    }

    /// When it is due for a run; none for a deadline of the DAG as a whole.
    #[must_use]
    pub const fn by(&self) -> Option<&By> {
        match self {
            Self::NotStartedBy(by) | Self::NotDoneBy(by) => Some(by),
            Self::NoSuccessSince(_) => None,
        }
    }
}

/// When a deadline of a run is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// So long after an instant, or before it.
    After {
        /// The instant.
        reference: Reference,
        /// How long, in microseconds; before it if negative.
        offset: i64,
    },
    /// At the first such time of day, in the DAG's time zone, that is not before the run is due.
    TimeOfDay(NaiveTime),
}

/// From what a deadline counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// The instant at which the run was due.
    RunAfter,
    /// Airflow's `DAGRUN_LOGICAL_DATE`.
    LogicalDate,
    /// Airflow's `DAGRUN_QUEUED_AT`: the run was made, or cleared.
    QueuedAt,
    /// The run has started.
    StartedAt,
    /// Airflow's `AVERAGE_RUNTIME`: the run was made, or cleared, and has taken as long as the runs before it.
    AverageRuntime {
        /// The mean of at most so many successful runs.
        max_runs: u32,
        /// There is no deadline if there are fewer.
        min_runs: u32,
    },
    /// Airflow's `FIXED_DATETIME`.
    At(Timestamp),
}

/// What deadlines of a run count from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunTimes {
    /// When it was due.
    pub run_after: Timestamp,
    /// The instant it stands for.
    pub logical_date: Option<Timestamp>,
    /// When it was made, or cleared last.
    pub queued_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
}

/// An instant by which something must have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// From when it counts.
    pub counted_from: Timestamp,
    /// The instant.
    pub at: Timestamp,
}

impl By {
    /// When it is due for this run. `average` is the mean that [`Reference::AverageRuntime`] asks for. None if the run has
    /// no such instant: it has no logical date, has not begun, or there are not enough runs before it.
    #[must_use]
    pub fn due(&self, run: &RunTimes, average: Option<Duration>, zone: Tz) -> Option<Due> {
        let (reference, offset) = match self {
            Self::After { reference, offset } => (reference, *offset),
            Self::TimeOfDay(time) => {
                let at = first_at(*time, run.run_after, zone)?;
                return Some(Due { counted_from: run.run_after, at });
            }
        };
        let counted_from = match reference {
            Reference::RunAfter => run.run_after,
            Reference::LogicalDate => run.logical_date?,
            Reference::QueuedAt | Reference::AverageRuntime { .. } => run.queued_at,
            Reference::StartedAt => run.started_at?,
            Reference::At(at) => *at,
        };
        let runtime = match reference {
            Reference::AverageRuntime { .. } => average?,
            _ => Duration::ZERO,
        };
        let at = counted_from.plus(runtime);
        let length = Duration::from_micros(offset.unsigned_abs());
        let at = if offset < 0 { at.minus(length) } else { at.plus(length) };
        Some(Due { counted_from, at })
    }
}

/// The first instant from `from` on at which the clock on a wall shows this time.
fn first_at(time: NaiveTime, from: Timestamp, zone: Tz) -> Option<Timestamp> {
    let mut day = from.to_utc().with_timezone(&zone).date_naive();
    for _ in 0..2 {
        let at = timetable::instant(day.and_time(time), zone).ok()?;
        if at >= from {
            return Some(at);
        }
        day = day.checked_add_days(Days::new(1))?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse::<chrono::DateTime<chrono::Utc>>().unwrap().into()
    }

    fn run() -> RunTimes {
        RunTimes {
            run_after: at("2026-03-28T02:00:00Z"),
            logical_date: None,
            queued_at: at("2026-03-28T02:00:05Z"),
            started_at: None,
        }
    }

    #[test]
    fn a_time_of_day_is_the_first_one_that_is_not_before_the_run_is_due() {
        let due = |hour, minute, run_after: &str| {
            let by = By::TimeOfDay(NaiveTime::from_hms_opt(hour, minute, 0).unwrap());
            let run = RunTimes { run_after: at(run_after), ..run() };
            by.due(&run, None, Tz::Europe__Berlin).unwrap().at
        };
        assert_eq!(due(6, 30, "2026-03-27T02:00:00Z"), at("2026-03-27T05:30:00Z"));
        assert_eq!(due(6, 30, "2026-03-27T05:30:00Z"), at("2026-03-27T05:30:00Z"), "at this very instant");
        assert_eq!(due(6, 30, "2026-03-28T05:30:01Z"), at("2026-03-29T04:30:00Z"), "the clocks have changed");
        assert_eq!(due(0, 15, "2026-03-27T23:10:00Z"), at("2026-03-27T23:15:00Z"), "of the day in the zone");
        assert_eq!(due(2, 30, "2026-03-29T00:00:00Z"), at("2026-03-29T01:30:00Z"), "the clock never shows it");
    }

    #[test]
    fn a_distance_counts_from_what_it_says_or_from_nothing() {
        let due = |reference, offset, run: RunTimes, average| {
            By::After { reference, offset }.due(&run, average, Tz::UTC).map(|due| due.at)
        };
        let minute = 60_000_000;
        assert_eq!(due(Reference::RunAfter, minute, run(), None), Some(at("2026-03-28T02:01:00Z")));
        assert_eq!(due(Reference::QueuedAt, 0, run(), None), Some(at("2026-03-28T02:00:05Z")));
        assert_eq!(
            due(Reference::At(at("2026-01-01T00:00:00Z")), -minute, run(), None),
            Some(at("2025-12-31T23:59:00Z"))
        );
        assert_eq!(due(Reference::LogicalDate, minute, run(), None), None);
        assert_eq!(due(Reference::StartedAt, minute, run(), None), None);
        let average = Reference::AverageRuntime { max_runs: 10, min_runs: 10 };
        assert_eq!(due(average.clone(), minute, run(), None), None);
        let known = due(average, minute, run(), Some(Duration::from_secs(30)));
        assert_eq!(known, Some(at("2026-03-28T02:01:35Z")), "from when it was made, as in Airflow");
    }
}
