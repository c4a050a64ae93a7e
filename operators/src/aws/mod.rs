//! AWS: sessions made from connections, and the operators, sensors and the secrets backend that use them. SDK types do
//! not leave this folder.

pub mod client;
pub mod client_settings;
pub mod connection;
pub mod credentials;
pub mod error;
mod glue_crawl;
pub mod glue_crawler;
pub mod glue_crawler_sensor;
pub mod glue_job;
mod glue_job_definition;
mod glue_job_log;
mod glue_job_run;
pub mod glue_job_sensor;
mod glue_job_start;
mod glue_tags;
pub mod http_client;
mod json_call;
mod no_credentials;
pub mod parameters;
pub mod partition;
pub mod python_regex;
pub mod redshift;
pub mod s3_address;
pub mod s3_bundle;
mod s3_file_metadata;
pub mod s3_key_sensor;
mod s3_look;
pub mod s3_wildcard;
pub mod secrets_manager;
pub mod session;
pub mod sns_notifier;
#[cfg(test)]
mod tests;
