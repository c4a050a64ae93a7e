//! Asking the web server as it is asked over the wire.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

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
