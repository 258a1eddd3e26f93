//! An answer, from the bytes of HTTP/1.1 (RFC 9112 sections 4 to 7).
//!
//! Nothing here touches a socket: bytes go in, and it says what they are and whether more are wanted.

mod chunked;

use std::fmt;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use smallvec::SmallVec;

use self::chunked::Chunked;
use crate::bounds;
use crate::codec::coding::{Codings, Undecoded};

/// An answer with a full head.
#[derive(Debug)]
pub struct Reply {
    /// Status and header fields.
    pub head: http::response::Parts,
    /// The body, as far as it came.
    pub body: ReplyBody,
}

/// An answer's body.
#[derive(Debug)]
pub enum ReplyBody {
    /// All of it.
    Whole(Bytes),
    /// Not all of it.
    Broken(BrokenBody),
}

/// Why a body is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenBody {
    /// It ended early.
    Truncated,
    /// It is over the cap.
    TooLarge,
    /// The deadline passed.
    TimedOut,
    /// Where it ends cannot be told, or it is not framed as its head says.
    Malformed,
    /// It has a content coding that is not read, or is not what its coding says.
    Undecodable,
}

/// Why bytes are no head of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHead {
    /// They are something else.
    NotHttp,
    /// There are too many of them, or too many fields.
    TooLarge,
    /// It goes on in another protocol, which nobody asked for.
    Switched,
}

/// A head, and how the body behind it ends.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) parts: http::response::Parts,
    pub(super) framing: Framing,
    /// True if the connection can take another request once the body has been read.
    pub(super) keeps_alive: bool,
}

/// How a body ends (RFC 9112 section 6.3).
#[derive(Debug)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With its last chunk.
    Chunked(Chunked),
    /// With the connection.
    ToEnd,
    /// Nobody can tell.
    Unclear,
}

impl Reply {
    /// Takes the content codings off the body, which nobody asked for (RFC 9110 section 12.5.3: without an
    /// `Accept-Encoding` a server may take any). What comes out is held to the size of a body.
    pub fn decode(&mut self, bytes_max: usize) {
        let Some(decoded) = self.decoded(bytes_max) else { return };
        self.head.headers.remove(CONTENT_ENCODING);
        self.body = decoded;
    }

    /// The body without its codings; `None` if it has none.
    pub fn decoded(&self, bytes_max: usize) -> Option<ReplyBody> {
        if !self.head.headers.contains_key(CONTENT_ENCODING) {
            return None;
        }
        let ReplyBody::Whole(bytes) = &self.body else { return None };
        let values = self.head.headers.get_all(CONTENT_ENCODING).iter();
        let codings = Codings::read(values.map(HeaderValue::as_bytes));
        // An answer without a body may tell of the coding that it would have.
        if bytes.is_empty() || codings.as_ref().is_ok_and(Codings::is_empty) {
            return None;
        }
        let broken = match codings.map(|codings| codings.decode(bytes, bytes_max)) {
            Ok(Ok(decoded)) => return Some(ReplyBody::Whole(decoded.into())),
            Ok(Err(Undecoded::TooLarge)) => BrokenBody::TooLarge,
            Ok(Err(Undecoded::Broken)) | Err(_) => BrokenBody::Undecodable,
        };
        Some(ReplyBody::Broken(broken))
    }
}

impl fmt::Display for BadHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHttp => "what came is no HTTP/1.1 answer",
            Self::TooLarge => "the answer's head is too large",
            Self::Switched => "the upstream switched to another protocol",
        })
    }
}

/// Takes a head off the front; `None` if it has not come whole. Interim answers (1xx) are passed over.
pub(super) fn take_head(received: &mut BytesMut, method: &Method) -> Result<Option<Head>, BadHead> {
    loop {
        let Some((length, head)) = parse(received)? else { return Ok(None) };
        let bytes = received.split_to(length).freeze();
        let head = head.build(&bytes, method)?;
        match head.parts.status {
            StatusCode::SWITCHING_PROTOCOLS => return Err(BadHead::Switched),
            status if status.is_informational() => {}
            _ => return Ok(Some(head)),
        }
    }
}

/// Where the parts of a head stand in the bytes.
struct Parsed {
    version: Version,
    status: StatusCode,
    /// Name and value.
    fields: SmallVec<[(Range<usize>, Range<usize>); FIELDS_USUAL]>,
}

/// Fields that most heads have at most.
const FIELDS_USUAL: usize = 12;

fn parse(received: &[u8]) -> Result<Option<(usize, Parsed)>, BadHead> {
    let mut fields = [const { std::mem::MaybeUninit::uninit() }; bounds::HEADERS_MAX];
    let mut response = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let parsed = config.parse_response_with_uninit_headers(&mut response, received, &mut fields);
    let length = match parsed {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if received.len() < bounds::REPLY_HEAD_BYTES_MAX => {
            return Ok(None);
        }
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Err(BadHead::TooLarge);
        }
        Err(_) => return Err(BadHead::NotHttp),
    };
    if length > bounds::REPLY_HEAD_BYTES_MAX {
        return Err(BadHead::TooLarge);
    }
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok());
    let version = if response.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let begins = received.as_ptr() as usize;
    let place = |part: &[u8]| {
        let start = part.as_ptr() as usize - begins;
        start..start + part.len()
    };
    let fields = response.headers.iter();
    let fields = fields.map(|field| (place(field.name.as_bytes()), place(field.value))).collect();
    let status = status.ok_or(BadHead::NotHttp)?;
    Ok(Some((length, Parsed { version, status, fields })))
}

impl Parsed {
    /// The values share the bytes that came.
    fn build(self, bytes: &Bytes, method: &Method) -> Result<Head, BadHead> {
        let mut headers = HeaderMap::with_capacity(self.fields.len());
        // Noted as they go by: most answers need no look at the map.
        let (mut length, mut lengths, mut is_coded, mut is_told) = (None, 0, false, false);
        for (name, value) in self.fields {
            let name = HeaderName::from_bytes(&bytes[name]);
            let value = HeaderValue::from_maybe_shared(bytes.slice(value));
            let (Ok(name), Ok(value)) = (name, value) else { return Err(BadHead::NotHttp) };
            if name == CONTENT_LENGTH {
                length = digits(value.as_bytes());
                lengths += 1;
            }
            is_coded |= name == TRANSFER_ENCODING;
            is_told |= name == CONNECTION;
            headers.append(name, value);
        }
        let framing = match length {
            Some(length) if lengths == 1 && !is_coded && may_have_body(method, self.status) => {
                Framing::Length(length)
            }
            Some(_) | None => framing(method, self.status, self.version, &headers),
        };
        let keeps_alive = match self.version {
            Version::HTTP_11 if !is_told => true,
            version => keeps_alive(version, &headers),
        };
        let keeps_alive =
            keeps_alive && matches!(framing, Framing::Length(_) | Framing::Chunked(_));
        let (mut parts, ()) = Response::new(()).into_parts();
        parts.status = self.status;
        parts.version = self.version;
        parts.headers = headers;
        Ok(Head { parts, framing, keeps_alive })
    }
}

/// RFC 9110 section 6.4.1.
fn may_have_body(method: &Method, status: StatusCode) -> bool {
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    *method != Method::HEAD && !bodiless && !status.is_informational()
}

/// RFC 9112 section 6.3. A message with both lengths, or with two that differ, is one that another
/// reader would end elsewhere.
fn framing(method: &Method, status: StatusCode, version: Version, headers: &HeaderMap) -> Framing {
    if !may_have_body(method, status) {
        return Framing::Length(0);
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (lengths.next(), codings.next()) {
        (None, None) => Framing::ToEnd,
        (None, Some(coding)) => {
            let chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked");
            if chunked && codings.next().is_none() && version == Version::HTTP_11 {
                Framing::Chunked(Chunked::default())
            } else {
                Framing::Unclear
            }
        }
        (Some(length), None) if lengths.all(|other| other == length) => {
            digits(length.as_bytes()).map_or(Framing::Unclear, Framing::Length)
        }
        (Some(_), _) => Framing::Unclear,
    }
}

/// Digits and nothing else: `+5` and `0x5` are read differently by others.
fn digits(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// RFC 9112 section 9.3.
fn keeps_alive(version: Version, headers: &HeaderMap) -> bool {
    let has = |wanted: &str| {
        let mut values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
        values.any(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(wanted)))
    };
    if version == Version::HTTP_10 { has("keep-alive") && !has("close") } else { !has("close") }
}

/// What a body's reader says of the bytes so far.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// There it is; what stands behind it was left.
    Whole(Bytes),
    /// More bytes are wanted.
    More,
}

impl Framing {
    /// Takes the body off the front, or as much as has come; `ended` if no more will come.
    pub(super) fn take_body(
        &mut self,
        received: &mut BytesMut,
        bytes_max: usize,
        ended: bool,
    ) -> Result<Progress, BrokenBody> {
        let progress = match self {
            Self::Unclear => return Err(BrokenBody::Malformed),
            Self::Length(length) => {
                let length = usize::try_from(*length).unwrap_or(usize::MAX);
                if length > bytes_max {
                    return Err(BrokenBody::TooLarge);
                }
                if received.len() < length {
                    received.reserve(length - received.len());
                    Progress::More
                } else {
                    Progress::Whole(received.split_to(length).freeze())
                }
            }
            Self::Chunked(chunked) => chunked.take(received, bytes_max)?,
            Self::ToEnd if received.len() > bytes_max => return Err(BrokenBody::TooLarge),
            Self::ToEnd if ended => Progress::Whole(received.split().freeze()),
            Self::ToEnd => Progress::More,
        };
        match progress {
            Progress::More if ended => Err(BrokenBody::Truncated),
            progress => Ok(progress),
        }
    }
}

#[cfg(test)]
mod tests;
