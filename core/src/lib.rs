//! What is true of a workflow without any I/O: the DAG model and its TOML form, states and their transitions, trigger
//! rules, timetables, templates, connection URIs and retry arithmetic.
//!
//! Nothing here reads a clock, draws a random number or touches a file: time and randomness are arguments.

pub mod approval;
pub mod asset;
pub mod attempt;
pub mod backfill;
pub mod catalog;
pub mod cause;
pub mod claim;
pub mod connection;
pub mod dag;
pub mod dag_file;
pub mod dag_version;
pub mod deadline;
pub mod ids;
pub mod jitter;
pub mod log_line;
pub mod mapping;
pub mod notify;
pub mod outcome;
pub mod params;
pub mod poke_interval;
pub mod priority_weight;
pub mod python_json;
pub mod python_text;
pub mod retry;
pub mod run;
pub mod run_state;
pub mod sensor_run;
pub mod sensor_settings;
pub mod sql_cause;
pub mod task_instance;
pub mod task_state;
pub mod template;
pub mod time;
pub mod timetable;
pub mod trigger_rule;
