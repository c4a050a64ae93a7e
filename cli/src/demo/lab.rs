//! The lab's process, and what it says of itself when it is ready.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{ChildStdout, Command};

use super::child::Part;
use super::folder::DemoFolder;

/// The lab's ready line. It holds secrets, so it is never printed.
#[derive(Deserialize)]
pub(super) struct Endpoints {
    pub(super) aws_endpoint_url: String,
    pub(super) lab_url: String,
    pub(super) region: String,
    pub(super) access_key_id: String,
    pub(super) secret_access_key: String,
    roles: HashMap<String, String>,
}

impl Endpoints {
    /// A role's ARN.
    pub(super) fn role(&self, name: &str) -> Result<&str> {
        let arn = self.roles.get(name).map(String::as_str);
        arn.with_context(|| format!("the lab has no role '{name}'; use the seed that comes with it"))
    }
}

/// The lab's process.
pub(super) struct Lab {
    pub(super) process: Part,
    output: BufReader<ChildStdout>,
}

impl Lab {
    pub(super) fn start(program: &Path, folder: &DemoFolder) -> Result<Self> {
        let program = std::path::absolute(program).context("the lab's program cannot be found")?;
        let mut command = Command::new(program);
        command.arg("--exit-with-parent").arg("--data").arg(folder.lab());
        let (process, output) = Part::start("the lab", &mut command)?;
        Ok(Self { process, output })
    }

    /// Waits until it is ready. The first start on a machine installs its packages, and says so.
    pub(super) async fn ready(&mut self) -> Result<Endpoints> {
        let mut line = String::new();
        self.output.read_line(&mut line).await.context("the lab's answer cannot be read")?;
        if line.is_empty() {
            bail!("the lab did not start ({}); it says why above", self.process.status().await?);
        }
        serde_json::from_str(&line).context("the lab's answer is not understood")
    }
}
