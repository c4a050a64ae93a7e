//! What tests of all crates share: real databases, each test with its own.
//!
//! A test that needs something the machine does not have fails with a sentence; it is never skipped.

mod database;
mod git;
mod http;
pub mod lab;
mod postgres;
pub mod process;
mod slow_bucket;

pub use database::TestDatabase;
pub use git::GitWorkshop;
pub use http::http_client;
pub use postgres::{PostgresServer, TestkitError};
pub use slow_bucket::SlowBucket;
