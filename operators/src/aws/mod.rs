//! AWS: sessions made from connections, and the operators, sensors and the secrets backend that use them. SDK types do
//! not leave this folder.

pub mod client;
pub mod client_settings;
pub mod connection;
pub mod credentials;
pub mod error;
pub mod http_client;
pub mod parameters;
pub mod partition;
pub mod python_regex;
pub mod s3_address;
pub mod s3_key_sensor;
pub mod s3_wildcard;
pub mod session;
#[cfg(test)]
mod tests;
