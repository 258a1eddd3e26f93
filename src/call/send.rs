//! Sending a request to the upstream, and the look-ups before it.

use bytes::Bytes;
use http::header::{HOST, HeaderName, USER_AGENT, VIA};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::Full;
use tokio::time::Instant;

use crate::call::outgoing::sources;
use crate::call::{Services, Stop};
use crate::ident::CallId;
use crate::mapping::model::{Operation, Step};
use crate::mapping::run::{Gateway, Outgoing, read_step, write_step};
use crate::plan::Upstream;
use crate::upstream::{Reply, ReplyBody, SendError};
use crate::value::{Fault, Record};

/// What we call ourselves.
const AGENT: &str = concat!("latimer/", env!("CARGO_PKG_VERSION"));
/// RFC 9110 section 7.6.3.
pub(super) const VIA_LATIMER: &str = "1.1 latimer";
/// The call's id, towards both sides.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Sends a request.
pub(super) async fn send(
    services: &Services,
    upstream: (usize, &Upstream),
    outgoing: Outgoing,
    call: CallId,
    deadline: Instant,
) -> Result<Reply, SendError> {
    let body = Full::new(Bytes::from(outgoing.body));
    let (method, target, headers) = (outgoing.method, outgoing.target, outgoing.headers);
    let request = build(upstream.1, method, &target, headers, call, body)
        .map_err(|cause| SendError::Unreachable { cause })?;
    services.upstreams[upstream.0].send(request, deadline).await
}

fn build(
    upstream: &Upstream,
    method: Method,
    target: &str,
    headers: HeaderMap,
    call: CallId,
    body: Full<Bytes>,
) -> Result<Request<Full<Bytes>>, String> {
    let uri = format!("{}{target}", upstream.url.base_path);
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .body(body)
        .map_err(|error| format!("the request cannot be built: {error}"))?;
    let host = HeaderValue::from_str(&upstream.url.authority_text())
        .map_err(|error| format!("the host cannot stand in a header: {error}"))?;
    let all = request.headers_mut();
    *all = headers;
    all.insert(HOST, host);
    all.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    all.insert(VIA, HeaderValue::from_static(VIA_LATIMER));
    if let Ok(id) = HeaderValue::from_str(&call.to_string()) {
        all.insert(REQUEST_ID, id);
    }
    Ok(request)
}

/// Runs the look-ups that the operation has before its call. They read, so a failure says no.
pub(super) async fn look_up(
    services: &Services,
    upstream: (usize, &Upstream),
    operation: &Operation,
    record: &Record<'_>,
    call: CallId,
    deadline: Instant,
) -> Result<Vec<Vec<String>>, Stop> {
    let mut found: Vec<Vec<String>> = Vec::new();
    for step in &operation.steps {
        let values =
            look_up_one(services, upstream, (operation, step), record, &found, call, deadline)
                .await?;
        found.push(values);
    }
    Ok(found)
}

async fn look_up_one(
    services: &Services,
    upstream: (usize, &Upstream),
    (operation, step): (&Operation, &Step),
    record: &Record<'_>,
    found: &[Vec<String>],
    call: CallId,
    deadline: Instant,
) -> Result<Vec<String>, Stop> {
    let gateway = Gateway::default();
    let sources = sources(services, upstream.1, record, &gateway, found);
    let outgoing = write_step(operation, step, sources)?;
    let failed = |cause: String| Stop::new(Fault::UpstreamFailed).caused(cause);
    let sent = send(services, upstream, outgoing, call, deadline).await;
    let reply = sent.map_err(|error| match error {
        SendError::Unreachable { .. } => {
            Stop::new(Fault::UpstreamUnreachable).caused(error.to_string())
        }
        SendError::TimedOutBeforeSend | SendError::Lost { .. } => {
            Stop::new(Fault::UpstreamTimeout).caused(error.to_string())
        }
    })?;
    let status = reply.head.status;
    if status == http::StatusCode::NOT_FOUND {
        return Err(Stop::new(Fault::NotFound).caused("the look-up answered 404"));
    }
    match reply.body {
        ReplyBody::Whole(body) if status.is_success() => Ok(read_step(step, &body, sources)?),
        ReplyBody::Whole(_) => Err(failed(format!("the look-up answered {status}"))),
        ReplyBody::Broken(_) => Err(failed("the look-up's answer did not come whole".to_owned())),
    }
}
