//! Instants as whole microseconds in UTC: the form in which they are stored, compared and passed around.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Microseconds since 1970-01-01T00:00:00Z. In JSON it is RFC 3339 in UTC, always with six digits of the second:
/// `2026-01-01T00:00:00.000000Z`, so that texts sort as instants do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The calendar form. Instants outside chrono's range (about ±262,000 years) are clamped.
    #[must_use]
    pub fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or(if self.0 < 0 {
            DateTime::<Utc>::MIN_UTC
        } else {
            DateTime::<Utc>::MAX_UTC
        })
    }

    /// The time from `earlier` to this instant; zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This instant moved forward, clamped at the end of time.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// This instant moved back, clamped at the beginning of time.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(instant: DateTime<Utc>) -> Self {
        Self(instant.timestamp_micros())
    }
}

/// RFC 3339 in UTC, with a fraction only where there is one.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.to_utc().format("%Y-%m-%dT%H:%M:%S%.6fZ"))
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

/// RFC 3339 with any offset and precision, or whole microseconds, as rows of an earlier Windrose hold them.
struct Written;

impl Visitor<'_> for Written {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an instant such as 2026-01-01T00:00:00.000000Z")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        let instant = DateTime::parse_from_rfc3339(text);
        instant.map(|at| at.to_utc().into()).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, micros: i64) -> Result<Timestamp, E> {
        Ok(Timestamp(micros))
    }

    fn visit_u64<E: de::Error>(self, micros: u64) -> Result<Timestamp, E> {
        i64::try_from(micros).map(Timestamp).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(micros), &self))
    }
}

/// Where the time comes from. Only the outermost shells hold one; everything inside takes a [`Timestamp`].
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn in_json_an_instant_is_rfc_3339_with_microseconds_and_comes_back_the_same() {
        for (micros, text) in [
            (1_767_225_600_000_000, "\"2026-01-01T00:00:00.000000Z\""),
            (1_767_225_600_000_001, "\"2026-01-01T00:00:00.000001Z\""),
            (-1, "\"1969-12-31T23:59:59.999999Z\""),
        ] {
            let at = Timestamp::from_micros(micros);
            assert_eq!(serde_json::to_string(&at).ok().as_deref(), Some(text));
            assert_eq!(serde_json::from_str::<Timestamp>(text).ok(), Some(at));
            assert_eq!(serde_json::from_str::<Timestamp>(&micros.to_string()).ok(), Some(at), "as rows of before");
        }
        let other_zone = serde_json::from_str::<Timestamp>("\"2026-01-01T02:00:00+02:00\"").ok();
        assert_eq!(other_zone, Some(Timestamp::from_micros(1_767_225_600_000_000)));
        for wrong in ["\"yesterday\"", "\"2026-01-01\"", "1.5", "null", "18446744073709551615"] {
            assert!(serde_json::from_str::<Timestamp>(wrong).is_err(), "{wrong} is no instant");
        }
    }
}
