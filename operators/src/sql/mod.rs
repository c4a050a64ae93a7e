//! Statements on users' databases: PostgreSQL, Amazon Redshift and SQLite files.

pub mod connect;
pub mod error;
pub mod execute_query;
pub mod literal;
pub mod rows;
pub mod session;
pub mod split;
pub mod watch;
