//! Operators: what tasks do. The only crate that names an AWS SDK; sqlx here is for users' databases.
//!
//! An operator is one file and one line in [`registry`]. It is an [`operator::Operator`], a [`sensor::Sensor`] or a
//! [`remote_job::RemoteJob`]; the waiting around the last two is written once, in their modules.

pub mod approvals;
pub mod aws;
pub mod catalog;
pub mod context;
pub mod dag_files;
pub mod dags;
mod editor_schema;
pub mod error;
pub mod human;
pub mod local;
pub mod named_files;
pub mod notifiers;
pub mod operator;
pub mod other_dags;
pub mod poll_patience;
pub mod process;
pub mod python;
pub mod registry;
pub mod remote_job;
pub mod seconds;
pub mod secrets;
pub mod sensor;
pub mod sql;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(any(test, feature = "testing"))]
pub mod testing_approvals;
