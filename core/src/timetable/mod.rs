//! Timetables: which runs a schedule means, as Airflow 3 computes them.
//!
//! A [`Timetable`] is a pure function: from the last automated run's data interval, the DAG's [`Bounds`] and the time
//! it makes the next [`DueRun`]. It never looks at anything else, so a scheduler that starts again comes to the same
//! runs. Where Airflow's own arithmetic is odd (mostly around clock changes), it is reproduced, odd as it is.
//!
//! Dates are bounded by Python's calendar (years 1 to 9999) and a cron expression by the fifty years croniter looks
//! ahead; beyond either there is an error, never a hang.

mod calendar;
mod cron;
mod cron_expression;
mod cron_field;
mod data_interval;
mod delta;
mod error;
mod missed;
mod preview;
mod run_id;
mod ticks;
mod trigger;

use chrono_tz::Tz;

pub(crate) use calendar::instant;
pub use cron::Cron;
pub use cron_expression::check_cron;
pub(crate) use cron_expression::{preset, preset_names};
pub use delta::Delta;
pub use error::TimetableError;
pub use preview::preview;
pub use run_id::{run_id, run_id_without_date};
pub use trigger::{CronTrigger, RunImmediately};

use crate::dag::{Catchup, Dag, Schedule};
use crate::ids::RunId;
use crate::run::DataInterval;
use crate::run_state::RunType;
use crate::time::Timestamp;

/// When a DAG's runs are due, and for which data intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timetable {
    /// By hand only (`NullTimetable`).
    Null,
    /// One run (`OnceTimetable`).
    Once,
    /// Again as soon as the last run has ended (`ContinuousTimetable`).
    Continuous,
    /// At each tick of a cron expression (`CronTriggerTimetable`).
    CronTrigger(CronTrigger),
    /// At each tick of any of them (`MultipleCronTriggerTimetable`); never empty.
    MultipleCronTrigger(Vec<CronTrigger>),
    /// For the time between two ticks, after it (`CronDataIntervalTimetable`).
    CronDataInterval(Cron),
    /// At fixed distances (`DeltaTriggerTimetable`).
    DeltaTrigger {
        /// From run to run.
        delta: Delta,
        /// How long the data interval is that ends with the run.
        interval: Delta,
    },
    /// For intervals of this length, after them (`DeltaDataIntervalTimetable`).
    DeltaDataInterval(Delta),
}

/// What a DAG says about when runs may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// No run before it (`start_date`).
    pub earliest: Option<Timestamp>,
    /// No run after it (`end_date`).
    pub latest: Option<Timestamp>,
    /// Missed runs are made too.
    pub catchup: bool,
}

impl From<&Dag> for Bounds {
    fn from(dag: &Dag) -> Self {
        Self { earliest: dag.start_date, latest: dag.end_date, catchup: dag.catchup == Catchup::All }
    }
}

/// A run that a timetable means; due at `run_after`, which may be in the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DueRun {
    /// The instant it stands for: the start of its data interval.
    pub logical_date: Option<Timestamp>,
    /// The span of data it stands for.
    pub data_interval: Option<DataInterval>,
    /// Not before this instant.
    pub run_after: Timestamp,
}

impl DueRun {
    const fn over(interval: DataInterval) -> Self {
        Self { logical_date: Some(interval.start), data_interval: Some(interval), run_after: interval.end }
    }

    /// The id it gets as a scheduled run.
    #[must_use]
    pub fn run_id(&self) -> RunId {
        run_id(RunType::Scheduled, self.run_after)
    }
}

impl Timetable {
    /// The meaning of a DAG's schedule.
    ///
    /// # Errors
    /// A sentence about what is wrong with the schedule.
    pub fn new(schedule: &Schedule, dag_timezone: Tz) -> Result<Self, TimetableError> {
        match schedule {
            Schedule::None => Ok(Self::Null),
            Schedule::Once => Ok(Self::Once),
            Schedule::Continuous => Ok(Self::Continuous),
            Schedule::Cron { expressions, timezone, data_interval } => {
                let zone = timezone.unwrap_or(dag_timezone);
                let crons: Vec<Cron> =
                    expressions.iter().map(|expression| Cron::new(expression, zone)).collect::<Result<_, _>>()?;
                Self::of_crons(crons, *data_interval)
            }
            Schedule::Assets { times: None, .. } => Ok(Self::Null),
            Schedule::Assets { times: Some(times), .. } => Self::new(times, dag_timezone),
            Schedule::Every { interval, data_interval } => {
                let delta = Delta::try_from(*interval)?;
                delta.check_positive()?;
                Ok(if *data_interval {
                    Self::DeltaDataInterval(delta)
                } else {
                    Self::DeltaTrigger { delta, interval: Delta::ZERO }
                })
            }
        }
    }

    fn of_crons(mut crons: Vec<Cron>, data_interval: bool) -> Result<Self, TimetableError> {
        match (crons.len(), data_interval) {
            (2.., true) => Err(TimetableError::NotSupported {
                what: "data_interval = true with several cron expressions".to_owned(),
                instead: "write one expression, or data_interval = false",
            }),
            (2.., false) => Ok(Self::MultipleCronTrigger(crons.into_iter().map(CronTrigger::new).collect())),
            _ => {
                let cron = crons.pop().ok_or(TimetableError::NoExpression)?;
                Ok(if data_interval { Self::CronDataInterval(cron) } else { Self::CronTrigger(CronTrigger::new(cron)) })
            }
        }
    }

    /// That the DAG's dates go with this timetable.
    ///
    /// # Errors
    /// If all missed runs are to be made and there is no start date.
    pub fn check_bounds(&self, bounds: &Bounds) -> Result<(), TimetableError> {
        if *self != Self::Null && bounds.catchup && bounds.earliest.is_none() {
            return Err(TimetableError::StartDateRequired);
        }
        Ok(())
    }

    /// The run after the one with the data interval `last` (none: no automated run yet). `None`: there is no further run.
    ///
    /// # Errors
    /// If no date matches, or the schedule leads nowhere.
    pub fn next_run(
        &self,
        last: Option<DataInterval>,
        bounds: &Bounds,
        now: Timestamp,
    ) -> Result<Option<DueRun>, TimetableError> {
        match self {
            Self::Null => Ok(None),
            Self::Once => Ok(once(last, bounds, now)),
            Self::Continuous => continuous(last, bounds, now),
            Self::CronTrigger(trigger) => trigger.next_run(last, bounds, now),
            Self::MultipleCronTrigger(triggers) => trigger::first_of(triggers, last, bounds, now),
            Self::CronDataInterval(cron) => data_interval::next_run(cron, last, bounds, now),
            Self::DeltaTrigger { delta, interval } => trigger::next_run_of_delta(*delta, *interval, last, bounds, now),
            Self::DeltaDataInterval(delta) => data_interval::next_run(delta, last, bounds, now),
        }
    }

    /// The same for a DAG that says what becomes of missed runs, which [`Catchup::Latest`] and [`Catchup::Collapse`] put
    /// into one.
    ///
    /// # Errors
    /// If no date matches, or the schedule leads nowhere.
    pub fn next_run_after_pause(
        &self,
        last: Option<DataInterval>,
        bounds: &Bounds,
        missed: Catchup,
        now: Timestamp,
    ) -> Result<Option<DueRun>, TimetableError> {
        match missed {
            Catchup::No | Catchup::All => self.next_run(last, bounds, now),
            Catchup::Latest | Catchup::Collapse => missed::next_run(self, last, bounds, missed, now),
        }
    }

    /// The data interval of a run that a person starts.
    ///
    /// # Errors
    /// If no date matches.
    pub fn manual_interval(&self, run_after: Timestamp) -> Result<Option<DataInterval>, TimetableError> {
        let exact = DataInterval { start: run_after, end: run_after };
        match self {
            Self::Null | Self::Once | Self::Continuous => Ok(exact),
            Self::CronTrigger(trigger) => trigger.manual_interval(run_after),
            Self::MultipleCronTrigger(triggers) => {
                let intervals: Vec<_> =
                    triggers.iter().map(|trigger| trigger.manual_interval(run_after)).collect::<Result<_, _>>()?;
                Ok(intervals.into_iter().min_by_key(|interval| interval.start).unwrap_or(exact))
            }
            Self::CronDataInterval(cron) => data_interval::last_complete(cron, run_after),
            Self::DeltaTrigger { interval, .. } => {
                Ok(DataInterval { start: interval.before(run_after)?, end: run_after })
            }
            Self::DeltaDataInterval(delta) => data_interval::last_complete(delta, run_after),
        }
        .map(Some)
    }

    /// One line for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Null => "Never, external triggers only".to_owned(),
            Self::Once => "Once, as soon as possible".to_owned(),
            Self::Continuous => "As frequently as possible, but only one run at a time".to_owned(),
            Self::CronTrigger(trigger) => trigger.cron.describe(),
            Self::MultipleCronTrigger(triggers) => {
                let all: Vec<String> = triggers.iter().map(|trigger| trigger.cron.describe()).collect();
                all.join("; ")
            }
            Self::CronDataInterval(cron) => format!("{}, for the interval that ends then", cron.describe()),
            Self::DeltaTrigger { delta, .. } => format!("Every {delta}"),
            Self::DeltaDataInterval(delta) => format!("Every {delta}, for the interval that ends then"),
        }
    }

    /// The schedule itself, as short as Airflow shows it.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Null => "None".to_owned(),
            Self::Once => "@once".to_owned(),
            Self::Continuous => "@continuous".to_owned(),
            Self::CronTrigger(trigger) => trigger.cron.expression().to_owned(),
            Self::MultipleCronTrigger(triggers) => {
                let all: Vec<&str> = triggers.iter().map(|trigger| trigger.cron.expression()).collect();
                all.join(", ")
            }
            Self::CronDataInterval(cron) => cron.expression().to_owned(),
            Self::DeltaTrigger { delta, .. } | Self::DeltaDataInterval(delta) => delta.to_string(),
        }
    }
}

fn once(last: Option<DataInterval>, bounds: &Bounds, now: Timestamp) -> Option<DueRun> {
    let at = bounds.earliest.unwrap_or(now);
    let over = last.is_some() || bounds.latest.is_some_and(|latest| at > latest);
    (!over).then(|| DueRun::over(DataInterval { start: at, end: at }))
}

fn continuous(last: Option<DataInterval>, bounds: &Bounds, now: Timestamp) -> Result<Option<DueRun>, TimetableError> {
    let begin = bounds.earliest.unwrap_or(now);
    let interval = match last {
        None => DataInterval { start: begin, end: begin.max(now) },
        // The last run stands for a time that is still to come: keep its length.
        Some(last) if last.end > now => {
            let length = last.end.as_micros().saturating_sub(last.start.as_micros());
            DataInterval { start: begin, end: calendar::shifted(begin, length)? }
        }
        Some(last) => DataInterval { start: last.end, end: now },
    };
    Ok(bounds.latest.is_none_or(|latest| interval.end <= latest).then(|| DueRun::over(interval)))
}
