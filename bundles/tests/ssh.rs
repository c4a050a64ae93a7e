//! A repository behind a real ssh server that knows one key.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use windrose_bundles::RemoteBundle as _;
use windrose_bundles::git::{Access, AccessSource, GitBundle, GitSettings, RepositoryUrl, Tracking};
use windrose_testkit::GitWorkshop;
use windrose_testkit::process::wait_until;

/// Ends when it is dropped.
struct Server {
    process: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn make_key(path: &Path, passphrase: &str) {
    let _ = std::fs::remove_file(path);
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", passphrase, "-f"]).arg(path).status();
    assert!(made.expect("ssh-keygen is not installed; install openssh-client").success());
}

/// Lets in who has the key `user`.
fn serve(workshop: &GitWorkshop) -> Server {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = workshop.path("ssh");
    std::fs::create_dir_all(&folder).unwrap();
    // sshd insists on it, and only root can make it.
    let _ = std::fs::create_dir_all("/run/sshd");
    make_key(&folder.join("host"), "");
    let settings = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {0}/host\nAuthorizedKeysFile {0}/user.pub\nPidFile none\nUsePAM no\n\
         StrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n",
        folder.display()
    );
    std::fs::write(folder.join("config"), settings).unwrap();
    let process = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(folder.join("config"))
        .stderr(Stdio::from(std::fs::File::create(folder.join("log")).unwrap()))
        .spawn()
        .expect("sshd is not installed; install openssh-server");
    let server = Server { process, port };
    wait_until("the ssh server", || match TcpStream::connect(("127.0.0.1", port)) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{error}\n{}", std::fs::read_to_string(folder.join("log")).unwrap_or_default())),
    });
    server
}

struct Key(Mutex<Access>);

#[async_trait]
impl AccessSource for Key {
    async fn access(&self) -> Result<Access, String> {
        Ok(self.0.lock().unwrap().clone())
    }
}

fn read(path: PathBuf) -> Option<String> {
    Some(std::fs::read_to_string(path).unwrap())
}

#[tokio::test]
async fn a_key_opens_it_and_its_host_must_stay_the_same() {
    let workshop = GitWorkshop::new();
    workshop.write("a.toml", "a = 1");
    let first = workshop.publish("First");
    std::fs::create_dir_all(workshop.path("ssh")).unwrap();
    make_key(&workshop.path("ssh/user"), "");
    make_key(&workshop.path("ssh/stranger"), "");
    let server = serve(&workshop);
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let url = format!("ssh://{}@127.0.0.1:{}{}", user.trim(), server.port, workshop.origin().display());
    let key =
        Arc::new(Key(Mutex::new(Access { private_key: read(workshop.path("ssh/stranger")), ..Access::default() })));
    let settings = GitSettings {
        name: "data".into(),
        url: RepositoryUrl::parse(&url).unwrap(),
        tracking: Tracking::parse("main").unwrap(),
        subdir: "".into(),
        clone: workshop.path("clone"),
    };
    let mut bundle = GitBundle::new(settings, Arc::clone(&key) as Arc<dyn AccessSource>);
    let stranger = bundle.refresh().await.unwrap_err().to_string();
    assert!(stranger.contains("git_conn_id"), "{stranger}");
    key.0.lock().unwrap().private_key = read(workshop.path("ssh/user"));
    assert_eq!(bundle.refresh().await.unwrap().unwrap().commit.unwrap().id, first);

    make_key(&workshop.path("ssh/user"), "open sesame");
    *key.0.lock().unwrap() = Access {
        private_key: read(workshop.path("ssh/user")),
        passphrase: Some("open sesame".into()),
        ..Access::default()
    };
    workshop.write("a.toml", "a = 2");
    let second = workshop.publish("Second");
    assert_eq!(bundle.refresh().await.unwrap().unwrap().commit.unwrap().id, second);

    drop(server);
    let server = serve(&workshop);
    let other = format!("[127.0.0.1]:{} ", server.port);
    let hosts = std::fs::read_to_string(workshop.path("clone/windrose_known_hosts")).unwrap();
    let moved: String = hosts.lines().map(|line| format!("{other}{}\n", line.split_once(' ').unwrap().1)).collect();
    key.0.lock().unwrap().known_hosts = Some(moved);
    let settings = GitSettings {
        name: "data".into(),
        url: RepositoryUrl::parse(&format!(
            "ssh://{}@127.0.0.1:{}{}",
            user.trim(),
            server.port,
            workshop.origin().display()
        ))
        .unwrap(),
        tracking: Tracking::Head,
        subdir: "".into(),
        clone: workshop.path("clone2"),
    };
    let mut bundle = GitBundle::new(settings, Arc::clone(&key) as Arc<dyn AccessSource>);
    let changed = bundle.refresh().await.unwrap_err().to_string();
    assert!(changed.contains("cannot be fetched"), "{changed}");
}
