//! A cron expression in a time zone.

use std::fmt;

use chrono::{NaiveDateTime, TimeDelta};
use chrono_tz::Tz;

use super::calendar::{instant, shifted, wall_clock};
use super::cron_expression::CronExpression;
use super::error::TimetableError;
use super::ticks::Ticks;
use crate::time::Timestamp;

/// A cron expression, read on the wall clocks of a zone.
#[derive(Clone)]
pub struct Cron {
    expression: CronExpression,
    zone: Tz,
}

impl Cron {
    /// Reads an expression of five fields (six with seconds at the end, seven with years), or a preset.
    ///
    /// # Errors
    /// A sentence that names the field.
    pub fn new(expression: &str, zone: Tz) -> Result<Self, TimetableError> {
        Ok(Self { expression: CronExpression::parse(expression)?, zone })
    }

    /// The expression as written.
    #[must_use]
    pub fn expression(&self) -> &str {
        self.expression.text()
    }

    /// The zone it is read in.
    #[must_use]
    pub const fn zone(&self) -> Tz {
        self.zone
    }

    /// What it means, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        format!("{} ({}, {})", self.expression.in_words(), self.expression(), self.zone)
    }

    /// From a match on the wall clock back to an instant. Airflow adds the distance on the wall clock to the instant for
    /// expressions that run in every hour, so that the hour a clock repeats gets its runs too.
    fn resolve(&self, from: Timestamp, wall: NaiveDateTime, found: NaiveDateTime) -> Result<Timestamp, TimetableError> {
        if !self.expression.runs_every_hour() {
            return instant(found, self.zone);
        }
        let distance: TimeDelta = found - wall;
        shifted(from, distance.num_microseconds().ok_or(TimetableError::OutOfRange)?)
    }
}

impl Ticks for Cron {
    fn next_after(&self, from: Timestamp) -> Result<Timestamp, TimetableError> {
        let wall = wall_clock(from, self.zone)?;
        self.resolve(from, wall, self.expression.next_after(wall)?)
    }

    fn last_before(&self, from: Timestamp) -> Result<Timestamp, TimetableError> {
        let wall = wall_clock(from, self.zone)?;
        self.resolve(from, wall, self.expression.last_before(wall)?)
    }

    fn align_to_next(&self, at: Timestamp) -> Result<Timestamp, TimetableError> {
        let next = self.next_after(at)?;
        Ok(if self.last_before(next)? == at { at } else { next })
    }

    fn align_to_prev(&self, at: Timestamp) -> Result<Timestamp, TimetableError> {
        let previous = self.last_before(at)?;
        Ok(if self.next_after(previous)? == at { at } else { previous })
    }

    fn newest_interval_start(&self, earliest: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, TimetableError> {
        let last = self.last_before(now)?;
        let next = self.next_after(last)?;
        let start = match next.cmp(&now) {
            std::cmp::Ordering::Equal => last,
            std::cmp::Ordering::Greater => self.last_before(last)?,
            // A repeated hour can lead the search for the next tick back before `now`.
            std::cmp::Ordering::Less => return Err(TimetableError::DidNotAdvance { after: last }),
        };
        match earliest {
            None => Ok(start),
            Some(earliest) => Ok(start.max(self.align_to_next(earliest)?)),
        }
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({:?}, {})", self.expression(), self.zone)
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.expression() == other.expression() && self.zone == other.zone
    }
}

impl Eq for Cron {}
