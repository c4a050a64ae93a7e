//! Cron expressions as Airflow reads them. This module brings them into the one form that the `croner` crate and
//! croniter agree on (plain numbers); croner then finds the dates on the wall clock.

use chrono::{Datelike, NaiveDateTime, TimeDelta, Timelike};
use croner::Cron as Search;
use croner::parser::CronParser;

use super::cron_field::{Field, Kind, Nth};
use super::error::TimetableError;

/// croniter looks no further (`max_years_between_matches`).
const SEARCHED_YEARS: u16 = 50;

/// A bound for hostile input; a field that lists every value fits several times.
const LONGEST: usize = 1000;

/// Airflow's own presets are case-sensitive.
const AIRFLOW_PRESETS: [(&str, &str); 1] = [("@quarterly", "0 0 1 */3 *")];

/// These come from croniter, which does not look at the case.
const CRONITER_PRESETS: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// Says what is wrong with a cron expression or preset, and where.
///
/// # Errors
/// A sentence that names the field.
pub fn check_cron(expression: &str) -> Result<(), TimetableError> {
    CronExpression::parse(expression).map(drop)
}

/// A cron expression with a meaning on the wall clock, without a zone.
#[derive(Clone)]
pub(super) struct CronExpression {
    text: String,
    search: Search,
    /// A search that must find something too; see [`CronExpression::searches`].
    also: Option<Search>,
    every_hour: bool,
    counts_seconds: bool,
}

impl CronExpression {
    pub(super) fn parse(text: &str) -> Result<Self, TimetableError> {
        if text.len() > LONGEST {
            return Err(TimetableError::TooLong { length: text.len(), limit: LONGEST });
        }
        let lower = expand_preset(text);
        let parts: Vec<&str> = lower.split([' ', '\t', '\n', '\r', '\x0b', '\x0c']).filter(|p| !p.is_empty()).collect();
        if !(5..=7).contains(&parts.len()) {
            return Err(TimetableError::FieldCount { expression: text.to_owned(), found: parts.len() });
        }
        let wrong = |kind: Kind, part: &str, problem: String| TimetableError::Field {
            expression: text.to_owned(),
            field: kind.name(),
            text: part.to_owned(),
            problem,
        };
        let mut fields = Vec::with_capacity(parts.len());
        for (kind, part) in Kind::ALL.into_iter().zip(&parts) {
            refuse_random(part)?;
            fields.push(Field::parse(kind, part).map_err(|problem| wrong(kind, part, problem))?);
        }
        let every_hour = widen(&mut fields, &parts);
        check_counted_days(&fields[4]).map_err(|problem| wrong(Kind::DayOfWeek, parts[4], problem))?;
        if let Some(day @ 29..=30) = fields[2].nearest_weekday {
            return Err(TimetableError::NotSupported {
                what: format!("the day of month '{day}W'"),
                instead: "use 1W to 28W, or 31W for the last weekday of the month",
            });
        }
        let (search, also) = searches(&fields).map_err(|error| wrong(Kind::DayOfMonth, parts[2], error.to_string()))?;
        Ok(Self { text: text.to_owned(), search, also, every_hour, counts_seconds: fields.len() > 5 })
    }

    /// As written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Its meaning in English.
    pub(super) fn in_words(&self) -> String {
        self.search.describe()
    }

    /// Airflow treats expressions that run in every hour of the day differently where clocks change.
    pub(super) const fn runs_every_hour(&self) -> bool {
        self.every_hour
    }

    /// The first match later than `from`.
    pub(super) fn next_after(&self, from: NaiveDateTime) -> Result<NaiveDateTime, TimetableError> {
        let grain = if self.counts_seconds { TimeDelta::seconds(1) } else { TimeDelta::minutes(1) };
        let first = from.checked_add_signed(grain).ok_or(TimetableError::OutOfRange)?;
        let find = |search: &Search| search.find_next_occurrence(&from, false).ok();
        self.pick(first, find)
    }

    /// The last match earlier than `from`.
    pub(super) fn last_before(&self, from: NaiveDateTime) -> Result<NaiveDateTime, TimetableError> {
        let first = from.checked_sub_signed(TimeDelta::microseconds(1)).ok_or(TimetableError::OutOfRange)?;
        // croner looks at whole seconds: within one, its own beginning is already earlier.
        let inclusive = from.nanosecond() > 0;
        let find = |search: &Search| search.find_previous_occurrence(&from, inclusive).ok();
        self.pick(first, find)
    }

    fn pick(
        &self,
        from: NaiveDateTime,
        find: impl Fn(&Search) -> Option<NaiveDateTime>,
    ) -> Result<NaiveDateTime, TimetableError> {
        let near = |found: &NaiveDateTime| found.year().abs_diff(from.year()) <= u32::from(SEARCHED_YEARS);
        let found = find(&self.search).filter(near);
        let also = self.also.as_ref().is_none_or(|also| find(also).filter(near).is_some());
        found.filter(|_| also).map(|found| found.with_nanosecond(0).unwrap_or(found)).ok_or_else(|| {
            TimetableError::NoOccurrence {
                expression: self.text.clone(),
                from: from.format("%Y-%m-%d %H:%M").to_string(),
                years: SEARCHED_YEARS,
            }
        })
    }
}

fn expand_preset(text: &str) -> String {
    preset(text).map_or_else(|| text.to_lowercase(), str::to_owned)
}

/// The expression that a preset stands for.
pub(crate) fn preset(text: &str) -> Option<&'static str> {
    let lower = text.to_lowercase();
    let known = AIRFLOW_PRESETS.iter().find(|(name, _)| *name == text);
    known.or_else(|| CRONITER_PRESETS.iter().find(|(name, _)| *name == lower)).map(|(_, expression)| *expression)
}

/// The names of all presets that stand for an expression.
pub(crate) fn preset_names() -> impl Iterator<Item = &'static str> + Clone {
    AIRFLOW_PRESETS.iter().chain(&CRONITER_PRESETS).map(|(name, _)| *name)
}

fn refuse_random(part: &str) -> Result<(), TimetableError> {
    if part.strip_prefix(['h', 'r']).is_some_and(|rest| rest.is_empty() || rest.starts_with(['(', '/'])) {
        return Err(TimetableError::NotSupported {
            what: format!("the hashed or random cron value '{}'", part.to_uppercase()),
            instead: "write a number",
        });
    }
    Ok(())
}

/// Turns fields that allow every value into `*`, and says whether the hour is one of them.
///
/// The two day fields are left alone as long as the other one has no `*` in it: which of them restricts the day decides
/// whether they are joined by OR, and croniter judges that by the text.
fn widen(fields: &mut [Field], parts: &[&str]) -> bool {
    let mut every_hour = false;
    for (field, kind) in fields.iter_mut().zip(Kind::ALL) {
        let other_day = match kind {
            Kind::DayOfMonth => Some(parts[4]),
            Kind::DayOfWeek => Some(parts[2]),
            _ => None,
        };
        let full = field.count() == kind.width() && other_day.is_none_or(|other| other.contains('*'));
        if full {
            field.star = true;
            field.values.clear();
            field.last_day = false;
        }
        if kind == Kind::Hour {
            every_hour = field.star && field.values.is_empty();
        }
    }
    every_hour
}

/// Counted days (`5#2`) and plain ones do not mix.
fn check_counted_days(weekday: &Field) -> Result<(), String> {
    let plain = weekday.values.iter().any(|day| !weekday.nth.contains_key(day));
    if !weekday.nth.is_empty() && plain && weekday.count() != Kind::DayOfWeek.width() {
        return Err("days with # or L cannot be mixed with plain days; write two expressions".to_owned());
    }
    Ok(())
}

/// The search for the dates, and one more that has to find something as well.
///
/// If both day fields restrict the day, a date has to match one of them. croniter searches for each alone, but keeps
/// `#`, `L5` and `W` in both searches: so the counted days win, the other field only has to meet them somewhere within
/// the searched years, and if it never does there is no next date at all. `28 * 1,15 * L5` is such an expression.
fn searches(fields: &[Field]) -> Result<(Search, Option<Search>), croner::errors::CronError> {
    let (day, weekday) = (&fields[2], &fields[4]);
    let day_text = day_of_month(day);
    let weekday_text = day_of_week(weekday);
    let counted = !weekday.nth.is_empty();
    let nearest = day.nearest_weekday.is_some();
    if day.star || weekday.star || (counted && nearest) {
        return Ok((search(fields, &day_text, &weekday_text, true)?, None));
    }
    if counted {
        let both = search(fields, &day_text, &weekday_text, true)?;
        return Ok((search(fields, "*", &weekday_text, true)?, Some(both)));
    }
    if nearest {
        let both = search(fields, &day_text, &weekday_text, true)?;
        return Ok((search(fields, &day_text, "*", true)?, Some(both)));
    }
    Ok((search(fields, &day_text, &weekday_text, false)?, None))
}

fn search(fields: &[Field], day: &str, weekday: &str, both_days: bool) -> Result<Search, croner::errors::CronError> {
    let plain = |position: usize| fields.get(position).map(list);
    let text = format!(
        "{} {} {} {day} {} {weekday} {}",
        plain(5).unwrap_or_else(|| "0".to_owned()),
        list(&fields[0]),
        list(&fields[1]),
        list(&fields[3]),
        plain(6).unwrap_or_else(|| "*".to_owned()),
    );
    CronParser::builder().dom_and_dow(both_days).build().parse(&text)
}

fn list(field: &Field) -> String {
    if field.star {
        return "*".to_owned();
    }
    let values: Vec<String> = field.values.iter().map(u16::to_string).collect();
    values.join(",")
}

fn day_of_month(field: &Field) -> String {
    match field.nearest_weekday {
        // The weekday nearest to the last day is the last weekday, in a month of any length.
        Some(31) => "LW".to_owned(),
        Some(day) => format!("{day}W"),
        None if field.last_day && !field.star && field.values.is_empty() => "L".to_owned(),
        None if field.last_day && !field.star => format!("{},L", list(field)),
        None => list(field),
    }
}

fn day_of_week(field: &Field) -> String {
    if field.nth.is_empty() {
        return list(field);
    }
    let counted = field.nth.iter().flat_map(|(day, all)| all.iter().map(move |nth| (day, nth)));
    let texts: Vec<String> = counted
        .map(|(day, nth)| match nth {
            Nth::Week(nth) => format!("{day}#{nth}"),
            Nth::Last => format!("{day}L"),
        })
        .collect();
    texts.join(",")
}
