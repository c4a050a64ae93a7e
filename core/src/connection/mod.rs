//! Connections: Airflow's fields, URI form and JSON form, and the texts that secrets backends hold.
//!
//! Reading is done in one of two ways, because Airflow has two classes that differ in small things: [`Reading::Task`] is
//! what tasks see, [`Reading::Server`] what the API server and the metadata database see.

mod error;
mod json_form;
mod secret_text;
mod split_url;
mod uri_form;

pub use error::ConnectionError;
pub use secret_text::{ReadSecret, SecretNaming, connection_from_secret, normalized_secret};

use serde_json::{Map, Value};

/// A connection, as tasks see it. It holds secrets: it has no `Debug` that prints them.
#[derive(Clone, Default, PartialEq)]
pub struct Connection {
    /// The id it was looked up under.
    pub conn_id: String,
    /// `aws`, `redshift`, `postgres`, ….
    pub conn_type: String,
    /// For people.
    pub description: Option<String>,
    /// Host name or address.
    pub host: Option<String>,
    /// User.
    pub login: Option<String>,
    /// Password.
    pub password: Option<String>,
    /// Airflow's word for the database.
    pub schema: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// Everything else, as the text that is stored.
    pub extra: Option<String>,
}

/// Which of Airflow's two classes reads a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reading {
    /// The task's: values of a URI's query stay texts, and `extra` may be any text.
    #[default]
    Task,
    /// The server's: values of a URI's query are read as JSON where they can be, `extra` must be a JSON object, and an
    /// empty password is none.
    Server,
}

impl Connection {
    /// Reads a URI: `type://login:password@host:port/schema?key=value`.
    ///
    /// # Errors
    /// If it is not a URI Airflow can read. The error does not hold the text.
    pub fn from_uri(conn_id: &str, uri: &str, reading: Reading) -> Result<Self, ConnectionError> {
        uri_form::parse(conn_id, uri, reading)
    }

    /// Reads a JSON object with Airflow's field names; `{"uri": "…"}` is possible, too.
    ///
    /// # Errors
    /// If it is not such an object. The error does not hold the text.
    pub fn from_json(conn_id: &str, json: &str, reading: Reading) -> Result<Self, ConnectionError> {
        json_form::parse(conn_id, json, reading)
    }

    /// Reads either form, as `AIRFLOW_CONN_…` variables hold them: a text that begins with `{` is JSON.
    ///
    /// # Errors
    /// See [`Self::from_uri`] and [`Self::from_json`].
    pub fn from_text(conn_id: &str, text: &str, reading: Reading) -> Result<Self, ConnectionError> {
        if text.trim_start().starts_with('{') {
            Self::from_json(conn_id, text, reading)
        } else {
            Self::from_uri(conn_id, text.trim(), reading)
        }
    }

    /// Checks and normalises what was made of single fields: an empty password.
    ///
    /// # Errors
    /// If the fields cannot be a connection.
    pub fn normalized(mut self, reading: Reading) -> Result<Self, ConnectionError> {
        if reading == Reading::Server {
            self.password = self.password.filter(|password| !password.is_empty());
            json_form::check_extra(&self)?;
        }
        Ok(self)
    }

    /// Airflow's `get_uri`. It holds the secrets.
    #[must_use]
    pub fn to_uri(&self) -> String {
        uri_form::write(self)
    }

    /// Airflow's `as_json`, without the id. It holds the secrets.
    #[must_use]
    pub fn to_json(&self) -> String {
        json_form::write(self)
    }

    /// `extra` as JSON; an empty object if there is none or it is not JSON. Airflow's `extra_dejson`.
    #[must_use]
    pub fn extra_json(&self) -> Value {
        let extra = self.extra.as_deref().filter(|text| !text.is_empty());
        extra.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| Value::Object(Map::new()))
    }

    /// `extra` as an object; empty if there is none or it is not one.
    #[must_use]
    pub fn extra_object(&self) -> Map<String, Value> {
        match self.extra_json() {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }
}

/// In URIs and JSON `postgresql` is `postgres`, and `-` is `_`.
fn normalized_type(conn_type: &str) -> String {
    if conn_type == "postgresql" { "postgres".to_owned() } else { conn_type.replace('-', "_") }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("conn_id", &self.conn_id)
            .field("conn_type", &self.conn_type)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}
