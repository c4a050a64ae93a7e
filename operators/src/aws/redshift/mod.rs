//! Amazon Redshift: statements by the Data API, `UNLOAD` and `COPY`, and logins by IAM.

mod copy_statement;
pub mod data;
mod data_api;
mod data_kwargs;
mod data_result;
mod data_statement;
pub mod from_s3;
pub mod iam_login;
mod load_error;
mod masked_sql;
pub mod to_s3;
mod transfer;
mod transfer_credentials;
mod transfer_data;
mod transfer_error;
mod transfer_wire;
mod unload_statement;
mod unloaded_objects;

#[cfg(test)]
mod tests;
