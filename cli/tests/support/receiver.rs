//! Servers of the tests' own, to which people are told things.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use windrose_testkit::process::wait_until;

/// What a server got, one text per request or mail.
pub(crate) type Got = Arc<Mutex<Vec<String>>>;

/// A server on a free port that hands each connection to `serve`.
pub(crate) fn server(serve: impl Fn(TcpStream, &Got) + Send + Sync + 'static) -> (u16, Got) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let got = Got::default();
    let seen = Arc::clone(&got);
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (serve, got) = (Arc::clone(&serve), Arc::clone(&got));
            std::thread::spawn(move || serve(stream, &got));
        }
    });
    (port, seen)
}

/// A web server: keeps head and body of each request, and refuses as many as it is told.
pub(crate) fn web_server(answer: &'static str, refusals: usize) -> (u16, Got) {
    let left = Mutex::new(refusals);
    server(move |mut stream, got| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut head = String::new();
        let mut length = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let refuses = {
            let mut left = left.lock().unwrap();
            let refuses = *left > 0;
            *left = left.saturating_sub(1);
            refuses
        };
        let status = if refuses { "503 Service Unavailable" } else { "200 OK" };
        got.lock().unwrap().push(format!("{status}\n{head}\n{}", String::from_utf8(body).unwrap()));
        let length = answer.len();
        let _ = write!(
            stream,
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
        );
    })
}

pub(crate) fn all(got: &Got, count: usize) -> Vec<String> {
    wait_until(&format!("{count} notifications"), || {
        let got = got.lock().unwrap().clone();
        if got.len() >= count { Ok(got) } else { Err(format!("{got:?}")) }
    })
}

pub(crate) fn body(request: &str) -> Value {
    serde_json::from_str(request.rsplit_once('\n').unwrap().1).unwrap()
}
