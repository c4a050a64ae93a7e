//! The lab, started once per run of the tests, whatever number of processes they run in; it ends with the runner. Names
//! in it are to be unique to a test.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock};

use serde_json::{Map, Value, json};
use windrose_core::connection::Connection;

use crate::aws::parameters::AwsParameters;
use crate::aws::session::{AwsSession, session_for};
use crate::error::TaskError;
use crate::operator::Runnable;
use crate::registry;
use crate::sql::connect::destination;
use crate::sql::hook_params::HookParams;
use crate::sql::session::Session;
use crate::testing::{TestServices, TestTask};

pub(super) const SOURCE: &str = "sample-inp-bucket-etl-demo";
pub(super) const TARGET: &str = "sample-opt-bucket-etl-demo";
pub(super) const WORKGROUP: &str = "sample-workgroup";

pub(super) struct Lab {
    endpoints: Value,
}

pub(super) static LAB: LazyLock<Lab> = LazyLock::new(|| {
    let runner = parent_id();
    let ready = std::env::temp_dir().join(format!("windrose-test-lab-{runner}.json"));
    let lock = File::create(ready.with_extension("lock")).expect("a lock");
    lock.lock().expect("the lock");
    let known = || -> Option<Value> { serde_json::from_str(&std::fs::read_to_string(&ready).ok()?).ok() };
    let answers = |endpoints: &Value| {
        let port =
            endpoints.pointer("/redshift/port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
        port.is_some_and(|port| TcpStream::connect(("127.0.0.1", port)).is_ok())
    };
    let endpoints = known().filter(answers).unwrap_or_else(|| {
        start(runner, &ready);
        known().expect("the lab's endpoints")
    });
    Lab { endpoints }
});

/// Waits for its first line, which comes when it is ready.
#[expect(clippy::zombie_processes, reason = "it ends with the runner of the tests")]
fn start(runner: u32, ready: &Path) {
    // The lab can watch over its parent only, and that is this process, which other tests outlive.
    const WATCH: &str =
        r#""$0" --ready-file "$1" & lab=$!; while kill -0 "$2"; do sleep 1; done; kill "$lab"; rm -f "${1%json}"*"#;
    let lab = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../lab/lab");
    let messages = ready.with_extension("log");
    let mut command = Command::new("sh");
    command.arg("-c").arg(WATCH).arg(lab).arg(ready).arg(runner.to_string()).process_group(0);
    command.stdin(Stdio::null()).stderr(File::create(&messages).expect("a file for its messages"));
    let mut child = command.stdout(Stdio::piped()).spawn().expect("lab/lab starts");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut first).expect("its first line");
    assert!(!first.is_empty(), "the lab does not start: {}", std::fs::read_to_string(messages).unwrap_or_default());
}

impl Lab {
    fn text(&self, pointer: &str) -> String {
        let value = self.endpoints.pointer(pointer);
        value.and_then(Value::as_str).unwrap_or_else(|| panic!("the lab tells {pointer}")).to_owned()
    }

    pub(super) fn role(&self, name: &str) -> String {
        self.text(&format!("/roles/{name}"))
    }

    pub(super) fn secret_arn(&self) -> String {
        self.text("/secrets/redshift~1demo")
    }

    pub(super) fn password(&self) -> String {
        self.text("/redshift/password")
    }

    pub(super) fn aws(&self, conn_id: &str, role: Option<&str>) -> Connection {
        let url = self.text("/aws_endpoint_url");
        let mut extra = json!({
            "endpoint_url": url, "region_name": "us-east-1", "service_config": {"sts": {"endpoint_url": url}},
        });
        if let Some(role) = role {
            extra["role_arn"] = self.role(role).into();
        }
        Connection {
            conn_id: conn_id.to_owned(),
            conn_type: "aws".to_owned(),
            login: Some(self.text("/access_key_id")),
            password: Some(self.text("/secret_access_key")),
            extra: Some(extra.to_string()),
            ..Connection::default()
        }
    }

    pub(super) fn redshift(&self, conn_id: &str) -> Connection {
        let port = self.endpoints.pointer("/redshift/port").and_then(Value::as_u64).expect("a port");
        Connection {
            conn_id: conn_id.to_owned(),
            conn_type: "redshift".to_owned(),
            host: Some(self.text("/redshift/host")),
            port: u16::try_from(port).ok(),
            login: Some(self.text("/redshift/user")),
            password: Some(self.password()),
            schema: Some(self.text("/redshift/database")),
            extra: Some(json!({"ssl": false}).to_string()),
            ..Connection::default()
        }
    }

    /// A task that finds `aws_default`, `aws_xacct` (the role that owns the buckets) and `redshift_default`.
    pub(super) fn task(&self) -> TestTask {
        // No two have the same idempotency token.
        self.task_named(&uuid::Uuid::new_v4().to_string())
    }

    /// The same, for several attempts of one task.
    pub(super) fn task_named(&self, task_id: &str) -> TestTask {
        TestTask::new(task_id)
            .connection(self.aws("aws_default", None))
            .connection(self.aws("aws_xacct", Some("etl-demo-s3-access")))
            .connection(self.redshift("redshift_default"))
    }

    async fn page(&self, request: reqwest::RequestBuilder) -> Value {
        let answer = request.send().await.expect("the lab answers");
        assert!(answer.status().is_success(), "{}", answer.status());
        answer.json().await.expect("JSON")
    }

    fn url(&self, path: &str) -> String {
        format!("{}/lab/{path}", self.text("/aws_endpoint_url"))
    }

    pub(super) async fn get(&self, path: &str) -> Value {
        self.page(windrose_testkit::http_client().get(self.url(path))).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Value {
        self.page(windrose_testkit::http_client().post(self.url(path)).json(&body)).await
    }

    /// Statements whose text has this in it wait until released; the answer is the hold's page.
    pub(super) async fn hold(&self, matching: &str) -> String {
        let hold = self.post("hold", json!({"kind": "statement", "match": matching})).await;
        format!("hold/{}", hold["id"])
    }

    pub(super) async fn release(&self, hold: &str) {
        self.page(windrose_testkit::http_client().delete(self.url(hold))).await;
    }

    /// Calls of the Data API that were made for a statement whose text has this in it.
    pub(super) async fn data_api_calls(&self, matching: &str, id: &str) -> Vec<String> {
        let journal = self.get("journal?kind=aws&service=redshift-data").await;
        let entries = journal["entries"].as_array().expect("entries").iter();
        let ours = entries.filter(|e| {
            let target = &e["target"];
            target["Id"] == id
                || target["Sql"].as_str().is_some_and(|s| s.contains(matching))
                || target["Sqls"].to_string().contains(matching)
        });
        ours.map(|e| e["operation"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Statements that have this in their text, on the wire and by the Data API.
    pub(super) async fn statements(&self, matching: &str) -> Vec<String> {
        let journal = self.get("journal?kind=sql").await;
        let entries = journal["entries"].as_array().expect("entries").iter();
        entries.filter_map(|e| e["sql"].as_str()).filter(|sql| sql.contains(matching)).map(str::to_owned).collect()
    }

    /// Rows of a statement that is run directly.
    pub(super) async fn sql(&self, text: &str) -> Value {
        let connection = self.redshift("direct");
        let place = destination(&connection, &HookParams::default()).expect("a destination");
        let mut session = Session::open(&place, &connection).await.expect("a session");
        let answer = session.run(text).await.expect("the statement runs");
        session.close().await;
        Value::Array(answer.rows.unwrap_or_default())
    }

    async fn owner(&self) -> Arc<AwsSession> {
        let (ctx, _) = self.task().build();
        let aws = AwsParameters { aws_conn_id: Some("aws_xacct".to_owned()), ..AwsParameters::default() };
        session_for(&ctx, &aws).await.expect("a session")
    }

    pub(super) async fn put(&self, bucket: &str, key: &str, text: &str) {
        let body = text.as_bytes().to_vec().into();
        self.owner().await.s3().put_object().bucket(bucket).key(key).body(body).send().await.expect("it is put");
    }

    pub(super) async fn object(&self, bucket: &str, key: &str) -> String {
        let answer = self.owner().await.s3().get_object().bucket(bucket).key(key).send().await.expect("it is there");
        let body = answer.body.collect().await.expect("its body").into_bytes();
        String::from_utf8(body.to_vec()).expect("text")
    }
}

/// The operator with these parameters.
pub(super) fn built(operator: &str, parameters: Value) -> Result<Runnable, String> {
    let Value::Object(parameters) = parameters else { panic!("an object") };
    registry::find(operator).expect("it is registered").build(parameters)
}

/// Runs an operator to its end.
pub(super) async fn run(
    task: TestTask,
    operator: &str,
    parameters: Value,
) -> (Result<Value, TaskError>, Arc<TestServices>) {
    let (ctx, services) = task.build();
    let done = built(operator, parameters).expect("right parameters").execute(&ctx).await;
    (done.map(|done| done.value.unwrap_or_default()), services)
}

/// These parameters and more.
pub(super) fn with(mut parameters: Value, more: Value) -> Value {
    let more: Map<String, Value> = serde_json::from_value(more).expect("an object");
    parameters.as_object_mut().expect("an object").extend(more);
    parameters
}

/// Looks until something is so; the bound only keeps a broken test from hanging.
pub(super) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let looking = async {
        while !is_so().await {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(120), looking)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}
