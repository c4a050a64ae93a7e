//! A PostgreSQL server for tests: found on the machine, started in a temporary folder, shared by all test processes.
//!
//! A test process that uses the shared server holds a shared lock on the file `users` for as long as it lives. A watchdog
//! process stops the server and removes its folder when nobody holds that lock any more, so nothing stays behind after a
//! test process was killed. Whoever finds the server or the watchdog dead starts them again.

mod programs;
mod server;
mod shared;

use std::path::PathBuf;

pub use server::PostgresServer;

/// Why there is no PostgreSQL for a test.
#[derive(Debug, thiserror::Error)]
pub enum TestkitError {
    /// It is not installed.
    #[error(
        "this test needs PostgreSQL, and neither /usr/lib/postgresql/*/bin nor PATH has its program '{program}'. \
         Install it: apt-get install postgresql"
    )]
    Missing {
        /// The program that was looked for.
        program: &'static str,
    },
    /// PostgreSQL refuses to run as root, and there is no other user to run it as.
    #[error("PostgreSQL does not run as root, and there is neither a user 'postgres' nor 'nobody'. Make one of them")]
    NoUser,
    /// A program of PostgreSQL failed.
    #[error("'{program}' failed: {output}")]
    Program {
        /// The program.
        program: String,
        /// What it said.
        output: String,
    },
    /// A file or folder cannot be used.
    #[error("{}: {source}. Check the folder for temporary files", path.display())]
    Files {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The server runs but refuses something.
    #[error("the test server refuses: {0}")]
    Server(#[from] sqlx::Error),
    /// The caller's migrations failed.
    #[error("the migrations of the template database failed: {0}")]
    Migration(String),
}

pub(crate) fn files(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> TestkitError + '_ {
    |source| TestkitError::Files { path: path.to_owned(), source }
}
