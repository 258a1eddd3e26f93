//! How a connection is broken: what is done to its socket once hyper has let go of it.

use std::fmt;
use std::io;

use bytes::Bytes;
use http::StatusCode;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::sim::exchange::Answer;

/// Bytes that no reader takes for the beginning of an HTTP answer.
const GARBAGE: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\xfc not an answer\r\n\x00\xff\xfe\r\n\r\n";

/// A way to end a connection that hyper would not take part in. It travels as the service's error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Break {
    /// A TCP reset.
    Reset,
    /// An orderly end, without a byte.
    Silence,
    /// Bytes that are no answer, then the end.
    Garbage,
    /// The beginning of an answer, then the end.
    Truncated { status: StatusCode, bytes: Bytes },
}

impl Break {
    /// The break, if that is why hyper gave the connection up.
    pub(super) fn of(error: &hyper::Error) -> Option<Break> {
        std::error::Error::source(error)?.downcast_ref().cloned()
    }

    /// The whole head of an answer, which promises more bytes than the half body that follows it.
    pub(super) fn truncated(answer: &Answer) -> Break {
        let status = answer.status;
        // Even an empty body must end too early.
        let promised = answer.body.len().max(1);
        let reason = status.canonical_reason().unwrap_or_default();
        let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
        for (name, value) in &answer.headers {
            bytes.extend_from_slice(name.as_str().as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value.as_bytes());
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(format!("content-length: {promised}\r\n\r\n").as_bytes());
        bytes.extend_from_slice(&answer.body[..answer.body.len() / 2]);
        Break::Truncated { status, bytes: bytes.into() }
    }

    /// The status that the client saw, if it saw one.
    pub(super) fn status(&self) -> Option<StatusCode> {
        match self {
            Break::Truncated { status, .. } => Some(*status),
            Break::Reset | Break::Silence | Break::Garbage => None,
        }
    }

    /// Does it to the socket.
    pub(super) async fn act(self, mut stream: TcpStream) -> io::Result<()> {
        match self {
            Break::Reset => {
                // With no time to linger, closing sends RST in place of FIN.
                stream.set_zero_linger()?;
                drop(stream);
                Ok(())
            }
            Break::Silence => stream.shutdown().await,
            Break::Garbage => {
                stream.write_all(GARBAGE).await?;
                stream.shutdown().await
            }
            Break::Truncated { bytes, .. } => {
                stream.write_all(&bytes).await?;
                stream.shutdown().await
            }
        }
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is broken on purpose")
    }
}

impl std::error::Error for Break {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_an_empty_body_ends_too_early() {
        let Break::Truncated { bytes, .. } = Break::truncated(&Answer::empty(StatusCode::OK))
        else {
            panic!("not truncated");
        };
        assert_eq!(bytes, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n");
    }
}
