//! The demo's own `windrose standalone`.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{ChildStdout, Command};

use super::child::Part;
use super::folder::DemoFolder;
use super::lab::Endpoints;

/// Variables of these kinds would lead the server elsewhere than into the lab.
const FOREIGN: [&str; 3] = ["AWS_", "AIRFLOW_", "WINDROSE_"];

/// The server's process.
pub(super) struct Server {
    pub(super) process: Part,
    output: BufReader<ChildStdout>,
}

impl Server {
    pub(super) fn start(bind: Option<SocketAddr>, folder: &DemoFolder, lab: &Endpoints) -> Result<Self> {
        std::fs::write(folder.configuration(), configuration(bind.unwrap_or_else(free_address), folder, lab)?)
            .context("the server's configuration cannot be written")?;
        let binary = std::env::current_exe().context("the path of this program cannot be found out")?;
        let mut command = Command::new(binary);
        for (name, _) in std::env::vars_os() {
            if FOREIGN.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command
            .arg("--config")
            .arg(folder.configuration())
            .args(["standalone", "--exit-with-stdin"])
            // The credentials of the machine, as an instance's role would give them: with them the secrets are read.
            .env("AWS_ACCESS_KEY_ID", &lab.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &lab.secret_access_key)
            .stderr(folder.log()?);
        let (process, output) = Part::start("the server", &mut command)?;
        Ok(Self { process, output })
    }

    /// Waits until it is ready, and says where its web page is.
    pub(super) async fn ready(&mut self) -> Result<String> {
        let mut line = String::new();
        while self.output.read_line(&mut line).await.context("the server's output cannot be read")? > 0 {
            if let Some((_, url)) = line.trim_end().split_once("ready: ") {
                return Ok(url.to_owned());
            }
            line.clear();
        }
        bail!("the server of the demo did not start ({}); it says why above", self.process.status().await?)
    }
}

/// The usual address, or a free port where that one is taken.
fn free_address() -> SocketAddr {
    let usual = SocketAddr::from(([127, 0, 0, 1], 8080));
    if TcpListener::bind(usual).is_ok() { usual } else { SocketAddr::from(([127, 0, 0, 1], 0)) }
}

/// All connections and variables come from the lab's Secrets Manager.
fn configuration(bind: SocketAddr, folder: &DemoFolder, lab: &Endpoints) -> Result<String> {
    let document = json!({
        "data": folder.data(),
        "dags": folder.dags(),
        "dag_defaults": { "paused_at_creation": false },
        "web": { "bind": bind },
        "secrets": { "backends": [{
            "backend": "aws_secrets_manager",
            "kwargs": { "endpoint_url": lab.aws_endpoint_url, "region_name": lab.region },
        }] },
    });
    toml::to_string(&document).context("the server's configuration cannot be written")
}
