//! Stores of secrets that connections and variables may come from.

use async_trait::async_trait;
use serde_json::{Map, Value};
use windrose_core::connection::Connection;

use crate::aws::secrets_manager::SecretsManagerBackend;

/// A store of secrets outside Windrose. Asked before the environment and the metadata database, in the configured
/// order.
#[async_trait]
pub trait SecretsBackend: Send + Sync {
    /// What people call it: `AWS Secrets Manager`.
    fn name(&self) -> &str;

    /// A connection; `None` if the store does not have it.
    ///
    /// # Errors
    /// A sentence on why the store could not be asked or understood, without the secret's text.
    async fn connection(&self, conn_id: &str) -> Result<Option<Connection>, String>;

    /// A variable; `None` if the store does not have it.
    ///
    /// # Errors
    /// As for [`SecretsBackend::connection`].
    async fn variable(&self, key: &str) -> Result<Option<String>, String>;
}

/// A backend by its kind: `aws_secrets_manager` or the name of Airflow's class, with the options of Airflow's
/// `backend_kwargs`.
///
/// # Errors
/// A sentence: there is no such backend, or an option is wrong.
pub fn backend_from_config(kind: &str, options: Map<String, Value>) -> Result<Box<dyn SecretsBackend>, String> {
    match kind.rsplit('.').next().unwrap_or_default() {
        "aws_secrets_manager" | "SecretsManagerBackend" => Ok(Box::new(SecretsManagerBackend::new(options)?)),
        "aws_parameter_store" | "SystemsManagerParameterStoreBackend" => {
            Err("the secrets backend for AWS Systems Manager's Parameter Store is not supported yet".to_owned())
        }
        _ => Err(format!("there is no secrets backend '{kind}'; there is aws_secrets_manager")),
    }
}
