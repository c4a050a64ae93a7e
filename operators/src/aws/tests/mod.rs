//! The operators against an AWS that is played by moto or scripted, seen through a recorder of all calls.

mod endpoint;
mod glue_crawler;
mod glue_job;
mod glue_job_sensor;
mod s3_bundle;
mod s3_check_fn;
mod s3_key_sensor;
mod s3_vectors;
mod secrets_manager;
mod session;
mod vector_file;
