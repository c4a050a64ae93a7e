//! What secrets backends hold: under which name a connection or variable is kept, and how the text is read.
//!
//! A text that begins with `{` is JSON whose keys are looked for under several names, in the order of the JSON itself;
//! any other text is a URI. Values are taken as they are, never URL-decoded.

use indexmap::IndexMap;
use regex::Regex;
use serde_json::{Map, Value};

use super::json_form::{not_json, of_map, shape};
use super::{Connection, ConnectionError, Reading};
use crate::python_json::dumps;

/// How ids become names of secrets.
#[derive(Debug, Clone)]
pub struct SecretNaming {
    prefix: Option<String>,
    separator: String,
    pattern: Option<Regex>,
}

impl SecretNaming {
    /// From a backend's options: `connections_prefix`, `sep` and `connections_lookup_pattern`, or those for variables.
    /// A prefix of `None` switches this kind of secret off; an empty one makes the id the whole name.
    ///
    /// # Errors
    /// If the pattern is not a regular expression.
    pub fn new(prefix: Option<&str>, separator: &str, pattern: Option<&str>) -> Result<Self, ConnectionError> {
        let prefix = prefix.map(|prefix| match separator {
            "" => prefix.to_owned(),
            separator => prefix.trim_end_matches(separator).to_owned(),
        });
        let compiled = pattern.filter(|pattern| !pattern.is_empty()).map(|pattern| {
            // Python's `re.match`: anchored at the start, here without regard to case.
            Regex::new(&format!("^(?i:{pattern})")).map_err(|error| ConnectionError::Pattern {
                pattern: pattern.to_owned(),
                reason: error.to_string().lines().last().unwrap_or_default().to_owned(),
            })
        });
        Ok(Self { prefix, separator: separator.to_owned(), pattern: compiled.transpose()? })
    }

    /// The secret's name; `None` if this id is not to be looked up here at all.
    #[must_use]
    pub fn secret_name(&self, id: &str) -> Option<String> {
        let prefix = self.prefix.as_deref()?;
        if self.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(id)) {
            return None;
        }
        Some(if prefix.is_empty() { id.to_owned() } else { format!("{prefix}{}{id}", self.separator) })
    }
}

/// A connection read from a secret, and what a person may want to know about that.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadSecret {
    /// The connection.
    pub connection: Connection,
    /// Keys of the JSON that mean nothing to Airflow and were left out.
    pub dropped: Vec<String>,
    /// The key that was taken for the schema although Airflow would not: `dbname` or `dbName`.
    pub schema_from: Option<String>,
}

/// Words for each field, in the order in which Airflow writes the fields.
const WORDS: [(&str, &[&str]); 7] = [
    ("login", &["login", "user", "username", "user_name"]),
    ("password", &["password", "pass", "key"]),
    ("host", &["host", "remote_host", "server"]),
    ("port", &["port"]),
    ("schema", &["database", "schema"]),
    ("conn_type", &["conn_type", "conn_id", "connection_type", "engine"]),
    ("extra", &["extra"]),
];

/// What AWS itself calls the database in the secrets it manages. Airflow drops it, and so loses the database.
const SCHEMA_WORDS: [&str; 2] = ["dbname", "dbName"];

struct Normalized {
    fields: Map<String, Value>,
    dropped: Vec<String>,
    schema_from: Option<String>,
}

fn is_json(text: &str) -> bool {
    text.trim().starts_with('{')
}

fn normalize(
    conn_id: &str,
    text: &str,
    extra_words: &IndexMap<String, Vec<String>>,
) -> Result<Normalized, ConnectionError> {
    let secret: Value = serde_json::from_str(text.trim()).map_err(|error| not_json(conn_id, &error))?;
    let Value::Object(secret) = secret else { return Err(shape(conn_id, "not an object".to_owned())) };
    let mut fields = Map::new();
    let mut understood: Vec<&str> = Vec::new();
    for (field, words) in WORDS {
        let more: Vec<&String> =
            extra_words.iter().filter(|(name, _)| canonical(name) == field).flat_map(|(_, words)| words).collect();
        let is_word = |key: &str| words.contains(&key) || more.iter().any(|word| *word == key);
        understood.extend(secret.keys().map(String::as_str).filter(|key| is_word(key)));
        let value = secret.iter().find(|(key, _)| is_word(key)).map(|(_, value)| value.clone());
        fields.insert(field.to_owned(), value.unwrap_or_default());
    }
    let mut schema_from = None;
    if fields["schema"].is_null()
        && let Some((key, value)) = secret.iter().find(|(key, _)| SCHEMA_WORDS.contains(&key.as_str()))
    {
        fields["schema"] = value.clone();
        understood.push(key);
        schema_from = Some(key.clone());
    }
    let dropped = secret.keys().filter(|key| !understood.contains(&key.as_str())).cloned().collect();
    Ok(Normalized { fields, dropped, schema_from })
}

/// `extra_conn_words` calls the login "user".
fn canonical(field: &str) -> &str {
    if field == "user" { "login" } else { field }
}

/// The text with Airflow's own field names, as Airflow's `get_conn_value` returns it. A URI stays as it is.
///
/// # Errors
/// If the text begins like JSON but is not an object. The error does not hold the text.
pub fn normalized_secret(
    conn_id: &str,
    text: &str,
    extra_words: &IndexMap<String, Vec<String>>,
) -> Result<String, ConnectionError> {
    if !is_json(text) {
        return Ok(text.to_owned());
    }
    Ok(dumps(&Value::Object(normalize(conn_id, text, extra_words)?.fields)))
}

/// Reads a connection from a secret's text. `extra_words` is the backend's `extra_conn_words`: more names for fields.
///
/// # Errors
/// If the text is neither a connection's JSON nor a URI. The error does not hold the text.
pub fn connection_from_secret(
    conn_id: &str,
    text: &str,
    extra_words: &IndexMap<String, Vec<String>>,
) -> Result<ReadSecret, ConnectionError> {
    if text.trim().is_empty() {
        return Err(shape(conn_id, "the secret is empty".to_owned()));
    }
    if !is_json(text) {
        let connection = Connection::from_uri(conn_id, text, Reading::Task)?;
        return Ok(ReadSecret { connection, dropped: Vec::new(), schema_from: None });
    }
    let Normalized { fields, dropped, schema_from } = normalize(conn_id, text, extra_words)?;
    let connection = of_map(conn_id, &fields, Reading::Task)?;
    Ok(ReadSecret { connection, dropped, schema_from })
}
