//! One field of a cron expression, in the dialect Airflow reads (croniter's): ranges may wrap (`fri-mon`), names and
//! numbers mix (`JUL-12`), `5/10` starts at 5, and a range from a value to itself is the whole field.

use std::collections::{BTreeMap, BTreeSet};

/// Which field, in the order in which they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Minute,
    Hour,
    DayOfMonth,
    Month,
    DayOfWeek,
    Second,
    Year,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Kind {
    pub(super) const ALL: [Self; 7] =
        [Self::Minute, Self::Hour, Self::DayOfMonth, Self::Month, Self::DayOfWeek, Self::Second, Self::Year];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::DayOfMonth => "day of month",
            Self::Month => "month",
            Self::DayOfWeek => "day of week",
            Self::Second => "second",
            Self::Year => "year",
        }
    }

    const fn bounds(self) -> (u16, u16) {
        match self {
            Self::Minute | Self::Second => (0, 59),
            Self::Hour => (0, 23),
            Self::DayOfMonth => (1, 31),
            Self::Month => (1, 12),
            Self::DayOfWeek => (0, 6),
            Self::Year => (1970, 2099),
        }
    }

    /// How many values make the field unrestricted.
    pub(super) const fn width(self) -> usize {
        let (low, high) = self.bounds();
        (high - low) as usize + 1
    }

    fn named(self, name: &str) -> Option<u16> {
        let (names, first): (&[&str], u16) = match self {
            Self::Month => (&MONTHS, 1),
            Self::DayOfWeek => (&WEEKDAYS, 0),
            _ => return None,
        };
        let position = names.iter().position(|known| *known == name)?;
        Some(first + u16::try_from(position).ok()?)
    }

    fn expected(self) -> String {
        let (low, high) = self.bounds();
        match self {
            Self::Month => "use 1 to 12, or jan to dec".to_owned(),
            Self::DayOfWeek => "use 0 to 7 (0 and 7 are Sunday), or sun to sat".to_owned(),
            Self::DayOfMonth => "use 1 to 31, or L for the last day".to_owned(),
            _ => format!("use {low} to {high}"),
        }
    }
}

/// Which of a month's Mondays, Tuesdays, ….
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Nth {
    Week(u8),
    Last,
}

/// What one field allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Field {
    /// `*` is among its items: it allows everything.
    pub(super) star: bool,
    pub(super) values: BTreeSet<u16>,
    /// `L`: the last day of the month.
    pub(super) last_day: bool,
    /// `15W`: the weekday nearest to that day.
    pub(super) nearest_weekday: Option<u16>,
    /// `5#2`, `L5`: these occurrences of a weekday only.
    pub(super) nth: BTreeMap<u16, BTreeSet<Nth>>,
}

impl Field {
    /// How many different items it has; croniter takes a field with as many items as values for `*`.
    pub(super) fn count(&self) -> usize {
        self.values.len() + usize::from(self.star) + usize::from(self.last_day)
    }

    pub(super) fn parse(kind: Kind, text: &str) -> Result<Self, String> {
        let mut field = Self::default();
        if text.contains('?') {
            if text != "?" || !matches!(kind, Kind::DayOfMonth | Kind::DayOfWeek) {
                return Err("'?' stands alone, for the day of month or the day of week".to_owned());
            }
            field.star = true;
            return Ok(field);
        }
        for item in text.split(',') {
            field.add(kind, item)?;
        }
        if field.nearest_weekday.is_some() && text.contains(',') {
            return Err("'W' goes with a single day, not with a list".to_owned());
        }
        Ok(field)
    }

    fn add(&mut self, kind: Kind, item: &str) -> Result<(), String> {
        match kind {
            Kind::DayOfWeek => {
                let (item, nth) = split_nth(item)?;
                return self.add_values(kind, item, nth);
            }
            Kind::DayOfMonth => {
                if let Some(day) = nearest_weekday(item) {
                    if !(1..=31).contains(&day) {
                        return Err(format!("'{item}' is out of range; {}", kind.expected()));
                    }
                    self.nearest_weekday = Some(day);
                    return Ok(());
                }
                if item == "l" {
                    self.last_day = true;
                    return Ok(());
                }
            }
            _ => {}
        }
        self.add_values(kind, item, None)
    }

    fn add_values(&mut self, kind: Kind, item: &str, nth: Option<Nth>) -> Result<(), String> {
        if item == "*" {
            self.star = true;
            return Ok(());
        }
        let values = match Range::parse(kind, item)? {
            Some(range) => range.values(kind),
            None => vec![value(kind, item)?],
        };
        let (low, high) = kind.bounds();
        for value in values {
            if !(low..=high).contains(&value) {
                return Err(format!("{value} is out of range; {}", kind.expected()));
            }
            self.values.insert(value);
            if let Some(nth) = nth {
                self.nth.entry(value).or_default().insert(nth);
            }
        }
        Ok(())
    }
}

/// `a-b`, `a-b/step`, `*/step` or `a/step`.
struct Range {
    low: u16,
    high: u16,
    step: u16,
    /// Only `a/step`: it ends with the field, and `59/15` is 59 alone.
    open_end: bool,
}

impl Range {
    fn parse(kind: Kind, item: &str) -> Result<Option<Self>, String> {
        let (min, max) = kind.bounds();
        let (span, step) = match item.rsplit_once('/') {
            Some((span, step)) => (span, Some(step)),
            None => (item, None),
        };
        let (low, high, open_end) = match (span.split_once('-'), step) {
            (None, None) => return Ok(None),
            (None, Some(_)) if span == "*" => (min, max, false),
            (None, Some(_)) => (value(kind, span)?, max, true),
            (Some((low, high)), _) => {
                let high = if kind == Kind::DayOfMonth && high == "l" { max } else { value(kind, high)? };
                (value(kind, low)?, high, false)
            }
        };
        let step = match step {
            None => 1,
            Some(text) if is_digits(text) => text.parse().unwrap_or(u16::MAX),
            Some(text) => return Err(format!("the step '{text}' is not a number")),
        };
        if step == 0 {
            return Err("a step of 0 leads nowhere; use 1 or more".to_owned());
        }
        if low.max(high) > max {
            return Err(format!("'{item}' is out of range; {}", kind.expected()));
        }
        Ok(Some(Self { low, high, step, open_end }))
    }

    fn values(&self, kind: Kind) -> Vec<u16> {
        let (min, max) = kind.bounds();
        let step = usize::from(self.step);
        if self.low == self.high {
            return if self.open_end { vec![self.low] } else { (min..=max).step_by(step).collect() };
        }
        if self.low < self.high {
            return (self.low..=self.high).step_by(step).collect();
        }
        let mut values: Vec<u16> = (self.low..=max).step_by(step).collect();
        let reached = values.last().copied().unwrap_or(max);
        values.extend((min.saturating_add(self.carry(reached, min, max))..=self.high).step_by(step));
        values
    }

    /// How far into its second half a wrapping range (`apr-jan/3`) starts, after its first half ended at `reached`.
    /// croniter carries the step over only if it would leave the field; otherwise it starts at the field's beginning.
    fn carry(&self, reached: u16, min: u16, max: u16) -> u16 {
        let left_over = max - reached;
        let leaves = u32::from(reached - min) + u32::from(self.step) > u32::from(max - min) + 1;
        if leaves && left_over < self.step { self.step - left_over } else { 0 }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A number or a name. Sunday is 0, however it is written; the range is checked by the caller, but nothing near the
/// end of `u16` passes.
fn value(kind: Kind, text: &str) -> Result<u16, String> {
    let value = if is_digits(text) {
        text.parse::<u16>().ok().filter(|value| *value <= 9999).unwrap_or(9999)
    } else if let Some(value) = kind.named(text) {
        value
    } else {
        return Err(format!("'{text}' is not a value here; {}", kind.expected()));
    };
    Ok(if kind == Kind::DayOfWeek && value == 7 { 0 } else { value })
}

/// `5#2`, `mon-fri#1` and `l5`, taken apart.
fn split_nth(item: &str) -> Result<(&str, Option<Nth>), String> {
    if let Some(day) = item.strip_prefix('l').filter(|day| is_digits(day)) {
        return Ok((day, Some(Nth::Last)));
    }
    let Some((days, nth)) = item.split_once('#') else { return Ok((item, None)) };
    let named_range = days
        .split_once('-')
        .is_none_or(|(from, to)| Kind::DayOfWeek.named(from).is_some() && Kind::DayOfWeek.named(to).is_some());
    if !named_range || days.contains(['*', '/']) {
        return Err(format!("'{days}' cannot be counted; write one day, or a range of names such as mon-fri#1"));
    }
    match nth.parse() {
        Ok(week @ 1..=5) if is_digits(nth) => Ok((days, Some(Nth::Week(week)))),
        _ => Err(format!("'#{nth}' is out of range; use #1 to #5, or L before the day for the last one")),
    }
}

fn nearest_weekday(item: &str) -> Option<u16> {
    let day = item.strip_suffix('w').or_else(|| item.strip_prefix('w'))?;
    is_digits(day).then(|| day.parse().unwrap_or(u16::MAX))
}
