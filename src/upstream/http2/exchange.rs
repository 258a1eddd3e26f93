//! One request and its answer, on a stream.

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::header::{CONTENT_LENGTH, HOST, HeaderName, USER_AGENT, VIA};
use http::uri::{PathAndQuery, Scheme, Uri};
use http::{StatusCode, Version};
use tokio::time::{Instant, timeout_at};

use super::Tap;
use crate::bounds;
use crate::upstream::reply::{BadHead, BrokenBody, Reply, ReplyBody};
use crate::upstream::request::{self, Request};
use crate::upstream::{SendError, Settings};

/// Why no answer came.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The connection ended before it took the request, or without processing it: nothing was sent.
    Ended(String),
    /// The stream was refused, without being processed: nothing was sent.
    Refused,
    /// Nobody knows.
    Lost(String),
    /// The same, because the deadline passed: what h2 has of a request may leave whenever it can.
    Late,
}

impl From<Unanswered> for SendError {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Ended(cause) => Self::Unreachable { cause },
            Unanswered::Refused => {
                Self::Unreachable { cause: "the upstream refused the stream".to_owned() }
            }
            Unanswered::Lost(cause) => Self::Lost { cause, late: false },
            Unanswered::Late => Self::Lost { cause: "the deadline passed".to_owned(), late: true },
        }
    }
}

/// The head of a request: what it is in HTTP/1.1, without what only that has (RFC 9113 section 8.2.2).
/// `None` if the target is none.
pub(super) fn head(request: &Request, settings: &Settings) -> Option<http::Request<()>> {
    let scheme = if settings.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(settings.authority.as_str())
        .path_and_query(PathAndQuery::try_from(request.target.as_str()).ok()?)
        .build()
        .ok()?;
    let mut head = http::Request::builder()
        .method(request.method.clone())
        .uri(uri)
        .version(Version::HTTP_2)
        .header(USER_AGENT, request::AGENT)
        .header(VIA, request::VIA_LATIMER)
        .header(HeaderName::from_static("x-request-id"), &*request.call.digits());
    if !request.headers.contains_key(request::TRACEPARENT) {
        head = head.header(request::TRACEPARENT, request.trace().as_slice());
    }
    for (name, value) in &request.headers {
        if !request::is_ours(name) && *name != HOST && !is_of_http1(name) {
            head = head.header(name, value);
        }
    }
    if !request.body.is_empty() || request::expects_body(&request.method) {
        head = head.header(CONTENT_LENGTH, request.body.len());
    }
    head.body(()).ok()
}

fn is_of_http1(name: &HeaderName) -> bool {
    matches!(name.as_str(), "keep-alive" | "proxy-connection" | "te" | "trailer" | "upgrade")
}

/// Sends a request and reads its answer. Dropped, it resets the stream.
pub(super) async fn exchange(
    mut sender: SendRequest<Bytes>,
    (head, body): (http::Request<()>, Bytes),
    tap: &Tap,
    bytes_max: usize,
    deadline: Instant,
) -> Result<Reply, Unanswered> {
    // Before the request is handed over: whatever leaves from here on may be of it.
    let before = tap.written();
    // What is refused here was not handed over.
    let ended = |error: h2::Error| Unanswered::Ended(error.to_string());
    let (response, mut sending) = sender.send_request(head, body.is_empty()).map_err(ended)?;
    if !body.is_empty() {
        // All at once: it is in memory anyway, and h2 sends it as the other side takes it. If that has
        // reset the stream already, the answer says so.
        let _ = sending.send_data(body, true);
    }
    // Other calls may go on without a handle of ours.
    drop(sender);
    let response = match timeout_at(deadline, response).await {
        Err(_) => return Err(Unanswered::Late),
        Ok(Err(error)) => return Err(unanswered(&error, tap, before)),
        Ok(Ok(response)) => response,
    };
    let (parts, mut body) = response.into_parts();
    if parts.headers.len() > bounds::HEADERS_MAX {
        return Err(Unanswered::Lost(BadHead::TooLarge.to_string()));
    }
    // Section 8.6: it is not a part of HTTP/2.
    if parts.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Unanswered::Lost(BadHead::Switched.to_string()));
    }
    let read = timeout_at(deadline, read_body(&mut body, bytes_max)).await;
    let body = match read.unwrap_or(Err(BrokenBody::TimedOut)) {
        Ok(whole) => ReplyBody::Whole(whole),
        Err(broken) => ReplyBody::Broken(broken),
    };
    Ok(Reply { head: parts, body })
}

/// Reads a body. Its length, if its head gives one, is held against what comes by h2.
async fn read_body(body: &mut RecvStream, bytes_max: usize) -> Result<Bytes, BrokenBody> {
    let mut whole = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data.map_err(|error| match error.reason() {
            // A length that is not kept, as h2 says it.
            Some(Reason::PROTOCOL_ERROR) if error.is_library() => BrokenBody::Malformed,
            Some(_) | None => BrokenBody::Truncated,
        })?;
        if whole.len() + data.len() > bytes_max {
            return Err(BrokenBody::TooLarge);
        }
        // If the stream has gone, the next read says so.
        let _ = body.flow_control().release_capacity(data.len());
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// What an error says of a request that was handed over.
fn unanswered(error: &h2::Error, tap: &Tap, before: u64) -> Unanswered {
    let cause = error.to_string();
    // RFC 9113 section 8.7.
    if error.is_remote() && error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM) {
        return Unanswered::Refused;
    }
    // Section 6.8: h2 gives another side's GOAWAY to streams above its last one, and to no others.
    if error.is_remote() && error.is_go_away() {
        return Unanswered::Ended(cause);
    }
    let of_the_connection = error.is_io() || error.is_go_away();
    if of_the_connection && tap.cut_if_untouched(before) {
        return Unanswered::Ended(cause);
    }
    Unanswered::Lost(cause)
}
