//! Where connections and variables come from: the configured backends in their order, then the environment, then the
//! metadata database. The first that has it wins (Airflow's order).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use windrose_core::cause::Cause;
use windrose_core::connection::{Connection, Reading};
use windrose_operators::secrets::SecretsBackend;

use crate::port::WorkerPort;

/// How the environment is read; tests bring their own.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Each source that was asked, with its answer.
pub type Asked = Vec<(String, String)>;

/// The prefixes of environment variables, our own first.
const PREFIXES: [&str; 2] = ["WINDROSE", "AIRFLOW"];

/// How many values of each kind are kept.
const CACHED: u64 = 10_000;

/// Looks up connections and variables. What was found is kept for a while, and asked for only once by any number of
/// tasks at a time; what was not found is asked for again.
pub struct SecretLookup {
    backends: Vec<Arc<dyn SecretsBackend>>,
    environment: Environment,
    port: Arc<dyn WorkerPort>,
    connections: Cache<String, Connection>,
    variables: Cache<String, String>,
}

/// No source has it.
#[derive(Debug, Clone)]
pub struct NotFound {
    /// Each source with its answer.
    pub asked: Asked,
    /// True if a source could not be asked or understood, so that it may be there all the same.
    pub unsure: bool,
}

impl NotFound {
    /// The cause of a failed attempt for want of this connection.
    #[must_use]
    pub fn connection_cause(&self, conn_id: &str) -> Cause {
        Cause::Connection {
            id: conn_id.to_owned(),
            message: format!(
                "The conn_id `{conn_id}` isn't defined. Add it with `windrose connections set {conn_id} URI`, as \
                 environment variable {}, or to a secrets backend.",
                variable_name("WINDROSE", "CONN", conn_id)
            ),
            asked: self.asked.clone(),
        }
    }

    /// The cause of a failed attempt because sources of this variable could not be asked.
    #[must_use]
    pub fn variable_cause(&self, key: &str) -> Cause {
        Cause::Connection {
            id: key.to_owned(),
            message: format!("The variable `{key}` could not be looked up everywhere."),
            asked: self.asked.clone(),
        }
    }
}

impl fmt::Debug for SecretLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backends: Vec<_> = self.backends.iter().map(|backend| backend.name()).collect();
        f.debug_struct("SecretLookup").field("backends", &backends).finish_non_exhaustive()
    }
}

impl SecretLookup {
    /// A lookup whose findings are kept for `ttl`; zero keeps nothing.
    #[must_use]
    pub fn new(
        backends: Vec<Arc<dyn SecretsBackend>>,
        environment: Environment,
        port: Arc<dyn WorkerPort>,
        ttl: Duration,
    ) -> Self {
        fn cache<V: Clone + Send + Sync + 'static>(ttl: Duration) -> Cache<String, V> {
            Cache::builder().max_capacity(CACHED).time_to_live(ttl).build()
        }
        Self { backends, environment, port, connections: cache(ttl), variables: cache(ttl) }
    }

    /// A connection.
    ///
    /// # Errors
    /// [`NotFound`], with each source's answer.
    pub async fn connection(&self, conn_id: &str) -> Result<Connection, Arc<NotFound>> {
        self.connections.try_get_with_by_ref(conn_id, self.find_connection(conn_id)).await
    }

    /// A variable.
    ///
    /// # Errors
    /// [`NotFound`], with each source's answer.
    pub async fn variable(&self, key: &str) -> Result<String, Arc<NotFound>> {
        self.variables.try_get_with_by_ref(key, self.find_variable(key)).await
    }

    async fn find_connection(&self, conn_id: &str) -> Result<Connection, NotFound> {
        let mut asked = Answers::default();
        for backend in &self.backends {
            if let Some(found) = asked.note(backend.name(), backend.connection(conn_id).await) {
                return Ok(Connection { conn_id: conn_id.to_owned(), ..found });
            }
        }
        for prefix in PREFIXES {
            let name = variable_name(prefix, "CONN", conn_id);
            let parsed = (self.environment)(&name).map(|text| Connection::from_text(conn_id, &text, Reading::Task));
            let parsed = parsed.transpose().map_err(|error| error.to_string());
            if let Some(found) = asked.note(&format!("environment variable {name}"), parsed) {
                return Ok(found);
            }
        }
        let stored = self.port.stored_connection(conn_id).await.map_err(|error| error.to_string());
        asked.note("metadata database", stored).ok_or_else(|| asked.not_found())
    }

    async fn find_variable(&self, key: &str) -> Result<String, NotFound> {
        let mut asked = Answers::default();
        for backend in &self.backends {
            if let Some(found) = asked.note(backend.name(), backend.variable(key).await) {
                return Ok(found);
            }
        }
        for prefix in PREFIXES {
            let name = variable_name(prefix, "VAR", key);
            if let Some(found) = asked.note(&format!("environment variable {name}"), Ok((self.environment)(&name))) {
                return Ok(found);
            }
        }
        let stored = self.port.stored_variable(key).await.map_err(|error| error.to_string());
        asked.note("metadata database", stored).ok_or_else(|| asked.not_found())
    }
}

#[derive(Default)]
struct Answers {
    asked: Asked,
    unsure: bool,
}

impl Answers {
    /// An error is an answer too: the next source is asked (Airflow's rule), but it is not hidden.
    fn note<T>(&mut self, source: &str, answer: Result<Option<T>, String>) -> Option<T> {
        let words = match answer {
            Ok(Some(found)) => return Some(found),
            Ok(None) => "not there".to_owned(),
            Err(error) => {
                self.unsure = true;
                error
            }
        };
        self.asked.push((source.to_owned(), words));
        None
    }

    fn not_found(self) -> NotFound {
        NotFound { asked: self.asked, unsure: self.unsure }
    }
}

fn variable_name(prefix: &str, kind: &str, id: &str) -> String {
    format!("{prefix}_{kind}_{}", id.to_uppercase())
}
