//! Secrets at rest: XChaCha20-Poly1305 under a key from the configuration.
//!
//! A sealed text is `v1:<key id>:<base64 of nonce and ciphertext>`. It is bound to the row and column it was made for, so
//! it cannot be moved to another one. The key id lets several keys live side by side: the first seals, all open.

use std::fmt;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use sha2::{Digest, Sha256};

use crate::error::StoreError;

const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;

/// The keys that seal secrets in the metadata database. Cheap to clone; never printed.
#[derive(Clone)]
pub struct EncryptionKey {
    keys: Arc<[Key]>,
}

struct Key {
    id: String,
    cipher: XChaCha20Poly1305,
}

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

impl EncryptionKey {
    /// One or more keys of 32 bytes in base64 (standard or URL-safe), separated by commas. The first seals.
    ///
    /// # Errors
    /// [`StoreError::BadKey`] if there is no key, or one is not 32 bytes of base64.
    pub fn from_base64(text: &str) -> Result<Self, StoreError> {
        let keys = text.split(',').map(|one| one.trim()).filter(|one| !one.is_empty()).map(Key::from_base64);
        let keys: Vec<Key> = keys.collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(bad("no key was given; 32 random bytes in base64 are expected"));
        }
        Ok(Self { keys: keys.into() })
    }

    /// Reads the keys from a file, and makes the file with a new key if there is none.
    ///
    /// # Errors
    /// [`StoreError::BadKey`] if others may read the file, or it cannot be read, written or understood.
    pub fn load_or_create(path: &Path) -> Result<Self, StoreError> {
        match create(path) {
            Ok(key) => return Self::from_base64(&key),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(bad(format!("cannot make the key file {}: {error}", path.display()))),
        }
        let unreadable = |error| bad(format!("cannot read the key file {}: {error}", path.display()));
        let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(bad(format!(
                "others may read the key file {path} (mode {mode:03o}). Run: chmod 600 '{path}'",
                path = path.display(),
                mode = mode & 0o777,
            )));
        }
        Self::from_base64(&std::fs::read_to_string(path).map_err(unreadable)?)
    }

    /// Seals a text for the place that `context` names.
    pub(crate) fn seal(&self, context: &str, plain: &str) -> Result<String, StoreError> {
        let key = &self.keys[0];
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: plain.as_bytes(), aad: context.as_bytes() };
        let sealed = key.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| bad("the value is too long"))?;
        Ok(format!("v1:{}:{}", key.id, STANDARD.encode([nonce.as_slice(), &sealed].concat())))
    }

    /// Opens what [`Self::seal`] made for the same place.
    pub(crate) fn open(&self, context: &str, sealed: &str) -> Result<String, StoreError> {
        let damaged = || StoreError::corrupt(format!("the secret of {context} is not in the form it was sealed in"));
        let (id, body) = sealed.strip_prefix("v1:").and_then(|rest| rest.split_once(':')).ok_or_else(damaged)?;
        let key = self.keys.iter().find(|key| key.id == id).ok_or_else(|| {
            bad(format!(
                "the secret of {context} was sealed with the key {id}, which is not configured. Add that key after the \
                 present one, or set the secret again"
            ))
        })?;
        let body = STANDARD.decode(body).map_err(|_| damaged())?;
        let (nonce, ciphertext) = body.split_first_chunk::<NONCE_BYTES>().ok_or_else(damaged)?;
        let payload = Payload { msg: ciphertext, aad: context.as_bytes() };
        let plain = key.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| damaged())?;
        String::from_utf8(plain).map_err(|_| damaged())
    }

    /// True if the text was sealed with the first key, so that a rotation has nothing to do for it.
    pub(crate) fn is_current(&self, sealed: &str) -> bool {
        sealed.split(':').nth(1) == Some(&self.keys[0].id)
    }
}

impl Key {
    fn from_base64(text: &str) -> Result<Self, StoreError> {
        let bytes = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text));
        let bytes: [u8; KEY_BYTES] = bytes
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| bad("a key must be 32 bytes in base64 (44 characters)"))?;
        // A few bits of a hash tell keys apart and say nothing about a random key.
        let id = Sha256::digest(bytes).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { id, cipher: XChaCha20Poly1305::new(&bytes.into()) })
    }
}

/// Makes the file and returns its content. `O_EXCL`: of two processes one makes the key and the other reads it.
fn create(path: &Path) -> std::io::Result<String> {
    if path.exists() {
        return Err(std::io::ErrorKind::AlreadyExists.into());
    }
    let key = STANDARD.encode(rand::random::<[u8; KEY_BYTES]>());
    // Written aside and linked into place, so that nobody ever reads half a key.
    let aside = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    let written = file.write_all(format!("{key}\n").as_bytes()).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| std::fs::hard_link(&aside, path));
    std::fs::remove_file(&aside)?;
    linked.map(|()| key)
}

fn bad(message: impl Into<String>) -> StoreError {
    StoreError::BadKey { message: message.into() }
}
