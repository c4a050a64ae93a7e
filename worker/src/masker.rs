//! Keeps the secrets of a task out of everything it writes and reports.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock};

use aho_corasick::{AhoCorasick, MatchKind};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use windrose_core::cause::Cause;
use windrose_core::connection::Connection;

/// What stands where a secret stood.
const MASK: &str = "***";

/// Shorter texts are too common to be masked everywhere (Airflow's limit).
const SHORTEST: usize = 5;

/// Parts of names whose values are secret (Airflow's list).
const SENSITIVE: [&str; 14] = [
    "access_key",
    "access_token",
    "api_key",
    "apikey",
    "authorization",
    "keyfile_dict",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "proxies",
    "secret",
    "service_account",
    "token",
];

/// The secrets of one attempt.
#[derive(Default)]
pub struct Masker {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    patterns: BTreeSet<String>,
    matcher: Option<AhoCorasick>,
}

impl Masker {
    /// Masks this text from here on, also percent-encoded, inside a JSON text and line by line. False if it is too
    /// short to be masked.
    pub fn add(&self, secret: &str) -> bool {
        let secret = secret.trim();
        if secret.len() < SHORTEST {
            return secret.is_empty();
        }
        let json = Value::from(secret).to_string();
        let mut forms = vec![
            secret.to_owned(),
            utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
            url_encoded(secret),
            json[1..json.len() - 1].to_owned(),
        ];
        // A private key is logged line by line.
        forms.extend(secret.lines().map(str::trim).filter(|line| line.len() >= SHORTEST).map(str::to_owned));
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.patterns.len();
        known.patterns.extend(forms);
        if known.patterns.len() > before {
            known.matcher = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&known.patterns).ok();
        }
        true
    }

    /// Masks what is secret in a connection. False if something is too short to be masked.
    pub fn add_connection(&self, connection: &Connection) -> bool {
        let password = connection.password.as_deref().is_none_or(|password| self.add(password));
        let extra = self.add_sensitive(None, &Value::Object(connection.extra_object()));
        password && extra
    }

    /// Masks a variable whose name says that it is secret, and what a JSON variable holds under such names.
    pub fn add_variable(&self, key: &str, value: &str) -> bool {
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        self.add_sensitive(Some(key), &value)
    }

    fn add_sensitive(&self, name: Option<&str>, value: &Value) -> bool {
        let secret = name.is_some_and(is_sensitive);
        match value {
            Value::String(text) if secret => self.add(text),
            Value::Number(number) if secret => self.add(&number.to_string()),
            // Each is added, whatever came of the one before.
            Value::Array(items) => items.iter().filter(|item| !self.add_sensitive(name, item)).count() == 0,
            Value::Object(fields) => fields.iter().fold(true, |all, (key, field)| {
                let name = if secret { name } else { Some(key.as_str()) };
                self.add_sensitive(name, field) && all
            }),
            _ => true,
        }
    }

    /// The text without secrets.
    #[must_use]
    pub fn mask<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        match &known.matcher {
            Some(matcher) if matcher.is_match(text) => {
                Cow::Owned(matcher.replace_all(text, &vec![MASK; matcher.patterns_len()]))
            }
            _ => Cow::Borrowed(text),
        }
    }

    /// The value with secrets masked in every text, keys included.
    #[must_use]
    pub fn mask_value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.mask(&text).into_owned()),
            Value::Array(items) => items.into_iter().map(|item| self.mask_value(item)).collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(key, field)| (self.mask(&key).into_owned(), self.mask_value(field)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
            other => other,
        }
    }

    /// The cause with secrets masked in every text.
    #[must_use]
    pub fn mask_cause(&self, cause: Cause) -> Cause {
        let Ok(Value::Object(fields)) = serde_json::to_value(&cause) else { return cause };
        let masked: serde_json::Map<String, Value> = fields
            .into_iter()
            // Keys and the kind are ours; a secret that happens to be called `failed` must not break them.
            .map(|(key, field)| if key == "kind" { (key, field) } else { (key, self.mask_value(field)) })
            .collect();
        serde_json::from_value(masked.into()).unwrap_or_else(|_| Cause::Internal {
            message: format!("a cause of kind '{}' could not be shown without its secrets", cause.kind()),
        })
    }
}

/// Whether a name says that its value is secret.
#[must_use]
pub fn is_sensitive(name: &str) -> bool {
    let name = name.to_lowercase();
    SENSITIVE.iter().any(|part| name.contains(part))
}

/// As in a query string, and as Python's `quote` leaves it: unreserved characters stay.
fn url_encoded(secret: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(secret, KEPT).to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(secret: &str) -> Masker {
        let masker = Masker::default();
        assert!(masker.add(secret));
        masker
    }

    #[test]
    fn a_secret_is_masked_wherever_it_stands() {
        assert_eq!(with("s3cr3t").mask("user:s3cr3t@host s3cr3t"), "user:***@host ***");
    }

    #[test]
    fn a_secret_is_masked_percent_encoded_too() {
        let masker = with("p@ss w/rd~1");
        assert_eq!(masker.mask("postgres://u:p%40ss%20w%2Frd%7E1@h"), "postgres://u:***@h");
        assert_eq!(masker.mask("postgres://u:p%40ss%20w%2Frd~1@h"), "postgres://u:***@h");
    }

    #[test]
    fn a_secret_is_masked_inside_json_text() {
        let masker = with("quo\"te\\d");
        assert_eq!(masker.mask(&json!({ "key": "quo\"te\\d" }).to_string()), r#"{"key":"***"}"#);
    }

    #[test]
    fn every_line_of_a_long_secret_is_masked() {
        let masker = with("-----BEGIN KEY-----\nabcdefgh\n-----END KEY-----");
        assert_eq!(masker.mask("line: abcdefgh"), "line: ***");
    }

    #[test]
    fn a_secret_that_holds_another_is_masked_whole() {
        let masker = with("token");
        masker.add("token-of-mine");
        assert_eq!(masker.mask("my token-of-mine"), "my ***");
    }

    #[test]
    fn a_short_text_is_not_masked_and_that_is_said() {
        let masker = Masker::default();
        assert!(!masker.add("abc"));
        assert_eq!(masker.mask("abc"), "abc");
    }

    #[test]
    fn the_sensitive_part_of_a_connection_is_masked() {
        let connection = Connection {
            password: Some("hunter22".to_owned()),
            extra: Some(
                json!({ "region_name": "eu-west-1", "session_kwargs": { "aws_session_token": "FQoGZX" } }).to_string(),
            ),
            ..Connection::default()
        };
        let masker = Masker::default();
        assert!(masker.add_connection(&connection));
        assert_eq!(masker.mask("hunter22 FQoGZX eu-west-1"), "*** *** eu-west-1");
    }

    #[test]
    fn variables_are_masked_by_their_names() {
        let masker = Masker::default();
        masker.add_variable("db_password", "hunter22");
        masker.add_variable("config", r#"{"api_key": "k-12345", "bucket": "public"}"#);
        masker.add_variable("bucket", "raw-data");
        assert_eq!(masker.mask("hunter22 k-12345 public raw-data"), "*** *** public raw-data");
    }

    #[test]
    fn causes_keep_their_kind_and_lose_their_secrets() {
        let masker = with("failed-password");
        masker.add("failed");
        let cause = masker.mask_cause(Cause::Failed { message: "login with failed-password failed".to_owned() });
        assert_eq!(cause, Cause::Failed { message: "login with *** ***".to_owned() });
    }
}
