//! One file per table: its statements, its row, and the functions that run them.

pub(crate) mod approvals;
pub(crate) mod asset_events;
pub(crate) mod asset_references;
pub(crate) mod assets;
pub(crate) mod attempts;
pub(crate) mod audit;
pub(crate) mod backfills;
pub(crate) mod bundles;
pub(crate) mod checkpoints;
pub(crate) mod commands;
pub(crate) mod connections;
pub(crate) mod dag_versions;
pub(crate) mod dags;
pub(crate) mod event_log;
pub(crate) mod import_errors;
pub(crate) mod missed_deadlines;
pub(crate) mod notifications;
pub(crate) mod pools;
pub(crate) mod processes;
pub(crate) mod rendered_fields;
pub(crate) mod run_history;
pub(crate) mod run_list;
pub(crate) mod runs;
pub(crate) mod tasks;
pub(crate) mod variables;
pub(crate) mod xcoms;
