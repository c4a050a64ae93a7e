//! What can be wrong with a schedule, in words a person can act on.

use crate::time::Timestamp;

/// Why a schedule is refused, or why its next run cannot be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimetableError {
    /// A cron expression with the wrong number of fields, or no preset of this name.
    #[error(
        "the cron expression '{expression}' has {found} fields; write five (minute, hour, day of month, month, day of \
         week), or a preset such as @daily"
    )]
    FieldCount {
        /// As written.
        expression: String,
        /// How many fields it has.
        found: usize,
    },
    /// A schedule that is nothing but a very long text.
    #[error("the cron expression is {length} characters long; shorten it to at most {limit}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The longest that is read.
        limit: usize,
    },
    /// One field of a cron expression cannot be read.
    #[error("the {field} field '{text}' of the cron expression '{expression}' is wrong: {problem}")]
    Field {
        /// As written.
        expression: String,
        /// `minute`, `hour`, `day of month`, `month`, `day of week`, `second` or `year`.
        field: &'static str,
        /// The field as written.
        text: String,
        /// What is wrong, and what is expected.
        problem: String,
    },
    /// No date matches, within the years that are searched.
    #[error(
        "no date within {years} years of {from} matches the cron expression '{expression}'; correct its day and month"
    )]
    NoOccurrence {
        /// As written.
        expression: String,
        /// Where the search began, in the schedule's own zone.
        from: String,
        /// How far it went.
        years: u16,
    },
    /// A schedule without any cron expression.
    #[error("the schedule has no cron expression; write at least one")]
    NoExpression,
    /// A distance between runs that does not lead forward.
    #[error("the time between two runs must be longer than zero; write a positive duration")]
    NotPositive,
    /// An instant that no calendar of Airflow's can hold.
    #[error("a date of this schedule lies outside the years 1 to 9999; correct its dates or its distance between runs")]
    OutOfRange,
    /// The schedule leads back to a run that exists.
    #[error("the schedule finds no run after {after}; change it so that it leads forward there")]
    DidNotAdvance {
        /// The start of the last run's data interval.
        after: Timestamp,
    },
    /// All missed runs are to be made, but nobody said since when.
    #[error("catchup = true needs a start_date; write one, or set catchup = false")]
    StartDateRequired,
    /// Airflow can do it; Windrose cannot.
    #[error("{what} is not supported yet; {instead}")]
    NotSupported {
        /// What was asked for.
        what: String,
        /// What to write instead.
        instead: &'static str,
    },
}
