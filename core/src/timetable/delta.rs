//! Distances in time: fixed ones (Python's `timedelta`), and such with months (dateutil's `relativedelta`).

use std::time::Duration;

use chrono::Months;

use super::calendar::{checked, shifted, to_calendar};
use super::error::TimetableError;
use super::ticks::Ticks;
use crate::time::Timestamp;

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A bound for hostile dates; a step is at least a day long, so this is more than five hundred years.
const MOST_STEPS: u32 = 200_000;

/// A distance: months on the calendar first, then microseconds. Days and weeks are microseconds, because all arithmetic
/// is in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delta {
    months: i32,
    micros: i64,
}

impl Delta {
    /// No distance.
    pub const ZERO: Self = Self { months: 0, micros: 0 };

    /// A distance of so many microseconds.
    #[must_use]
    pub const fn fixed(micros: i64) -> Self {
        Self { months: 0, micros }
    }

    /// A distance with months: a day that a month does not have becomes its last one, then `micros` are added.
    #[must_use]
    pub const fn calendar(months: i32, micros: i64) -> Self {
        Self { months, micros }
    }

    /// That it leads forward from every date; with months, by a day at least.
    ///
    /// # Errors
    /// If it does not.
    pub fn check_positive(self) -> Result<(), TimetableError> {
        let shortest = i64::from(self.months).saturating_mul(28 * MICROS_PER_DAY).saturating_add(self.micros);
        let least = if self.months == 0 { 1 } else { MICROS_PER_DAY };
        if self.months >= 0 && shortest >= least { Ok(()) } else { Err(TimetableError::NotPositive) }
    }

    /// `at`, moved back by this distance.
    pub(super) fn before(self, at: Timestamp) -> Result<Timestamp, TimetableError> {
        let back = self.months.checked_neg().zip(self.micros.checked_neg());
        let (months, micros) = back.ok_or(TimetableError::OutOfRange)?;
        Self { months, micros }.after(at)
    }

    /// `at`, moved on by this distance.
    pub(super) fn after(self, at: Timestamp) -> Result<Timestamp, TimetableError> {
        if self.months == 0 {
            return shifted(at, self.micros);
        }
        let from = to_calendar(at)?;
        let months = Months::new(self.months.unsigned_abs());
        let moved = if self.months > 0 { from.checked_add_months(months) } else { from.checked_sub_months(months) };
        shifted(checked(moved)?, self.micros)
    }

    /// As many times this distance as fit between two instants; `None` for a distance with months, or if none fits.
    pub(super) fn whole_steps(self, from: Timestamp, to: Timestamp) -> Option<Self> {
        let span = to.as_micros().checked_sub(from.as_micros()).filter(|span| *span > 0)?;
        (self.months == 0 && self.micros > 0).then(|| Self::fixed(span - span % self.micros))
    }

    /// The last boundary at or before `at`: counted from the epoch, or with months from `anchor`, step by step, because a
    /// day that a month does not have is lost for all steps after it.
    fn floor(self, at: Timestamp, anchor: Timestamp) -> Result<Timestamp, TimetableError> {
        self.check_positive()?;
        if self.months == 0 {
            return shifted(at, -at.as_micros().rem_euclid(self.micros));
        }
        let mut boundary = anchor;
        for _ in 0..MOST_STEPS {
            let next = self.after(boundary)?;
            if next > at {
                return Ok(boundary);
            }
            boundary = next;
        }
        Err(TimetableError::OutOfRange)
    }
}

impl TryFrom<Duration> for Delta {
    type Error = TimetableError;

    fn try_from(duration: Duration) -> Result<Self, Self::Error> {
        i64::try_from(duration.as_micros()).map(Self::fixed).map_err(|_| TimetableError::OutOfRange)
    }
}

/// Every instant is a tick: the distance alone says nothing of where it begins.
impl Ticks for Delta {
    fn next_after(&self, from: Timestamp) -> Result<Timestamp, TimetableError> {
        self.after(from)
    }

    fn last_before(&self, from: Timestamp) -> Result<Timestamp, TimetableError> {
        self.before(from)
    }

    fn align_to_next(&self, at: Timestamp) -> Result<Timestamp, TimetableError> {
        Ok(at)
    }

    fn align_to_prev(&self, at: Timestamp) -> Result<Timestamp, TimetableError> {
        Ok(at)
    }

    fn newest_interval_start(&self, earliest: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, TimetableError> {
        let start = self.before(self.floor(now, earliest.unwrap_or(now))?)?;
        Ok(earliest.map_or(start, |earliest| start.max(earliest)))
    }
}

/// `1d2h`, `45s`, `1 month`.
impl std::fmt::Display for Delta {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const UNITS: [(i64, &str); 5] =
            [(MICROS_PER_DAY, "d"), (3_600_000_000, "h"), (60_000_000, "m"), (1_000_000, "s"), (1, "µs")];
        if self.months != 0 {
            write!(f, "{} month{}", self.months, if self.months == 1 { "" } else { "s" })?;
        }
        if self.months != 0 && self.micros != 0 {
            f.write_str(" ")?;
        }
        if self.micros < 0 {
            f.write_str("-")?;
        }
        let mut rest = self.micros.saturating_abs();
        for (unit, name) in UNITS {
            if rest >= unit {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
            }
        }
        if *self == Self::ZERO { f.write_str("0s") } else { Ok(()) }
    }
}
