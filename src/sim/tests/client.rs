//! A raw client of the tests: a request is written as text, the answer is taken apart by hand, so that
//! nothing between the test and the bytes can repair them.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::sim::{Options, Simulator, Vendor, serve};

/// An answer, as it came.
#[derive(Debug)]
pub(in crate::sim) struct Reply {
    pub(in crate::sim) status: u16,
    /// Names as they were written.
    pub(in crate::sim) headers: Vec<(String, String)>,
    pub(in crate::sim) body: Vec<u8>,
}

impl Reply {
    /// Reads one answer with a Content-Length from a stream, and no byte more.
    pub(in crate::sim) async fn read(stream: &mut TcpStream) -> Reply {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("the answer has a whole head"));
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap();
        assert!(status_line.starts_with("HTTP/1.1 "), "{status_line}");
        let status = status_line[9..12].parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut reply = Reply { status, headers, body: Vec::new() };
        let length: usize = reply.header("content-length").map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.expect("the answer has a whole body");
        reply.body = body;
        reply
    }

    pub(in crate::sim) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub(in crate::sim) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// Status and body, for one comparison.
    pub(in crate::sim) fn seen(&self) -> (u16, String) {
        (self.status, self.text())
    }
}

pub(in crate::sim) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

pub(in crate::sim) async fn start(vendor: Vendor) -> Simulator {
    start_with(vendor, Options::default()).await
}

pub(in crate::sim) async fn start_with(vendor: Vendor, options: Options) -> Simulator {
    serve(vendor, listener().await, options).unwrap()
}

pub(in crate::sim) async fn connect(simulator: &Simulator) -> TcpStream {
    TcpStream::connect(simulator.addr()).await.unwrap()
}

/// Sends a request on a connection of its own.
pub(in crate::sim) async fn send(simulator: &Simulator, request: &str) -> Reply {
    let mut stream = connect(simulator).await;
    stream.write_all(&wire(request, true)).await.unwrap();
    Reply::read(&mut stream).await
}

/// The bytes of a request: lines get their CRLF, the body its length.
pub(in crate::sim) fn wire(request: &str, last: bool) -> Vec<u8> {
    let (head, body) = request.split_once("\n\n").expect("a blank line ends the head");
    let mut head: Vec<String> = head.lines().map(|line| line.trim().to_owned()).collect();
    if last {
        head.push("Connection: close".to_owned());
    }
    if !body.is_empty() {
        head.push(format!("Content-Length: {}", body.len()));
    }
    format!("{}\r\n\r\n{body}", head.join("\r\n")).into_bytes()
}
