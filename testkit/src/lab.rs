//! The lab: an offline AWS with a journal of everything that was asked of it.

#![expect(clippy::expect_used, reason = "what a test cannot set up is the test's failure")]

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A lab of a test's own. It ends when dropped.
pub struct Lab {
    child: Child,
    endpoints: Value,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    _folder: TempDir,
}

impl Lab {
    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// If it does not start; it says why on standard error.
    #[must_use]
    pub fn start() -> Self {
        // PostgreSQL may run as another user, who must be able to enter the folder.
        let open = std::fs::Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new().prefix("windrose-test-lab-").permissions(open).tempdir();
        let folder = folder.expect("a temporary folder");
        let mut child = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../lab/lab"))
            .arg("--exit-with-parent")
            .arg("--data")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the lab's program");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
        let endpoints = serde_json::from_str(&line).expect("the lab's endpoints; it did not start");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let http = crate::http_client();
        Self { child, endpoints, http, runtime, _folder: folder }
    }

    /// What it said of itself, by JSON pointer.
    ///
    /// # Panics
    /// If it is no text.
    #[must_use]
    pub fn text(&self, pointer: &str) -> &str {
        let value = self.endpoints.pointer(pointer).and_then(Value::as_str);
        value.unwrap_or_else(|| panic!("the lab tells no text {pointer}"))
    }

    /// Variables with which `windrose` reads all connections and variables from the lab's Secrets Manager.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 3] {
        let (endpoint, region) = (self.text("/aws_endpoint_url"), self.text("/region"));
        let kwargs = format!("{{endpoint_url=\"{endpoint}\",region_name=\"{region}\"}}");
        [
            ("WINDROSE__SECRETS__BACKENDS", format!("[{{backend=\"aws_secrets_manager\",kwargs={kwargs}}}]")),
            ("AWS_ACCESS_KEY_ID", self.text("/access_key_id").to_owned()),
            ("AWS_SECRET_ACCESS_KEY", self.text("/secret_access_key").to_owned()),
        ]
    }

    /// Passwords and keys that nothing may show.
    #[must_use]
    pub fn secrets(&self) -> [&str; 2] {
        [self.text("/redshift/password"), self.text("/secret_access_key")]
    }

    /// What was asked of it: every AWS call and every SQL statement, in order.
    #[must_use]
    pub fn journal(&self) -> Vec<Value> {
        let answer = self.page(reqwest::Method::GET, "journal", None);
        answer["entries"].as_array().cloned().expect("the journal's entries")
    }

    /// The names of the AWS operations that Windrose (and not a job of the lab) has asked for, in order.
    #[must_use]
    pub fn operations(&self) -> Vec<String> {
        let ours = |entry: &&Value| entry["user_agent"].as_str().is_some_and(|agent| agent.contains("windrose"));
        let name = |entry: &Value| entry["operation"].as_str().unwrap_or_default().to_owned();
        self.journal().iter().filter(ours).map(name).collect()
    }

    /// How often Windrose has asked for an operation.
    #[must_use]
    pub fn count(&self, operation: &str) -> usize {
        self.operations().iter().filter(|name| *name == operation).count()
    }

    /// From now on, work of this kind (`glue_job`, `crawler`, `statement`) that contains `text` stays in its running
    /// state until [`Self::release`].
    pub fn hold(&self, kind: &str, text: &str) {
        self.page(reqwest::Method::POST, "hold", Some(&json!({ "kind": kind, "match": text })));
    }

    /// Lets all held work go on.
    pub fn release(&self) {
        self.page(reqwest::Method::DELETE, "hold", None);
    }

    /// From now on, the next `times` calls of an operation are refused with this code.
    pub fn refuse(&self, service: &str, operation: &str, code: &str, times: u32) {
        let rule = json!({ "service": service, "operation": operation, "code": code, "message": code, "times": times });
        self.page(reqwest::Method::POST, "faults", Some(&rule));
    }

    /// Runs SQL in the warehouse; the rows of the last statement, every value as text.
    ///
    /// # Panics
    /// If the warehouse refuses it.
    #[must_use]
    pub fn sql(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        let answer = self.page(reqwest::Method::POST, "sql", Some(&json!({ "sql": sql })));
        serde_json::from_value(answer["rows"].clone()).unwrap_or_else(|_| panic!("{sql}\nis refused: {answer}"))
    }

    fn page(&self, method: reqwest::Method, page: &str, body: Option<&Value>) -> Value {
        let mut request = self.http.request(method, format!("{}/{page}", self.text("/lab_url")));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = async { request.send().await?.json().await };
        self.runtime.block_on(answer).unwrap_or_else(|error| panic!("the lab's page {page} does not answer: {error}"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap_or(i32::MAX));
        // It may be gone already.
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.child.wait();
    }
}
