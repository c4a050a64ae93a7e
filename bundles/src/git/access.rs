//! How Windrose proves who it is to a git server.

use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gix::protocol::transport::client::blocking_io::http;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

/// How long one answer of a server may take, a large pack included.
const LONGEST_ANSWER: Duration = Duration::from_secs(600);

/// What opens a repository.
#[derive(Clone, Default)]
pub struct Access {
    /// For https: the user and the token or password.
    pub login: Option<(String, String)>,
    /// For ssh: the private key, as in a key file.
    pub private_key: Option<String>,
    /// What the private key is locked with.
    pub passphrase: Option<String>,
    /// The lines of a `known_hosts` file; without them a host is believed when it is seen first, and must keep its key.
    pub known_hosts: Option<String>,
}

/// Never shows a secret.
impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("user", &self.login.as_ref().map(|(user, _)| user))
            .field("has_private_key", &self.private_key.is_some())
            .finish_non_exhaustive()
    }
}

/// Where that comes from. Asked before every fetch, so that a new token is used as soon as it is there.
#[async_trait]
pub trait AccessSource: Send + Sync {
    /// What opens the repository now.
    ///
    /// # Errors
    /// A sentence that tells a person what is missing.
    async fn access(&self) -> Result<Access, String>;
}

/// The ssh command, and the files it reads for as long as this lives.
pub(super) struct SshCommand {
    pub(super) line: String,
    _files: TempDir,
}

impl SshCommand {
    /// `hosts` remembers the hosts that were seen.
    pub(super) fn new(access: &Access, hosts: &Path) -> std::io::Result<Self> {
        let files = tempfile::tempdir()?;
        let put = |name: &str, text: &str, mode: u32| {
            let path = files.path().join(name);
            let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(mode).open(&path)?;
            file.write_all(text.as_bytes())?;
            Ok::<_, std::io::Error>(quoted(&path))
        };
        std::fs::set_permissions(files.path(), std::fs::Permissions::from_mode(0o700))?;
        let mut line = String::new();
        if let Some(passphrase) = &access.passphrase {
            put("passphrase", passphrase, 0o600)?;
            let ask = put("ask", "#!/bin/sh\ncat \"$(dirname \"$0\")/passphrase\"\n", 0o700)?;
            line.push_str(&format!("SSH_ASKPASS={ask} SSH_ASKPASS_REQUIRE=force "));
        }
        line.push_str("ssh -o ConnectTimeout=20 -o PasswordAuthentication=no -o KbdInteractiveAuthentication=no");
        if access.passphrase.is_none() {
            line.push_str(" -o BatchMode=yes");
        }
        if let Some(key) = &access.private_key {
            // Without a line's end ssh does not know the key.
            let key = put("key", &format!("{}\n", key.trim_end()), 0o600)?;
            line.push_str(&format!(" -o IdentitiesOnly=yes -i {key}"));
        }
        match &access.known_hosts {
            Some(known) => {
                let known = put("known_hosts", known, 0o600)?;
                line.push_str(&format!(" -o StrictHostKeyChecking=yes -o UserKnownHostsFile={known}"));
            }
            None => line.push_str(&format!(
                " -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile={}",
                quoted(&std::path::absolute(hosts)?)
            )),
        }
        Ok(Self { line, _files: files })
    }
}

/// As one word for a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// What the https client is made with: rustls, the certificates that the machine trusts, and those of these PEM files.
pub(super) fn https_options(certificates: &[PathBuf]) -> Result<http::Options, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for file in certificates {
        let unreadable =
            |error: &dyn fmt::Display| format!("the certificates of {} cannot be read: {error}", file.display());
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))? {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            roots.add(certificate).map_err(|error| unreadable(&error))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let backend = http::reqwest::Options {
        configure_client: Some(Box::new(move |client| {
            Ok(client.tls_backend_preconfigured(tls.clone()).timeout(LONGEST_ANSWER))
        })),
        configure_request: None,
    };
    Ok(http::Options {
        user_agent: Some(concat!("git/windrose-", env!("CARGO_PKG_VERSION")).to_owned()),
        backend: Some(Arc::new(Mutex::new(backend))),
        ..http::Options::default()
    })
}
