//! One server: its folder, its port, its databases.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use super::programs::Programs;
use super::{TestkitError, files};

/// The superuser, who needs no password.
const USER: &str = "windrose";

/// A PostgreSQL server that tests may do anything to.
#[derive(Debug)]
pub struct PostgresServer {
    pub(super) programs: Programs,
    pub(super) port: u16,
    /// Stopped and removed with this value; the shared server is the watchdog's to stop.
    private: Option<tempfile::TempDir>,
}

impl PostgresServer {
    /// A server for one test alone, stopped when dropped. With `durable` it waits for the disk as in production, else not.
    ///
    /// # Errors
    /// See [`TestkitError`].
    pub async fn private(durable: bool) -> Result<Arc<Self>, TestkitError> {
        let programs = Programs::find()?;
        let folder = tempfile::Builder::new().prefix("windrose-postgres-").tempdir();
        let folder = folder.map_err(files(&std::env::temp_dir()))?;
        programs.make_folder(folder.path())?;
        let port = start(&programs, folder.path(), durable)?;
        Ok(Arc::new(Self { programs, port, private: Some(folder) }))
    }

    pub(super) fn shared_at(programs: Programs, port: u16) -> Self {
        Self { programs, port, private: None }
    }

    /// The URL of one of its databases.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{database}", self.port)
    }

    pub(super) async fn connect(&self, database: &str) -> Result<PgConnection, TestkitError> {
        Ok(PgConnection::connect(&self.url(database)).await?)
    }

    /// Runs a statement as superuser in the database `postgres`.
    ///
    /// # Errors
    /// If the server refuses it.
    pub async fn administrate(&self, sql: &str) -> Result<(), TestkitError> {
        let mut connection = self.connect("postgres").await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    pub(crate) async fn create_database(&self, template: &str) -> Result<String, TestkitError> {
        let name = format!("test_{}", Uuid::new_v4().simple());
        self.administrate(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        Ok(name)
    }

    /// Without waiting for async code, as it is called from `Drop`.
    pub(crate) fn drop_database(&self, name: &str) {
        let port = self.port.to_string();
        let arguments = ["--host=127.0.0.1", "--port", &port, "--username", USER, "--force", "--if-exists", name];
        if let Err(error) = self.programs.run("dropdb", &arguments) {
            eprintln!("a test database stays until its server is stopped: {error}");
        }
    }

    pub(crate) async fn break_connections(&self, database: &str) -> Result<(), TestkitError> {
        self.administrate(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
        ))
        .await
    }

    /// Stops the server at once, as if it had been killed.
    ///
    /// # Errors
    /// If it is the shared one, or cannot be stopped.
    pub fn stop(&self) -> Result<(), TestkitError> {
        match &self.private {
            Some(folder) => stop(&self.programs, folder.path()),
            None => Err(TestkitError::Program { program: "pg_ctl".into(), output: "the server is shared".into() }),
        }
    }

    /// Speaks TLS from now on, with this certificate and its key in PEM form. The server is restarted.
    ///
    /// # Errors
    /// If it is the shared one, or does not start.
    pub fn switch_tls_on(&self, certificate: &str, key: &str) -> Result<(), TestkitError> {
        self.stop()?;
        if let Some(folder) = &self.private {
            let data = data(folder.path());
            self.programs.write_private(&data.join("server.crt"), certificate)?;
            self.programs.write_private(&data.join("server.key"), key)?;
            let settings_file = data.join("postgresql.conf");
            let settings = std::fs::read_to_string(&settings_file).map_err(files(&settings_file))?;
            std::fs::write(&settings_file, settings + "ssl = on\n").map_err(files(&settings_file))?;
        }
        self.start_again()
    }

    /// Starts a stopped server again, on the same port.
    ///
    /// # Errors
    /// If it is the shared one, or does not start.
    pub fn start_again(&self) -> Result<(), TestkitError> {
        match &self.private {
            Some(folder) => control(&self.programs, folder.path(), "start", &[]),
            None => Err(TestkitError::Program { program: "pg_ctl".into(), output: "the server is shared".into() }),
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(folder) = &self.private {
            // It may have been stopped by the test.
            let _ = stop(&self.programs, folder.path());
        }
    }
}

pub(super) fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// Makes a server in this folder and starts it; returns its port.
pub(super) fn start(programs: &Programs, folder: &Path, durable: bool) -> Result<u16, TestkitError> {
    let data = data(folder);
    let data_text = data.display().to_string();
    let mut arguments = vec!["--pgdata", &data_text, "--username", USER, "--encoding=UTF8", "--auth=trust"];
    arguments.extend((!durable).then_some("--no-sync"));
    programs.run("initdb", &arguments)?;
    // A role whose name is `guarded` needs its password, for tests of wrong ones.
    // One whose name is `sealed` needs TLS.
    let access = "host all guarded all scram-sha-256\nhostssl all sealed all trust\nhost all sealed all reject\n\
                  host all all all trust\nlocal all all trust\n";
    let access_file = data.join("pg_hba.conf");
    std::fs::write(&access_file, access).map_err(files(&access_file))?;
    let port = free_port(folder)?;
    let (fsync, synchronous_commit) = if durable { ("on", "on") } else { ("off", "off") };
    let settings = format!(
        "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\nmax_connections = 400\n\
         shared_buffers = 64MB\nfsync = {fsync}\nsynchronous_commit = {synchronous_commit}\n\
         full_page_writes = {fsync}\nautovacuum = off\nlog_min_messages = fatal\n",
        folder.display()
    );
    let settings_file = data.join("postgresql.conf");
    std::fs::write(&settings_file, settings).map_err(files(&settings_file))?;
    control(programs, folder, "start", &[])?;
    Ok(port)
}

pub(super) fn stop(programs: &Programs, folder: &Path) -> Result<(), TestkitError> {
    control(programs, folder, "stop", &["--mode=immediate"])
}

fn control(programs: &Programs, folder: &Path, what: &str, more: &[&str]) -> Result<(), TestkitError> {
    let data = data(folder).display().to_string();
    // The server's own output must not go to ours: a test runner waits until all who hold it are gone.
    let log = folder.join("log").display().to_string();
    let mut arguments = vec![what, "--pgdata", &data, "--log", &log, "--silent", "--wait"];
    arguments.extend(more);
    programs.run("pg_ctl", &arguments)
}

fn free_port(folder: &Path) -> Result<u16, TestkitError> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(files(folder))?;
    Ok(listener.local_addr().map_err(files(folder))?.port())
}
