//! Reading a client's body, within its bounds, and taking its content codings off.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::call::Stop;
use crate::codec::coding::{Codings, Undecoded};
use crate::value::Fault;

/// The codings of the body (RFC 9110 section 8.4), which are looked at before it is read.
pub(super) fn codings(headers: &HeaderMap) -> Result<Codings, Stop> {
    if !headers.contains_key(CONTENT_ENCODING) {
        return Ok(Codings::default());
    }
    let values = headers.get_all(CONTENT_ENCODING).iter();
    Codings::read(values.map(http::HeaderValue::as_bytes)).map_err(|_| {
        let reason = "the body has a content coding that is not read";
        let stop = Stop::because(Fault::UnsupportedMediaType, reason);
        Stop { close: true, unread_coding: true, ..stop }
    })
}

/// Takes the codings off a body that was read. What comes out is held to the size that came in.
pub(super) fn decode(codings: &Codings, bytes: Bytes, bytes_max: usize) -> Result<Bytes, Stop> {
    if codings.is_empty() || bytes.is_empty() {
        return Ok(bytes);
    }
    codings.decode(&bytes, bytes_max).map(Bytes::from).map_err(|undecoded| match undecoded {
        Undecoded::TooLarge => Stop::because(Fault::TooLarge, "the body is too large"),
        Undecoded::Broken => {
            Stop::because(Fault::InvalidRequest, "the body is not what its content coding says")
        }
    })
}

/// Reads the whole body.
///
/// What is refused here leaves bytes unread, so the connection is closed after the answer.
pub(super) async fn read_body<B>(
    headers: &HeaderMap,
    mut body: B,
    bytes_max: usize,
    timeout: Duration,
    deadline: Instant,
) -> Result<Bytes, Stop>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let stop = |fault, reason: &'static str| Stop { close: true, ..Stop::because(fault, reason) };
    let too_large = || stop(Fault::TooLarge, "the body is too large");
    let announced =
        headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large());
    }
    let mut whole = BytesMut::new();
    loop {
        // The usual body is there already, and nobody looks at the clock.
        let here = poll_fn(|context| Poll::Ready(pin!(body.frame()).poll(context))).await;
        let frame = match here {
            Poll::Ready(frame) => Ok(frame),
            Poll::Pending => {
                let patience = deadline.min(Instant::now() + timeout);
                tokio::time::timeout_at(patience, body.frame()).await
            }
        };
        let frame = match frame {
            Err(_) => return Err(stop(Fault::InvalidRequest, "the body came too slowly")),
            Ok(None) => return Ok(whole.freeze()),
            Ok(Some(Err(error))) => {
                let cause = error.to_string();
                return Err(
                    stop(Fault::InvalidRequest, "the body did not come whole").caused(cause)
                );
            }
            Ok(Some(Ok(frame))) => frame,
        };
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > bytes_max {
            return Err(too_large());
        }
        // The usual body comes in one piece and is taken without a copy.
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        whole.extend_from_slice(&data);
    }
}
