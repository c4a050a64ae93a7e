//! Assets: what tasks produce and DAGs wait for, each named by a URI.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{AssetUri, DagId, RunId, TaskId};
use crate::run::DataInterval;
use crate::time::Timestamp;

/// The longest URI and the longest name of an alias, in characters, as in Airflow.
pub const MAX_NAME: usize = 1500;

/// What a DAG's schedule waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssetCondition {
    /// An event of this asset.
    Asset(AssetUri),
    /// An event that came through this alias, whatever its asset.
    Alias(String),
    /// All of them; never empty.
    All(Vec<Self>),
    /// At least one of them; never empty.
    Any(Vec<Self>),
}

impl AssetCondition {
    /// Whether it holds. `queued` says whether an asset's event waits; `of_alias` whether one of the assets that have come
    /// through an alias does.
    pub fn holds(&self, queued: &impl Fn(&AssetUri) -> bool, of_alias: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Asset(uri) => queued(uri),
            Self::Alias(alias) => of_alias(alias),
            Self::All(parts) => parts.iter().all(|part| part.holds(queued, of_alias)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(queued, of_alias)),
        }
    }

    /// What is missing until it holds; none if it does. The arguments are those of [`AssetCondition::holds`].
    pub fn missing(&self, queued: &impl Fn(&AssetUri) -> bool, of_alias: &impl Fn(&str) -> bool) -> Option<Self> {
        if self.holds(queued, of_alias) {
            return None;
        }
        let of_parts = |parts: &[Self]| parts.iter().filter_map(|part| part.missing(queued, of_alias)).collect();
        let mut parts: Vec<Self> = match self {
            Self::Asset(_) | Self::Alias(_) => return Some(self.clone()),
            Self::All(parts) | Self::Any(parts) => of_parts(parts),
        };
        match self {
            _ if parts.len() == 1 => parts.pop(),
            Self::All(_) => Some(Self::All(parts)),
            _ => Some(Self::Any(parts)),
        }
    }

    /// All assets and all aliases in it.
    #[must_use]
    pub fn names(&self) -> (BTreeSet<AssetUri>, BTreeSet<String>) {
        let (mut uris, mut aliases) = (BTreeSet::new(), BTreeSet::new());
        self.collect(&mut uris, &mut aliases);
        (uris, aliases)
    }

    fn collect(&self, uris: &mut BTreeSet<AssetUri>, aliases: &mut BTreeSet<String>) {
        match self {
            Self::Asset(uri) => {
                uris.insert(uri.clone());
            }
            Self::Alias(alias) => {
                aliases.insert(alias.clone());
            }
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.collect(uris, aliases)),
        }
    }
}

/// `s3://b/a and (s3://b/c or alias x)`.
impl fmt::Display for AssetCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parts, word) = match self {
            Self::Asset(uri) => return write!(f, "{uri}"),
            Self::Alias(alias) => return write!(f, "alias {alias}"),
            Self::All(parts) => (parts, " and "),
            Self::Any(parts) => (parts, " or "),
        };
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                f.write_str(word)?;
            }
            match part {
                Self::All(_) | Self::Any(_) => write!(f, "({part})")?,
                Self::Asset(_) | Self::Alias(_) => write!(f, "{part}")?,
            }
        }
        Ok(())
    }
}

/// What a task produces.
#[derive(Debug, Clone, PartialEq)]
pub enum Outlet {
    /// An asset: its success is an event of it.
    Asset {
        /// Which.
        uri: AssetUri,
        /// What the event carries; strings in it are templates.
        extra: Map<String, Value>,
    },
    /// An asset that is known only when the task runs, under a name that is known before (Airflow's `AssetAlias`).
    Alias {
        /// The name.
        alias: String,
        /// The asset, a template; without it only the task's code names assets.
        uri: Option<String>,
        /// What the event carries; strings in it are templates.
        extra: Map<String, Value>,
    },
}

/// What a task reads, for people and for `inlet_events`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inlet {
    /// An asset.
    Asset(AssetUri),
    /// Whatever has come through an alias.
    Alias(String),
}

/// What a successful attempt says of an asset: one event to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssetUpdate {
    /// The asset.
    pub uri: AssetUri,
    /// The aliases it came through.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// What the event carries.
    #[serde(default)]
    pub extra: Map<String, Value>,
}

/// The task instance an event comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssetSource {
    /// Its DAG.
    pub dag_id: DagId,
    /// Its run.
    pub run_id: RunId,
    /// The task.
    pub task_id: TaskId,
    /// −1 for a task that is not mapped.
    pub map_index: i32,
}

/// That an asset changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssetEvent {
    /// Unique; later events have greater ones.
    pub id: i64,
    /// The asset.
    pub uri: AssetUri,
    /// When. No two events of an installation have the same instant.
    pub at: Timestamp,
    /// The aliases it came through.
    pub aliases: Vec<String>,
    /// What it carries.
    pub extra: Map<String, Value>,
    /// Where it comes from; none if a person or another system sent it.
    pub source: Option<AssetSource>,
    /// The logical date of the run it comes from, while that run is kept.
    pub source_logical_date: Option<Timestamp>,
    /// The data interval of that run.
    pub source_data_interval: Option<DataInterval>,
}

/// Which events an asset-triggered run stands for: those of its DAG's assets and aliases within a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventWindow {
    /// The assets.
    pub uris: BTreeSet<AssetUri>,
    /// The aliases.
    pub aliases: BTreeSet<String>,
    /// Later than this.
    pub after: Option<Timestamp>,
    /// Not later than this.
    pub until: Timestamp,
}

impl EventWindow {
    /// Whether the run stands for this event.
    #[must_use]
    pub fn takes(&self, event: &AssetEvent) -> bool {
        event.at <= self.until
            && self.after.is_none_or(|after| event.at > after)
            && (self.uris.contains(&event.uri) || event.aliases.iter().any(|alias| self.aliases.contains(alias)))
    }
}

/// An asset's URI in the form in which URIs are compared: as in Airflow, the scheme is in lower case, a user and a password
/// are left out, the path does not end in a slash, the query is sorted and there is no fragment. What does not look like a
/// URI stays as it is.
///
/// # Errors
/// A sentence on why it cannot name an asset.
pub fn normalise(text: &str) -> Result<AssetUri, String> {
    check_name("an asset's URI", text)?;
    let Some((scheme, rest)) = text.split_once("://") else { return Ok(text.into()) };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let scheme = scheme.to_ascii_lowercase();
    if !is_scheme || scheme.starts_with("x-") {
        return Ok(text.into());
    }
    if scheme == "airflow" {
        return Err("the scheme 'airflow' is reserved; name the asset by another one".to_owned());
    }
    let rest = rest.split('#').next().unwrap_or_default();
    let (before, query) = rest.split_once('?').map_or((rest, None), |(before, query)| (before, Some(query)));
    let (authority, path) = before.find('/').map_or((before, ""), |at| before.split_at(at));
    let place = authority.rsplit('@').next().unwrap_or_default();
    let path = path.trim_end_matches('/');
    let path = if path.is_empty() { "/" } else { path };
    if matches!(scheme.as_str(), "s3" | "gs" | "gcs") && place.is_empty() {
        return Err(format!("'{text}' names no bucket; write {scheme}://bucket/key"));
    }
    let mut parts: Vec<&str> = query.into_iter().flat_map(|query| query.split('&')).filter(|p| !p.is_empty()).collect();
    parts.sort_unstable();
    let query = if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) };
    Ok(format!("{scheme}://{place}{path}{query}").into())
}

/// That a text can be the name of an asset or an alias.
///
/// # Errors
/// A sentence on why not.
pub fn check_name(what: &str, text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err(format!("{what} must not be empty"));
    }
    if text.chars().count() > MAX_NAME {
        return Err(format!("{what} has at most {MAX_NAME} characters"));
    }
    match text.chars().find(|c| !c.is_ascii() || c.is_control()) {
        Some(wrong) => Err(format!("{what} consists of printable ASCII characters; {wrong:?} is none")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_that_mean_the_same_become_the_same() {
        for (written, kept) in [
            ("A", "A"),
            ("a/b/", "a/b/"),
            ("S3://Bucket/key/", "s3://Bucket/key"),
            ("s3://bucket", "s3://bucket/"),
            ("postgres://me:secret@host:5432/db/schema/table", "postgres://host:5432/db/schema/table"),
            ("https://host/path?b=2&a=1#part", "https://host/path?a=1&b=2"),
            ("x-mine://A@b/c/", "x-mine://A@b/c/"),
        ] {
            assert_eq!(normalise(written).as_ref().map(AssetUri::as_str), Ok(kept), "{written}");
        }
    }

    #[test]
    fn what_cannot_name_an_asset_is_refused() {
        let long = "a".repeat(1501);
        for written in ["", " ", "airflow://x", "s3:///key", "é", "a\nb", long.as_str()] {
            assert!(normalise(written).is_err(), "{written:?}");
        }
    }
}
