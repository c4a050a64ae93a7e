//! The local copy of a repository: one shallow, bare clone per bundle, fetched into and read from. Blocking.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use gix::bstr::ByteSlice as _;
use gix::credentials::helper::Action;
use gix::objs::tree::EntryKind;
use gix::remote::Direction;
use gix::remote::fetch::{Shallow, Tags};
use gix::{ObjectId, ThreadSafeRepository};
use windrose_core::time::Timestamp;

use super::GitSettings;
use super::access::{Access, SshCommand, https_options};
use super::address::{HEAD, RepositoryUrl, TAG};
use crate::news::Commit;

/// The most files of one bundle.
const MAX_FILES: usize = 200_000;

/// A file of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blob {
    pub(super) id: ObjectId,
    pub(super) is_link: bool,
}

/// The files of a commit below the bundle's sub-folder, by their path there.
pub(super) type Listing = BTreeMap<PathBuf, Blob>;

/// Opens the clone in this folder, or makes an empty one.
pub(super) fn open(folder: &Path) -> Result<ThreadSafeRepository, String> {
    let options = gix::open::Options::isolated();
    if folder.join("HEAD").is_file() {
        return ThreadSafeRepository::open_opts(folder, options).map_err(|error| clone_trouble(folder, &error));
    }
    std::fs::create_dir_all(folder).map_err(|error| clone_trouble(folder, &error))?;
    ThreadSafeRepository::init_opts(folder, gix::create::Kind::Bare, gix::create::Options::default(), options)
        .map_err(|error| clone_trouble(folder, &error))
}

fn clone_trouble(folder: &Path, error: &dyn std::fmt::Display) -> String {
    format!("the local copy {} cannot be used: {error}. Remove it, and it is fetched again", folder.display())
}

/// Fetches what is followed, and returns the commit it is at now.
pub(super) fn fetch(
    clone: &ThreadSafeRepository,
    settings: &GitSettings,
    access: &Access,
    certificates: &[PathBuf],
    stop: &AtomicBool,
) -> Result<ObjectId, String> {
    let GitSettings { url, tracking, .. } = settings;
    let known_hosts = clone.path().join("windrose_known_hosts");
    let ssh = url.is_ssh().then(|| SshCommand::new(access, &known_hosts)).transpose();
    let ssh = ssh.map_err(|error| format!("the key for ssh cannot be written down: {error}"))?;
    let mut options = gix::open::Options::isolated();
    if let Some(ssh) = &ssh {
        options = options.config_overrides([format!("core.sshCommand={}", ssh.line), "ssh.variant=ssh".to_owned()]);
    }
    let repository = ThreadSafeRepository::open_opts(clone.path(), options)
        .map_err(|error| clone_trouble(clone.path(), &error))?
        .to_thread_local();
    let https = url.is_http().then(|| https_options(certificates)).transpose()?;
    let outcome = receive(&repository, settings, access, https, stop).map_err(|error| explain(url, &error))?;
    let matched = |name: &str| {
        let of = |mapping: &&gix::protocol::fetch::refmap::Mapping| {
            mapping.local.as_ref().is_some_and(|local| local.as_bstr() == name)
        };
        outcome.ref_map.mappings.iter().find(of).and_then(|mapping| mapping.remote.as_id()).map(ToOwned::to_owned)
    };
    let found = matched(HEAD).or_else(|| matched(TAG));
    let id = found.ok_or_else(|| format!("{url} has no {tracking}; see tracking_ref of the bundle"))?;
    commit_of(&repository, id)
}

fn receive(
    repository: &gix::Repository,
    settings: &GitSettings,
    access: &Access,
    https: Option<gix::protocol::transport::client::blocking_io::http::Options>,
    stop: &AtomicBool,
) -> Result<gix::remote::fetch::Outcome, gix::Error> {
    let GitSettings { url, tracking, .. } = settings;
    let specs = tracking.refspecs();
    let remote = repository
        .remote_at_without_url_rewrite(url.get().clone())?
        .with_fetch_tags(Tags::None)
        .with_refspecs(specs.iter().map(String::as_str), Direction::Fetch)?;
    let mut connection = remote.connect(Direction::Fetch)?.with_credentials(|action| match action {
        Action::Get(context) => {
            let Some((username, password)) = access.login.clone() else { return Ok(None) };
            let identity = gix::sec::identity::Account { username, password, oauth_refresh_token: None };
            Ok(Some(gix::credentials::protocol::Outcome { identity, next: context.into() }))
        }
        Action::Store(_) | Action::Erase(_) => Ok(None),
    });
    if let Some(https) = https {
        connection = connection.with_transport_options(Box::new(https));
    }
    connection
        .prepare_fetch(gix::progress::Discard, gix::remote::ref_map::Options::default())?
        .with_shallow(Shallow::DepthAtRemote(NonZeroU32::MIN))
        .receive(gix::progress::Discard, stop)
}

/// The commit that the clone was at when it last fetched.
pub(super) fn last_fetched(clone: &ThreadSafeRepository) -> Option<ObjectId> {
    let repository = clone.to_thread_local();
    [HEAD, TAG].into_iter().find_map(|name| {
        let id = repository.try_find_reference(name).ok()??.id().detach();
        commit_of(&repository, id).ok()
    })
}

/// A tag may point at a commit by way of an object of its own.
fn commit_of(repository: &gix::Repository, id: ObjectId) -> Result<ObjectId, String> {
    let object = repository.find_object(id).map_err(|error| format!("{id} was not sent: {error}"))?;
    let commit =
        object.peel_to_kind(gix::object::Kind::Commit).map_err(|error| format!("{id} is no commit: {error}"))?;
    Ok(commit.id)
}

/// Who made a commit, and when.
pub(super) fn facts(clone: &ThreadSafeRepository, id: ObjectId) -> Result<Commit, String> {
    let repository = clone.to_thread_local();
    let unreadable = |error: &dyn std::fmt::Display| format!("the commit {id} cannot be read: {error}");
    let commit = repository.find_commit(id).map_err(|error| unreadable(&error))?;
    let decoded = commit.decode().map_err(|error| unreadable(&error))?;
    let author = decoded.author().map_err(|error| unreadable(&error))?;
    // A date that makes no sense is the author's affair.
    let seconds = author.time().map_or(0, |time| time.seconds);
    Ok(Commit {
        id: id.to_string(),
        author: format!("{} <{}>", author.name.to_str_lossy(), author.email.to_str_lossy()),
        authored_at: Timestamp::from_micros(seconds.saturating_mul(1_000_000)),
        subject: decoded.message().title.to_str_lossy().trim().to_owned(),
    })
}

/// The files of a commit below a folder of it. Sub-modules are left out.
pub(super) fn list(clone: &ThreadSafeRepository, id: ObjectId, below: &Path) -> Result<Listing, String> {
    let repository = clone.to_thread_local();
    let unreadable = |error: &dyn std::fmt::Display| format!("the files of commit {id} cannot be listed: {error}");
    let tree = repository.find_commit(id).and_then(|commit| commit.tree()).map_err(|error| unreadable(&error))?;
    let tree = if below.as_os_str().is_empty() {
        tree
    } else {
        let entry = tree.lookup_entry_by_path(below).map_err(|error| unreadable(&error))?;
        let entry = entry.filter(|entry| entry.mode().is_tree());
        let entry = entry
            .ok_or_else(|| format!("commit {id} has no folder '{}'; see subdir of the bundle", below.display()))?;
        entry.object().and_then(|object| object.try_into_tree()).map_err(|error| unreadable(&error))?
    };
    let mut listing = Listing::new();
    for entry in tree.traverse().breadthfirst.files().map_err(|error| unreadable(&error))? {
        let kind = entry.mode.kind();
        // Names that are no text, and those that no checkout would take, are nobody's DAGs.
        let Ok(path) = entry.filepath.to_path() else { continue };
        let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if plain && matches!(kind, EntryKind::Blob | EntryKind::BlobExecutable | EntryKind::Link) {
            listing.insert(path.to_owned(), Blob { id: entry.oid, is_link: kind == EntryKind::Link });
        }
        if listing.len() > MAX_FILES {
            return Err(format!(
                "commit {id} has more than {MAX_FILES} files; name the folder with the DAGs in subdir"
            ));
        }
    }
    Ok(listing)
}

/// What a file holds; the error is its length if that is more than `most` bytes.
pub(super) fn read(repository: &gix::Repository, id: ObjectId, most: u64) -> Result<Result<Vec<u8>, u64>, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("it cannot be read from git: {error}");
    let header = repository.find_header(id).map_err(|error| unreadable(&error))?;
    if header.size() > most {
        return Ok(Err(header.size()));
    }
    let mut object = repository.find_object(id).map_err(|error| unreadable(&error))?;
    Ok(Ok(std::mem::take(&mut object.data)))
}

/// What went wrong in words, and what a person can do about it.
fn explain(url: &RepositoryUrl, error: &gix::Error) -> String {
    let said = format!("{error:#}");
    let lower = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let advice = if has(&["401", "403", "authentication", "credential", "permission denied", "publickey"]) {
        "Look at the user, token or key of the bundle's connection (git_conn_id)"
    } else if has(&["refspec", "couldn't find", "not our ref"]) {
        "Look at tracking_ref of the bundle"
    } else if has(&["host key verification"]) {
        "The server's host key is not the known one; look at known_hosts of the connection"
    } else {
        "Look at its address, and whether the server can be reached"
    };
    format!("{url} cannot be fetched: {said}. {advice}")
}
