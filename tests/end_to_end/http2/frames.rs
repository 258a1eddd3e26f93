//! HTTP/2 frame by frame, for clients that behave as no library does.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::vendors::Request;

/// Types of frames and their flags (RFC 9113 section 6).
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// `POST http://a/` by the static table (RFC 7541 appendix A).
pub(crate) const HEAD: &[u8] = &[0x83, 0x86, 0x84, 0x41, 0x01, b'a'];

/// What came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The number of four bytes that stands there: the reason of a RST_STREAM, or of a GOAWAY.
    pub(crate) fn number_at(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

pub(crate) fn preface() -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    bytes
}

/// A whole request on a stream, its fields as literals that are not indexed (RFC 7541 section 6.2.2).
pub(crate) fn request_on(stream: u32, request: &Request) -> Vec<u8> {
    let (method, path) = request.line.split_once(' ').unwrap();
    let named =
        [(":method", method), (":scheme", "http"), (":authority", "a.test"), (":path", path)];
    let fields = request.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let mut block = Vec::new();
    for (name, value) in named.into_iter().chain(fields) {
        block.push(0);
        for text in [name.to_lowercase().as_str(), value] {
            // One byte has room for lengths below 127.
            assert!(text.len() < 127, "{text}");
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    let mut bytes = frame(HEADERS, END_HEADERS, stream, &block);
    bytes.extend(frame(DATA, END_STREAM, stream, request.body.as_bytes()));
    bytes
}

/// The next frame; an error at the end.
pub(crate) async fn next<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).await?;
    let number = u32::from_be_bytes(head[5..].try_into().unwrap());
    Ok(Frame { kind: head[3], flags: head[4], stream: number, payload })
}
