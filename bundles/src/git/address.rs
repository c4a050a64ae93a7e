//! Where a repository is, and which of its commits is followed. Both come from people, so both are checked before anything
//! is done with them.

use std::fmt;

use gix::ObjectId;
use gix::url::Scheme;

/// The address of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryUrl(gix::Url);

impl RepositoryUrl {
    /// Takes `https://…`, `ssh://…`, `git@host:path` and `file:///…`.
    ///
    /// # Errors
    /// A sentence on what is wrong with it. Transports that run commands (`ext::`), a password in the address and names
    /// that would be taken for options are refused.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains("::") {
            return Err(format!(
                "the address '{text}' names a transport that is not allowed; use https://, ssh:// or git@host:path"
            ));
        }
        if text.starts_with('-') || text.chars().any(char::is_control) {
            return Err("the address of the repository begins with '-' or holds control characters; write it as https://host/path".into());
        }
        // Not the parser's own words: they would repeat a password.
        let url = gix::url::parse(text)
            .map_err(|_| "the address of the repository cannot be read; write it as https://host/path".to_owned())?;
        if url.password().is_some() {
            return Err("the address of the repository holds a password; put it into a connection, and name that in git_conn_id".into());
        }
        let option = |part: Option<&str>| part.is_some_and(|part| part.starts_with('-'));
        if option(url.host()) || option(url.user()) || url.path.starts_with(b"-") {
            return Err(format!("the address '{text}' holds a part that begins with '-', which is not allowed"));
        }
        match url.scheme {
            Scheme::Https | Scheme::Http | Scheme::Ssh if url.host().is_some() => Ok(Self(url)),
            Scheme::File if url.path.starts_with(b"/") => Ok(Self(url)),
            Scheme::File => Err(format!(
                "'{text}' is no address of a repository; use https://, ssh://, git@host:path or file:///path"
            )),
            _ => Err(format!(
                "the address '{text}' names a transport that is not allowed; use https://, ssh:// or git@host:path"
            )),
        }
    }

    pub(super) const fn get(&self) -> &gix::Url {
        &self.0
    }

    pub(super) fn is_http(&self) -> bool {
        matches!(self.0.scheme, Scheme::Https | Scheme::Http)
    }

    pub(super) fn is_ssh(&self) -> bool {
        self.0.scheme == Scheme::Ssh
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_bstring().fmt(f)
    }
}

/// Which commit of a repository is followed (Airflow's `tracking_ref`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tracking {
    /// The repository's default branch.
    Head,
    /// A branch, or if there is none of that name, a tag.
    Named(String),
    /// This commit for ever.
    Commit(ObjectId),
}

impl Tracking {
    /// Takes the name of a branch or tag, or a full commit id.
    ///
    /// # Errors
    /// A sentence, if git allows no such name.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() == 40
            && let Ok(id) = ObjectId::from_hex(text.as_bytes())
        {
            return Ok(Self::Commit(id));
        }
        let is_name = !text.starts_with(['-', '+']) && !text.contains([':', '*', '^']);
        match gix::validate::reference::name_partial(text.into()) {
            Ok(_) if is_name => Ok(Self::Named(text.to_owned())),
            _ => Err(format!("'{text}' can be no branch, tag or commit id of git")),
        }
    }

    /// What is asked for, best first, and under which name it is kept.
    pub(super) fn refspecs(&self) -> Vec<String> {
        match self {
            Self::Head => vec![format!("+HEAD:{HEAD}")],
            Self::Named(name) => vec![format!("+refs/heads/{name}:{HEAD}"), format!("+refs/tags/{name}:{TAG}")],
            Self::Commit(id) => vec![format!("+{id}:{HEAD}")],
        }
    }
}

/// Where the followed branch is kept.
pub(super) const HEAD: &str = "refs/windrose/head";
/// Where the followed tag is kept.
pub(super) const TAG: &str = "refs/windrose/tag";

impl fmt::Display for Tracking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Head => f.write_str("the default branch"),
            Self::Named(name) => write!(f, "'{name}'"),
            Self::Commit(id) => write!(f, "the commit {id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::{RepositoryUrl, Tracking};

    #[test]
    fn usual_addresses_are_read() {
        for text in [
            "https://github.com/acme/dags.git",
            "ssh://git@git.acme.com:2222/data/dags",
            "git@github.com:acme/dags.git",
            "file:///srv/git/dags.git",
            "/srv/git/dags.git",
            "https://deploy@git.acme.com/dags",
        ] {
            RepositoryUrl::parse(text).unwrap();
        }
    }

    #[test]
    fn hostile_addresses_are_refused() {
        for text in [
            "ext::sh -c touch% /tmp/pwned",
            "fd::17",
            "--upload-pack=touch /tmp/pwned",
            "ssh://-oProxyCommand=touch/x",
            "-oProxyCommand=x:path",
            "ftp://host/path",
            "dags",
            "https://x\n.com/",
            "",
        ] {
            assert!(RepositoryUrl::parse(text).is_err(), "{text}");
        }
        let told = RepositoryUrl::parse("https://me:hunter2@host/path").unwrap_err();
        assert!(told.contains("git_conn_id") && !told.contains("hunter2"), "{told}");
    }

    #[test]
    fn hostile_refs_are_refused() {
        for text in ["--upload-pack=x", "+main", "a:refs/heads/main", "a..b", "refs/*", "a b", "x.lock", "", "a\u{7f}"]
        {
            assert!(Tracking::parse(text).is_err(), "{text}");
        }
        assert_eq!(Tracking::parse("release/2026").unwrap(), Tracking::Named("release/2026".into()));
        assert!(matches!(Tracking::parse(&"0a".repeat(20)).unwrap(), Tracking::Commit(_)));
    }
}
