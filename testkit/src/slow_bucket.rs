//! As much of S3 as a key sensor asks: each object is there from the third look on.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::json;

/// How often an object is not there yet.
const LOOKS_BEFORE: u32 = 2;

/// Answers HeadObject. It serves until the test's process ends.
#[derive(Debug, Clone, Copy)]
pub struct SlowBucket {
    address: SocketAddr,
}

impl SlowBucket {
    /// Starts serving on a free port of loopback.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("no free port: {error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("no address: {error}"));
        std::thread::spawn(move || {
            let mut looks: HashMap<String, u32> = HashMap::new();
            for stream in listener.incoming().flatten() {
                // Whoever asked may have been killed.
                let _ = answer(&stream, &mut looks);
            }
        });
        Self { address }
    }

    /// A connection to it, as JSON.
    #[must_use]
    pub fn connection(&self) -> String {
        let endpoint = format!("http://{}", self.address);
        json!({
            "conn_type": "aws",
            "login": "an-access-key",
            "password": "a-secret-access-key",
            "extra": { "endpoint_url": endpoint, "region_name": "us-east-1" },
        })
        .to_string()
    }
}

fn answer(mut stream: &TcpStream, looks: &mut HashMap<String, u32>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let Some(first) = lines.next().transpose()? else { return Ok(()) };
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = first.split_whitespace().nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default().to_owned();
    let count = looks.entry(path).or_default();
    *count += 1;
    let head = if *count > LOOKS_BEFORE {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"e\"\r\nLast-Modified: Mon, 05 Jan 2026 10:00:00 GMT\r\n"
    } else {
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n"
    };
    write!(stream, "{head}Connection: close\r\n\r\n")
}
