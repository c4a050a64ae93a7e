//! Stores of secrets that connections and variables may come from.

use async_trait::async_trait;
use windrose_core::connection::Connection;

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
