//! Why a text is not a connection. No error holds the text: it is a secret.

/// Why a text is not a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// The URI cannot be split into its parts.
    #[error(
        "connection '{conn_id}' is not a valid URI: {reason}; write it as type://login:password@host:port/schema?key=value with \
         special characters percent-encoded, or as JSON"
    )]
    Uri {
        /// The connection.
        conn_id: String,
        /// What is wrong, without the text.
        reason: &'static str,
    },
    /// The text begins like JSON but is not.
    #[error(
        "connection '{conn_id}' is not valid JSON (line {line}, column {column}); correct the text where it is stored"
    )]
    Json {
        /// The connection.
        conn_id: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// The JSON is not what a connection's JSON looks like.
    #[error("connection '{conn_id}' is JSON, but {reason}; correct the text where it is stored")]
    Shape {
        /// The connection.
        conn_id: String,
        /// What is wrong, without values.
        reason: String,
    },
    /// `extra` is not a JSON object.
    #[error("the extra of connection '{conn_id}' must be a JSON object, like {{\"region_name\": \"eu-west-1\"}}")]
    Extra {
        /// The connection.
        conn_id: String,
    },
    /// A lookup pattern of a secrets backend is not a regular expression.
    #[error("'{pattern}' is not a lookup pattern: a regular expression is expected ({reason})")]
    Pattern {
        /// As it is configured.
        pattern: String,
        /// Where and why.
        reason: String,
    },
}
