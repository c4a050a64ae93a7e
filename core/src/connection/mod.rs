//! Connections: Airflow's fields, URI form and JSON form.

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

impl Connection {
    /// `extra` as an object; empty if there is none or it is not one.
    #[must_use]
    pub fn extra_object(&self) -> Map<String, Value> {
        self.extra.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
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
