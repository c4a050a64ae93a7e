//! What people ask of a run: one file per command.

mod clear;
mod mark_run;
mod mark_task;
mod new_version;
mod select;
