//! Answers the questions of a running Python task: XComs, variables and connections, over a socket of the attempt's
//! own, one line of JSON each way.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener as StdListener};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::context::TaskContext;
use crate::error::TaskError;

/// No question is longer.
const LONGEST_QUESTION: u64 = 64 * 1024;

/// Answers as long as it lives.
pub(super) struct Answers {
    address: String,
    token: String,
    serving: JoinHandle<()>,
}

#[derive(Deserialize)]
struct Question {
    token: String,
    #[serde(flatten)]
    call: Call,
}

#[derive(Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
enum Call {
    XcomPull { task_id: String, key: String, map_index: Option<i32> },
    Variable { key: String },
    Connection { conn_id: String },
}

impl Answers {
    /// Opens the socket. Its name is not a file's, so it needs no cleaning up and no short path; the token keeps other
    /// users of the machine out.
    pub(super) fn open(ctx: &TaskContext) -> io::Result<Self> {
        let address = format!("windrose-task-{}", uuid::Uuid::new_v4());
        let token = uuid::Uuid::new_v4().to_string();
        let listener = StdListener::bind_addr(&SocketAddr::from_abstract_name(address.as_bytes())?)?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let serving = tokio::spawn(serve(listener, ctx.clone(), token.clone()));
        Ok(Self { address, token, serving })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: UnixListener, ctx: TaskContext, token: String) {
    while let Ok((wire, _)) = listener.accept().await {
        // One at a time: a task asks and waits.
        if let Err(error) = answer(wire, &ctx, &token).await {
            ctx.warn(format!("A question of the task could not be answered: {error}"));
        }
    }
}

async fn answer(mut wire: UnixStream, ctx: &TaskContext, token: &str) -> io::Result<()> {
    let (reading, mut writing) = wire.split();
    let mut line = Vec::new();
    BufReader::new(reading.take(LONGEST_QUESTION)).read_until(b'\n', &mut line).await?;
    let answer = match serde_json::from_slice::<Question>(&line) {
        Ok(question) if question.token == token => match value_of(question.call, ctx).await {
            Ok(value) => json!({ "value": value }),
            Err(error) => json!({ "error": error.to_string() }),
        },
        Ok(_) => json!({ "error": "this is another task's socket" }),
        Err(error) => json!({ "error": format!("the question was not understood: {error}") }),
    };
    writing.write_all(format!("{answer}\n").as_bytes()).await
}

async fn value_of(call: Call, ctx: &TaskContext) -> Result<Value, TaskError> {
    Ok(match call {
        Call::XcomPull { task_id, key, map_index } => {
            ctx.services.xcom_pull(&task_id, map_index, &key).await?.unwrap_or_default()
        }
        Call::Variable { key } => ctx.services.variable(&key).await?.into(),
        Call::Connection { conn_id } => {
            let found = ctx.services.connection(&conn_id).await?;
            json!({
                "conn_id": found.conn_id,
                "conn_type": found.conn_type,
                "description": found.description,
                "host": found.host,
                "login": found.login,
                "password": found.password,
                "schema": found.schema,
                "port": found.port,
                "extra": found.extra,
            })
        }
    })
}
