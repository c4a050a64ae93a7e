//! A lab, a workspace whose secrets come from it, and looking at what was left and shown.

#![allow(clippy::expect_used, reason = "helpers of tests")]

pub(crate) mod pipeline;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use windrose_testkit::lab::Lab;
use windrose_testkit::process::Workspace;

/// A lab, and a workspace that reads its connections and variables from it.
pub(crate) fn started_lab() -> (Lab, Workspace) {
    let lab = Lab::start();
    let mut workspace = Workspace::new(env!("CARGO_BIN_EXE_windrose"), None);
    for (name, value) in lab.environment() {
        workspace.set_env(name, &value);
    }
    (lab, workspace)
}

/// A web page as it comes over the wire. It must be there.
pub(crate) fn web_page(url: &str) -> Vec<u8> {
    let (address, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("a URL");
    let mut stream = TcpStream::connect(address).expect("the web server");
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let text = String::from_utf8_lossy(&answer);
    assert!(text.starts_with("HTTP/1.1 200"), "{url} answers {}", text.lines().next().unwrap_or_default());
    answer
}

/// Every file below a folder, with its path and its bytes.
pub(crate) fn files_below(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("a file").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.display().to_string(), std::fs::read(&path).expect("a file's bytes")));
            }
        }
    }
    found
}
