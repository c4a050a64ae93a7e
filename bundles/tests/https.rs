//! A repository behind https that wants a token.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::io::BufRead as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use windrose_bundles::RemoteBundle as _;
use windrose_bundles::git::{Access, AccessSource, GitBundle, GitSettings, RepositoryUrl, Tracking};
use windrose_testkit::GitWorkshop;

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

fn serve(workshop: &GitWorkshop) -> Server {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (workshop.path("cert.pem"), workshop.path("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(workshop.path("password"), "first token").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/git_over_https.py");
    let mut process = Command::new("python3")
        .arg(script)
        .args([workshop.path(""), certificate.clone(), key])
        .arg("deploy")
        .arg(workshop.path("password"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
    Server { process, port: line.trim().parse().unwrap() }
}

#[derive(Default)]
struct Token(Mutex<Option<String>>);

#[async_trait]
impl AccessSource for Token {
    async fn access(&self) -> Result<Access, String> {
        let login = self.0.lock().unwrap().clone().map(|token| ("deploy".to_owned(), token));
        Ok(Access { login, ..Access::default() })
    }
}

#[tokio::test]
async fn a_token_opens_it_and_a_new_one_is_used_as_soon_as_it_is_there() {
    let workshop = GitWorkshop::new();
    workshop.write("a.toml", "a = 1");
    let first = workshop.publish("First");
    let server = serve(&workshop);
    let token = Arc::new(Token::default());
    let url = format!("https://localhost:{}/origin.git", server.port);
    let settings = |clone: &str| GitSettings {
        name: "data".into(),
        url: RepositoryUrl::parse(&url).unwrap(),
        tracking: Tracking::parse("main").unwrap(),
        subdir: "".into(),
        clone: workshop.path(clone),
    };
    let certificates = vec![workshop.path("cert.pem")];
    let mut bundle = GitBundle::new(settings("clone"), Arc::clone(&token) as Arc<dyn AccessSource>);
    let untrusted = bundle.refresh().await.unwrap_err().to_string();
    assert!(untrusted.to_lowercase().contains("certificate"), "{untrusted}");

    let mut bundle = bundle.trusting(certificates);
    let none = bundle.refresh().await.unwrap_err().to_string();
    assert!(none.contains("git_conn_id"), "{none}");
    *token.0.lock().unwrap() = Some("first token".into());
    let news = bundle.refresh().await.unwrap().unwrap();
    assert_eq!(news.commit.unwrap().id, first);

    std::fs::write(workshop.path("password"), "second token").unwrap();
    let old = bundle.refresh().await.unwrap_err().to_string();
    assert!(old.contains("git_conn_id") && !old.contains("first token"), "{old}");
    *token.0.lock().unwrap() = Some("second token".into());
    workshop.write("a.toml", "a = 2");
    let second = workshop.publish("Second");
    assert_eq!(bundle.refresh().await.unwrap().unwrap().commit.unwrap().id, second);
}
