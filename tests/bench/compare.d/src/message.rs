//! Whole HTTP/1.1 messages out of a buffer: by `Content-Length`, chunked, or without a body.

use std::borrow::Cow;

use httparse::{EMPTY_HEADER, Header, Status};

/// More fields than any client or proxy here sends.
const HEADERS_MAX: usize = 32;

/// A message that cannot be read on; the connection has to go.
#[derive(Debug)]
pub struct Malformed;

/// A body, and where its message ends.
type Body<'b> = (Cow<'b, [u8]>, usize);

impl From<httparse::Error> for Malformed {
    fn from(_: httparse::Error) -> Self {
        Self
    }
}

/// A request, as far as the upstream looks at it.
pub struct Request<'b> {
    pub method: &'b str,
    pub path: &'b str,
    /// `Thalamus-Token`.
    pub token: Option<&'b [u8]>,
    pub body: Cow<'b, [u8]>,
    /// Bytes of the whole message.
    pub length: usize,
}

/// A response, as far as a client looks at it.
pub struct Response<'b> {
    pub status: u16,
    pub body: Cow<'b, [u8]>,
    /// Bytes of the whole message.
    pub length: usize,
}

/// The request at the start of the bytes; none while it has not come whole.
pub fn request(bytes: &[u8]) -> Result<Option<Request<'_>>, Malformed> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    let Status::Complete(start) = head.parse(bytes)? else { return Ok(None) };
    let Some((body, length)) = body(head.headers, bytes, start)? else { return Ok(None) };
    Ok(Some(Request {
        method: head.method.unwrap_or_default(),
        path: head.path.unwrap_or_default(),
        token: field(head.headers, "thalamus-token"),
        body,
        length,
    }))
}

/// The response at the start of the bytes; none while it has not come whole.
pub fn response(bytes: &[u8]) -> Result<Option<Response<'_>>, Malformed> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let Status::Complete(start) = head.parse(bytes)? else { return Ok(None) };
    let Some((body, length)) = body(head.headers, bytes, start)? else { return Ok(None) };
    Ok(Some(Response { status: head.code.unwrap_or_default(), body, length }))
}

fn field<'b>(headers: &[Header<'b>], name: &str) -> Option<&'b [u8]> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// The body behind the head.
fn body<'b>(
    headers: &[Header<'_>],
    bytes: &'b [u8],
    start: usize,
) -> Result<Option<Body<'b>>, Malformed> {
    if let Some(value) = field(headers, "content-length") {
        let value = std::str::from_utf8(value).map_err(|_| Malformed)?;
        let length: usize = value.parse().map_err(|_| Malformed)?;
        let end = start.checked_add(length).ok_or(Malformed)?;
        return Ok(bytes.get(start..end).map(|body| (Cow::Borrowed(body), end)));
    }
    if field(headers, "transfer-encoding").is_some() {
        return chunks(bytes, start);
    }
    Ok(Some((Cow::Borrowed(&[]), start)))
}

/// A chunked body without trailers.
fn chunks(bytes: &[u8], start: usize) -> Result<Option<Body<'_>>, Malformed> {
    let mut body = Vec::new();
    let mut at = start;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let line = httparse::parse_chunk_size(rest).map_err(|_| Malformed)?;
        let Status::Complete((line, size)) = line else { return Ok(None) };
        let size = usize::try_from(size).map_err(|_| Malformed)?;
        let data = at + line;
        let end = data.checked_add(size).ok_or(Malformed)?;
        if bytes.len() < end + 2 {
            return Ok(None);
        }
        body.extend_from_slice(&bytes[data..end]);
        at = end + 2;
        if size == 0 {
            return Ok(Some((Cow::Owned(body), at)));
        }
    }
}
