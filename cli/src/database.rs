//! Opening the metadata database as the configuration says.

use anyhow::{Context as _, Result};
use windrose_store::{EncryptionKey, Store};

use crate::config::Config;

/// The keys with which secrets are sealed: from the configuration, or from a file that is made at the first start.
pub(crate) fn keys(config: &Config) -> Result<EncryptionKey> {
    if let Some(text) = &config.encryption_key {
        return Ok(EncryptionKey::from_base64(text)?);
    }
    make_data_folder(config)?;
    Ok(EncryptionKey::load_or_create(&config.data.join("key"))?)
}

/// Opens the database and brings its schema up to date.
pub(crate) async fn open(config: &Config) -> Result<Store> {
    make_data_folder(config)?;
    Ok(Store::open(&config.database_url(), keys(config)?).await?)
}

fn make_data_folder(config: &Config) -> Result<()> {
    std::fs::create_dir_all(&config.data).with_context(|| {
        format!("the data folder {} cannot be made; name another one with --data", config.data.display())
    })
}
