//! Git repositories as bundles, with real ones that git itself made.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use windrose_bundles::git::{Access, AccessSource, GitBundle, GitSettings, RepositoryUrl, Tracking};
use windrose_bundles::{FileChange, NamedPath, News, RemoteBundle as _};
use windrose_testkit::GitWorkshop;

struct Open;

#[async_trait]
impl AccessSource for Open {
    async fn access(&self) -> Result<Access, String> {
        Ok(Access::default())
    }
}

/// The bundle of a repository, with its clone beside that.
fn bundle(workshop: &GitWorkshop, tracking: Tracking, subdir: &str) -> GitBundle {
    let url = RepositoryUrl::parse(&workshop.url()).unwrap();
    let settings =
        GitSettings { name: "data".into(), url, tracking, subdir: subdir.into(), clone: workshop.path("clone") };
    GitBundle::new(settings, Arc::new(Open))
}

fn main_branch() -> Tracking {
    Tracking::parse("main").unwrap()
}

fn texts(news: &News) -> Vec<(String, Option<String>)> {
    let of = |change: &FileChange| match change {
        FileChange::Changed { path, text } => {
            (path.display().to_string(), Some(text.clone().unwrap_or_else(|error| format!("! {error}"))))
        }
        FileChange::Removed { path } => (path.display().to_string(), None),
    };
    let mut texts: Vec<_> = news.changes.iter().map(of).collect();
    texts.sort();
    texts
}

fn changed(path: &str, text: &str) -> (String, Option<String>) {
    (path.to_owned(), Some(text.to_owned()))
}

fn touched(news: &News) -> Vec<String> {
    news.touched.iter().map(|path| path.display().to_string()).collect()
}

fn named(path: &str) -> NamedPath {
    NamedPath::new(Path::new(""), path).unwrap()
}

#[tokio::test]
async fn a_push_brings_what_it_changed_with_its_commit_and_author() {
    let workshop = GitWorkshop::new();
    workshop.write("a.toml", "a = 1");
    workshop.write("team/b.toml", "b = 1");
    workshop.write("team/load.sql", "SELECT 1");
    workshop.write(".github/x.toml", "hidden");
    workshop.write("windrose.toml", "configuration");
    let first = workshop.commit("First\n\nWith a body.");
    workshop.push(&["main"]);
    let mut bundle = bundle(&workshop, main_branch(), "");
    assert!(bundle.cached().await.is_none());
    let news = bundle.refresh().await.unwrap().unwrap();
    assert_eq!(texts(&news), [changed("a.toml", "a = 1"), changed("team/b.toml", "b = 1")]);
    let commit = news.commit.unwrap();
    assert_eq!((commit.id.as_str(), commit.subject.as_str()), (first.as_str(), "First"));
    assert_eq!(commit.author, "Ada <ada@example.com>");
    assert_eq!(news.files.read(&named("team/load.sql")).unwrap().unwrap(), b"SELECT 1");
    assert!(bundle.refresh().await.unwrap().is_none());

    let old = news.files;
    workshop.write("team/load.sql", "SELECT 2");
    workshop.write("a.toml", "a = 2");
    workshop.remove("team/b.toml");
    let second = workshop.commit("Second");
    workshop.push(&["main"]);
    let news = bundle.refresh().await.unwrap().unwrap();
    assert_eq!(texts(&news), [changed("a.toml", "a = 2"), ("team/b.toml".into(), None)]);
    assert_eq!(touched(&news), ["team/load.sql"]);
    assert_eq!(news.commit.unwrap().id, second);
    assert_eq!(old.read(&named("team/load.sql")).unwrap().unwrap(), b"SELECT 1", "a commit never changes");
}

#[tokio::test]
async fn a_clone_tells_after_a_restart_what_it_fetched_while_the_repository_is_away() {
    let workshop = GitWorkshop::new();
    workshop.write("a.toml", "a = 1");
    let id = workshop.commit("First");
    workshop.push(&["main"]);
    bundle(&workshop, main_branch(), "").refresh().await.unwrap().unwrap();
    std::fs::rename(workshop.path("origin.git"), workshop.path("away.git")).unwrap();
    let mut bundle = bundle(&workshop, main_branch(), "");
    let news = bundle.cached().await.unwrap();
    assert_eq!(
        (news.commit.as_ref().unwrap().id.as_str(), texts(&news)),
        (id.as_str(), vec![changed("a.toml", "a = 1")])
    );
    let trouble = bundle.refresh().await.unwrap_err().to_string();
    assert!(trouble.contains("origin.git") && trouble.contains("whether the server can be reached"), "{trouble}");
    std::fs::rename(workshop.path("away.git"), workshop.path("origin.git")).unwrap();
    assert!(bundle.refresh().await.unwrap().is_none(), "nothing has changed");
}

#[tokio::test]
async fn a_force_push_brings_what_is_there_now() {
    let workshop = GitWorkshop::new();
    workshop.write("a.toml", "a = 1");
    workshop.commit("First");
    workshop.write("b.toml", "b = 1");
    workshop.commit("Second");
    workshop.push(&["main"]);
    let mut bundle = bundle(&workshop, main_branch(), "");
    bundle.refresh().await.unwrap().unwrap();
    workshop.git(&workshop.tree(), &["reset", "-q", "--hard", "HEAD~1"]);
    workshop.write("a.toml", "a = 3");
    workshop.commit("Rewritten");
    workshop.push(&["--force", "main"]);
    let news = bundle.refresh().await.unwrap().unwrap();
    assert_eq!(texts(&news), [changed("a.toml", "a = 3"), ("b.toml".into(), None)]);
}

#[tokio::test]
async fn branches_tags_commits_and_folders_are_followed() {
    let workshop = GitWorkshop::new();
    workshop.write("dags/a.toml", "a = 1");
    workshop.write("other/b.toml", "b = 1");
    let first = workshop.commit("First");
    workshop.git(&workshop.tree(), &["tag", "-a", "v1", "-m", "A tag with a message"]);
    workshop.write("dags/a.toml", "a = 2");
    workshop.commit("Second");
    workshop.push(&["main", "v1"]);
    let one = |tracking: Tracking| {
        let _ = std::fs::remove_dir_all(workshop.path("clone"));
        let mut bundle = bundle(&workshop, tracking, "dags");
        async move { texts(&bundle.refresh().await.unwrap().unwrap()) }
    };
    assert_eq!(one(Tracking::parse("v1").unwrap()).await, [changed("a.toml", "a = 1")]);
    assert_eq!(one(Tracking::Head).await, [changed("a.toml", "a = 2")]);
    workshop.git(&workshop.path("origin.git"), &["config", "uploadpack.allowAnySHA1InWant", "true"]);
    assert_eq!(one(Tracking::parse(&first).unwrap()).await, [changed("a.toml", "a = 1")]);

    let _ = std::fs::remove_dir_all(workshop.path("clone"));
    let none = bundle(&workshop, Tracking::parse("nowhere").unwrap(), "").refresh().await.unwrap_err().to_string();
    assert!(none.contains("tracking_ref"), "{none}");
    let none = bundle(&workshop, main_branch(), "nowhere").refresh().await.unwrap_err().to_string();
    assert!(none.contains("has no folder 'nowhere'") && none.contains("subdir"), "{none}");
}

#[tokio::test]
async fn odd_files_are_reported_one_by_one() {
    let workshop = GitWorkshop::new();
    workshop.write("good.toml", "a = 1");
    workshop.write("binary.toml", [0xff, 0xfe, 0x00]);
    workshop.write("huge.toml", vec![b'#'; 2 << 20]);
    workshop.write("huge.sql", vec![b'-'; 17 << 20]);
    std::os::unix::fs::symlink("/etc/passwd", workshop.tree().join("link.toml")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", workshop.tree().join("link.sql")).unwrap();
    workshop.commit("Odd");
    workshop.push(&["main"]);
    let news = bundle(&workshop, main_branch(), "").refresh().await.unwrap().unwrap();
    let texts = texts(&news);
    let text = |name: &str| texts.iter().find(|(path, _)| path == name).unwrap().1.clone().unwrap();
    assert_eq!(text("good.toml"), "a = 1");
    assert!(text("binary.toml").contains("not UTF-8"));
    assert!(text("huge.toml").contains("at most"));
    assert!(text("link.toml").contains("symbolic link"));
    assert!(news.files.read(&named("huge.sql")).unwrap_err().contains("at most"));
    assert!(news.files.read(&named("link.sql")).unwrap_err().contains("symbolic link"));
    assert_eq!(news.files.below(&named("")).unwrap().len(), 4);
}

#[tokio::test]
async fn ten_thousand_branches_are_not_fetched() {
    let workshop = GitWorkshop::new();
    workshop.write("a.toml", "a = 1");
    let id = workshop.commit("First");
    workshop.push(&["main"]);
    let refs: String = (0..10_000).map(|n| format!("{id} refs/heads/branch-{n}\n")).collect();
    std::fs::write(workshop.path("origin.git/packed-refs"), refs).unwrap();
    let news = bundle(&workshop, main_branch(), "").refresh().await.unwrap().unwrap();
    assert_eq!(texts(&news), [changed("a.toml", "a = 1")]);
    let refs = workshop.git(&workshop.path("clone"), &["for-each-ref"]);
    assert_eq!(refs.lines().count(), 1, "{refs}");
}

#[tokio::test]
async fn a_clone_that_is_spoilt_says_so() {
    let workshop = GitWorkshop::new();
    workshop.write("a.toml", "a = 1");
    workshop.commit("First");
    workshop.push(&["main"]);
    std::fs::create_dir_all(workshop.path("clone")).unwrap();
    std::fs::write(workshop.path("clone/HEAD"), "nonsense").unwrap();
    let trouble = bundle(&workshop, main_branch(), "").refresh().await.unwrap_err().to_string();
    assert!(trouble.contains("Remove it, and it is fetched again"), "{trouble}");
}
