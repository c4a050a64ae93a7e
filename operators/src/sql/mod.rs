//! Statements on users' databases: PostgreSQL, Amazon Redshift and SQLite files.

pub mod connect;
pub mod error;
pub mod execute_query;
mod handler;
pub mod hook_params;
pub mod literal;
pub mod patience;
pub mod rows;
pub mod session;
pub mod split;
pub mod watch;
