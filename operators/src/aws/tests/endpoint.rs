//! An endpoint for the operators under test: it writes down every call, answers those that are scripted, and hands the
//! others on to moto, if there is one.

#![expect(clippy::needless_pass_by_value, reason = "tests read better with `json!` in place")]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use windrose_core::connection::Connection;

use crate::context::TaskContext;
use crate::operator::Runnable;
use crate::registry;
use crate::testing::{TestServices, TestTask};

/// A call as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// `StartJobRun`.
    pub operation: String,
    /// The access key it was signed with.
    pub access_key: String,
    /// The region it was signed for.
    pub region: String,
    /// Its body, if that is JSON; else its text.
    pub body: Value,
}

struct Scripted {
    operation: &'static str,
    status: u16,
    body: String,
}

#[derive(Default)]
struct State {
    calls: Mutex<Vec<Call>>,
    scripted: Mutex<VecDeque<Scripted>>,
    upstream: Option<String>,
}

/// The endpoint. It and its moto end when it is dropped.
pub(super) struct Endpoint {
    pub url: String,
    state: Arc<State>,
    moto: Option<Child>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(moto) = &mut self.moto {
            moto.kill().ok();
            moto.wait().ok();
        }
    }
}

impl Endpoint {
    /// With moto behind it.
    pub(super) async fn moto() -> Self {
        let (moto, upstream) = tokio::task::spawn_blocking(start_moto).await.unwrap();
        Self::start(Some(moto), Some(upstream)).await
    }

    /// Only scripted answers; other calls get a 400.
    pub(super) async fn scripted() -> Self {
        Self::start(None, None).await
    }

    async fn start(moto: Option<Child>, upstream: Option<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State { upstream, ..State::default() });
        let served = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let state = Arc::clone(&served);
                tokio::spawn(async move { serve(client, &state).await });
            }
        });
        Self { url, state, moto }
    }

    /// The next call of this operation gets this answer.
    pub(super) fn answer(&self, operation: &'static str, body: Value) -> &Self {
        self.script(operation, 200, body.to_string())
    }

    /// The next call of this operation gets this error of a JSON service.
    pub(super) fn refuse(&self, operation: &'static str, code: &str, message: &str) -> &Self {
        self.script(operation, 400, json!({"__type": code, "message": message}).to_string())
    }

    /// The next call of this operation gets this answer, as it is.
    pub(super) fn script(&self, operation: &'static str, status: u16, body: String) -> &Self {
        self.state.scripted.lock().unwrap().push_back(Scripted { operation, status, body });
        self
    }

    /// All calls so far.
    pub(super) fn calls(&self) -> Vec<Call> {
        self.state.calls.lock().unwrap().clone()
    }

    /// The operations of all calls since the last time this was asked.
    pub(super) fn take_operations(&self) -> Vec<String> {
        self.state.calls.lock().unwrap().drain(..).map(|call| call.operation).collect()
    }

    /// An `aws` connection to this endpoint.
    pub(super) fn connection(&self, conn_id: &str, extra: Value) -> Connection {
        let mut whole = json!({
            "region_name": "us-east-1",
            "endpoint_url": self.url,
            "service_config": {"sts": {"endpoint_url": self.url}},
        });
        for (key, value) in extra.as_object().unwrap() {
            whole[key] = value.clone();
        }
        Connection {
            conn_id: conn_id.to_owned(),
            conn_type: "aws".to_owned(),
            login: Some("AKIATESTTESTTEST".to_owned()),
            password: Some("the-secret-access-key".to_owned()),
            extra: Some(whole.to_string()),
            ..Connection::default()
        }
    }

    /// An attempt whose `aws_default` is this endpoint.
    pub(super) fn task(&self, task_id: &str) -> TestTask {
        TestTask::new(task_id).connection(self.connection("aws_default", json!({})))
    }

    /// The context of such an attempt.
    pub(super) fn context(&self, task_id: &str) -> (TaskContext, Arc<TestServices>) {
        self.task(task_id).build()
    }
}

/// An operator of the registry with these parameters.
pub(super) fn operator(name: &str, parameters: Value) -> Runnable {
    let Value::Object(parameters) = parameters else { panic!("parameters are an object") };
    registry::find(name).unwrap_or_else(|| panic!("no operator {name}")).build(parameters).unwrap()
}

/// What is wrong with these parameters.
pub(super) fn complaint(name: &str, parameters: Value) -> String {
    let Value::Object(parameters) = parameters else { panic!("parameters are an object") };
    registry::find(name).unwrap().build(parameters).err().expect("the parameters are refused")
}

fn start_moto() -> (Child, String) {
    let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lab/.venv");
    let of_lab = std::env::var_os("WINDROSE_VENV").map_or(lab, PathBuf::from).join("bin/moto_server");
    let program = if of_lab.exists() { of_lab } else { "moto_server".into() };
    let mut child = Command::new(program)
        .args(["-H", "127.0.0.1", "-p", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("moto_server is installed: run `lab/lab --prepare`, or `pip install 'moto[server]'`");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let url = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("Running on ")?.1.trim().to_owned()))
        .expect("moto says where it listens");
    // It would block once its pipe is full.
    std::thread::spawn(move || lines.for_each(drop));
    (child, url)
}

async fn serve(mut client: TcpStream, state: &State) {
    let Some((head, body)) = read_message(&mut client).await else { return };
    let call = describe(&head, &body);
    let scripted = {
        let mut all = state.scripted.lock().unwrap();
        let found = all.iter().position(|s| s.operation == call.operation);
        found.and_then(|i| all.remove(i))
    };
    if call.operation != "Moto" {
        state.calls.lock().unwrap().push(call.clone());
    }
    let answer = match (scripted, &state.upstream) {
        (Some(scripted), _) => plain_answer(scripted.status, &scripted.body),
        (None, Some(upstream)) => forward(upstream, &head, &body).await,
        (None, None) => {
            let text = format!("nothing is scripted for {}", call.operation);
            plain_answer(400, &json!({"__type": "NotScripted", "message": text}).to_string())
        }
    };
    client.write_all(&answer).await.ok();
    client.shutdown().await.ok();
}

async fn read_message(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break end + 4;
        }
        if client.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length: usize = header(&head, "content-length").and_then(|t| t.parse().ok()).unwrap_or(0);
    while bytes.len() < end + length {
        if client.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, bytes[end..].to_vec()))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn describe(head: &str, body: &[u8]) -> Call {
    let text = String::from_utf8_lossy(body);
    let mut request = head.split_whitespace();
    let (method, path) = (request.next().unwrap_or_default(), request.next().unwrap_or_default());
    let query = text.split('&').find_map(|pair| pair.strip_prefix("Action="));
    let has_key = path.split('?').next().unwrap_or_default().trim_matches('/').contains('/');
    let operation = match (header(head, "x-amz-target").and_then(|t| t.rsplit('.').next()), query) {
        (Some(target), _) => target,
        (None, Some(action)) => action,
        _ if path.starts_with("/moto-api") => "Moto",
        _ => match (method, has_key) {
            ("HEAD", _) => "HeadObject",
            ("GET", false) => "ListObjectsV2",
            ("PUT", true) => "PutObject",
            ("PUT", false) => "CreateBucket",
            _ => method,
        },
    };
    let scope: Vec<_> = header(head, "authorization")
        .and_then(|text| text.split_once("Credential="))
        .map(|(_, scope)| scope.split(['/', ',']).collect())
        .unwrap_or_default();
    let part = |i: usize| scope.get(i).map_or_else(String::new, |t| (*t).to_owned());
    let body = serde_json::from_str(&text).unwrap_or_else(|_| json!(format!("{path} {text}")));
    Call { operation: operation.to_owned(), access_key: part(0), region: part(2), body }
}

fn plain_answer(status: u16, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} -\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\
         x-amzn-requestid: request-1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn forward(upstream: &str, head: &str, body: &[u8]) -> Vec<u8> {
    let mut server = TcpStream::connect(upstream.trim_start_matches("http://")).await.unwrap();
    let (first, rest) = head.split_once("\r\n").unwrap();
    server.write_all(format!("{first}\r\nconnection: close\r\n{rest}").as_bytes()).await.unwrap();
    server.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await.ok();
    answer
}
