//! Durations as people write them: `"90s"`, `"5m"`, `"1h30m"`, `"7d"`, or a number of seconds.

use std::time::Duration;

/// No duration in a DAG file is longer: a hundred years. It keeps every sum with an instant within range.
pub const MAX_DURATION: Duration = Duration::from_secs(36_525 * 86_400);

const UNITS: [(&str, f64); 6] =
    [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0), ("w", 604_800.0)];

/// Reads a duration from text: numbers with one of the units `w d h m s ms`, larger units first.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || {
        format!(
            "'{}' is not a duration: write \"90s\", \"5m\", \"1h30m\" or \"7d\"",
            text.chars().take(40).collect::<String>()
        )
    };
    let mut rest = text.trim();
    if rest.starts_with('-') {
        return Err(format!("'{}' is negative", rest.chars().take(40).collect::<String>()));
    }
    let mut total = 0.0;
    let mut last_unit = f64::INFINITY;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let (number, tail) = rest.split_at(number_end);
        let tail = tail.trim_start();
        let unit_end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (word, tail) = tail.split_at(unit_end);
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == word).ok_or_else(bad)?;
        if *unit >= last_unit {
            return Err(bad());
        }
        last_unit = *unit;
        total += number.parse::<f64>().map_err(|_| bad())? * unit;
        rest = tail.trim_start();
    }
    if last_unit.is_infinite() { Err(bad()) } else { from_seconds(total) }
}

/// A number of seconds as a duration.
///
/// # Errors
/// A sentence, if it is negative, no number or longer than [`MAX_DURATION`].
pub(super) fn from_seconds(seconds: f64) -> Result<Duration, String> {
    if seconds < 0.0 {
        return Err(format!("'{seconds}' is negative"));
    }
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if duration <= MAX_DURATION => Ok(duration),
        _ => Err("a duration has at most a hundred years".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        let seconds = |text| parse_duration(text).unwrap().as_secs_f64();
        assert_eq!(seconds("90s"), 90.0);
        assert_eq!(seconds("1h30m"), 5_400.0);
        assert_eq!(seconds("7d"), 604_800.0);
        assert_eq!(seconds(" 1w 2d "), 777_600.0);
        assert_eq!(seconds("1.5h"), 5_400.0);
        assert_eq!(seconds("250ms"), 0.25);
        assert_eq!(seconds("0s"), 0.0);
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in ["", "5", "m", "5x", "-5m", "5m5h", "5m5m", "1..5h", "5m,", "5 minutes", "∞", "1e3s", "99999999d"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        for seconds in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert!(from_seconds(seconds).is_err(), "{seconds}");
        }
    }
}
