//! Sending a request to the upstream, and the look-ups before it.

use http::header::HeaderName;
use http::request::Parts;
use tokio::time::Instant;

use crate::call::judge::stop_of_error;
use crate::call::outgoing::sources;
use crate::call::{Services, Stop, trace};
use crate::ident::CallId;
use crate::mapping::model::{Operation, Step};
use crate::mapping::run::{Gateway, Outgoing, read_step, write_step};
use crate::plan::Upstream;
use crate::upstream::endpoints::Seen;
use crate::upstream::{Answered, Departure, ReplyBody, Request, SendError};
use crate::value::{Fault, Record};

/// RFC 9110 section 7.6.3.
pub(super) const VIA_LATIMER: &str = "1.1 latimer";
/// The call's id, towards both sides.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Sends a request.
pub(super) async fn send<'s>(
    services: &'s Services,
    upstream: (usize, &Upstream),
    outgoing: Outgoing,
    (call, departure): (CallId, Departure),
    deadline: Instant,
) -> Result<Answered<'s>, SendError> {
    let Outgoing { method, target, headers, body, .. } = outgoing;
    let target = match upstream.1.url.base_path.as_str() {
        "" => target,
        base => format!("{base}{target}"),
    };
    let request = Request { method, target, headers, body, call, departure };
    services.upstreams[upstream.0].send(&request, deadline).await
}

/// Runs the look-ups that the operation has before its call. They read, so a failure says no.
pub(super) async fn look_up(
    services: &Services,
    upstream: (usize, &Upstream),
    operation: &Operation,
    record: &Record<'_>,
    (call, head): (CallId, &Parts),
    deadline: Instant,
) -> Result<Vec<Vec<String>>, Stop> {
    let mut found: Vec<Vec<String>> = Vec::new();
    for step in &operation.steps {
        let values = look_up_one(
            services,
            upstream,
            (operation, step),
            record,
            &found,
            (call, head),
            deadline,
        )
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
    (call, head): (CallId, &Parts),
    deadline: Instant,
) -> Result<Vec<String>, Stop> {
    let gateway = Gateway::default();
    let sources = sources(services, upstream.1, record, &gateway, found);
    let mut outgoing = write_step(operation, step, sources)?;
    trace::pass(&head.headers, &mut outgoing.headers);
    let failed = |cause: String| Stop::new(Fault::UpstreamFailed).caused(cause);
    // What has left of a look-up is nothing to wait for.
    let from = (call, Departure::default());
    let sent = send(services, upstream, outgoing, from, deadline).await;
    let mut answered = sent.map_err(|error| match stop_of_error(&error) {
        // A look-up changes nothing, so that nobody need be in doubt.
        Stop { fault: Fault::OutcomeUnknown, cause, .. } => {
            Stop { cause, ..Stop::new(Fault::UpstreamTimeout) }
        }
        stop => stop,
    })?;
    let whole = matches!(answered.reply.body, ReplyBody::Whole(_));
    answered.saw(if whole { Seen::Answered } else { Seen::Lost });
    let mut reply = answered.reply;
    reply.decode(upstream.1.reply_bytes_max);
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
