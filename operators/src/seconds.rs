//! A length of time among an operator's parameters.

use std::time::Duration;

use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use windrose_core::dag_file::parse_duration;

/// A number of seconds, as a number or as its text, or a duration as in DAG files: `"90s"`, `"1h30m"`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seconds(pub Duration);

impl Seconds {
    /// A whole number of seconds.
    #[must_use]
    pub const fn from_whole(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum Written {
    Number(f64),
    Text(String),
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds: f64 = match Written::deserialize(deserializer)? {
            Written::Number(seconds) => seconds,
            // A template renders to a text.
            Written::Text(text) => match text.trim().parse() {
                Ok(seconds) => seconds,
                Err(_) => return parse_duration(&text).map(Self).map_err(D::Error::custom),
            },
        };
        Duration::try_from_secs_f64(seconds)
            .map(Self)
            .map_err(|_| D::Error::custom(format!("{seconds} is not a length of time in seconds")))
    }
}

impl JsonSchema for Seconds {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Written::json_schema(generator)
    }
}
