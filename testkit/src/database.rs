//! A database of its own for each test.

use std::future::Future;
use std::sync::Arc;

use tempfile::TempDir;

use crate::postgres::{PostgresServer, TestkitError};

/// An empty database that nobody else uses. It is removed when dropped.
pub struct TestDatabase {
    url: String,
    kind: Kind,
}

enum Kind {
    Sqlite(TempDir),
    Postgres { server: Arc<PostgresServer>, name: String },
}

impl TestDatabase {
    /// A SQLite file that does not exist yet, in a folder of its own.
    ///
    /// # Panics
    /// If the folder for temporary files cannot be used.
    #[must_use]
    pub async fn sqlite() -> Self {
        let folder = tempfile::Builder::new().prefix("windrose-test-").tempdir();
        let folder = folder.unwrap_or_else(|error| panic!("cannot make a temporary folder: {error}"));
        Self { url: format!("sqlite:{}", folder.path().join("windrose.db").display()), kind: Kind::Sqlite(folder) }
    }

    /// An empty database on the PostgreSQL server that the tests of this machine share.
    ///
    /// # Panics
    /// With a sentence that says what to do, if PostgreSQL's programs are missing or the server does not start.
    pub async fn postgres() -> Self {
        sentence(Self::clone_of("template0").await)
    }

    /// The same with tables: `migrate` is given the URL of a template, once per test program, and must close its connections.
    ///
    /// # Panics
    /// As [`Self::postgres`], and if `migrate` fails.
    pub async fn postgres_migrated<F, E>(migrate: impl FnOnce(String) -> F) -> Self
    where
        F: Future<Output = Result<(), E>>,
        E: std::fmt::Display,
    {
        let server = sentence(PostgresServer::shared().await);
        let template = sentence(server.template(migrate).await);
        sentence(Self::clone_of(&template).await)
    }

    /// An empty database on this server.
    ///
    /// # Panics
    /// If it cannot be made.
    pub async fn on(server: Arc<PostgresServer>) -> Self {
        sentence(Self::made_on(server, "template0").await)
    }

    async fn clone_of(template: &str) -> Result<Self, TestkitError> {
        Self::made_on(PostgresServer::shared().await?, template).await
    }

    async fn made_on(server: Arc<PostgresServer>, template: &str) -> Result<Self, TestkitError> {
        let name = server.create_database(template).await?;
        Ok(Self { url: server.url(&name), kind: Kind::Postgres { server, name } })
    }

    /// Where it is: `sqlite:…` or `postgres://…`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The folder of a SQLite database.
    #[must_use]
    pub fn folder(&self) -> Option<&std::path::Path> {
        match &self.kind {
            Kind::Sqlite(folder) => Some(folder.path()),
            Kind::Postgres { .. } => None,
        }
    }

    /// Breaks all connections to a PostgreSQL database, as a restart of the server does. SQLite has none to break.
    ///
    /// # Panics
    /// If the server does not answer.
    pub async fn break_connections(&self) {
        if let Kind::Postgres { server, name } = &self.kind {
            sentence(server.break_connections(name).await);
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Kind::Postgres { server, name } = &self.kind {
            server.drop_database(name);
        }
    }
}

fn sentence<T>(result: Result<T, TestkitError>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}
