//! A client that speaks to the gateway byte by byte, and reads answers one after the other.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Answer, KEY, PATIENCE};

/// What a desk of Thalamus says when it has done it.
pub(crate) const CASE: &str = r#"{"context":{},"case":{"id":10,"status":"open"}}"#;
/// A right body of a Series client.
pub(crate) const ASKED: &str = r#"{"status":"open","staffUserId":7}"#;

/// A connection.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    /// What came and was not read yet.
    came: Vec<u8>,
}

impl Wire {
    pub(crate) async fn open(address: &str) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), came: Vec::new() }
    }

    /// Sends; the gateway may have closed by then.
    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// The next head, as it came.
    pub(crate) async fn head(&mut self) -> String {
        loop {
            let end = self.came.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.came.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.more().await, "the end, and no head: {:?}", self.came);
        }
    }

    /// The next answer, with the body that it announces.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let mut answer = Answer::parse(head.as_bytes());
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.came.len() < length {
            assert!(self.more().await, "the end, and no body: {answer:?}");
        }
        answer.body = String::from_utf8(self.came.drain(..length).collect()).unwrap();
        answer
    }

    /// What else comes before the end.
    pub(crate) async fn rest(&mut self) -> String {
        while self.more().await {}
        String::from_utf8_lossy(&std::mem::take(&mut self.came)).into_owned()
    }

    async fn more(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.came);
        let read = tokio::time::timeout(PATIENCE, read).await.expect("something comes in time");
        read.is_ok_and(|read| read > 0)
    }
}

/// A head of a Series client with a right key, without its empty line.
pub(crate) fn head(line: &str, more: &str) -> String {
    format!(
        "{line}\r\nHost: gateway.test\r\napikey: {KEY}\r\nContent-Type: application/json\r\n{more}"
    )
}

/// A right request for a ticket.
pub(crate) fn right(ticket: u32) -> String {
    let line = format!("POST /tickets/{ticket}/status HTTP/1.1");
    let length = format!("Content-Length: {}\r\n", ASKED.len());
    format!("{}\r\n{ASKED}", head(&line, &length))
}
