//! The sequence of a call.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, Version};
use http_body::Body;
use http_body_util::Full;
use tokio::time::Instant;

use crate::call::respond::{Learned, Responder, nobodys, outcome_of};
use crate::call::route::{Matched, Way, find_route};
use crate::call::{
    CallLine, CallRecord, Early, Outcome, Services, Stop, Translation, accepted, admit, body,
    decode, exchange, forward, identity, log_in, trace,
};
use crate::codec::coding::Codings;
use crate::mapping::model::{self, Accepted, Operation};
use crate::mapping::run::{
    Gateway, RequestParts, Sources, WrittenAnswer, acceptable, preferred, write_answer,
};
use crate::plan::{Pair, Route, Target};
use crate::upstream::Departure;
use crate::value::{Fault, Record, Value};

/// Answers one request, and fills in its record.
///
/// The record is the caller's, so that it has something to tell of a call that is given up: then this future
/// is dropped, and the outcome is what it was when that happened. Its `departure` tells whether the future
/// may be dropped, or has to be seen through because a byte of the request may have left.
pub async fn handle<B>(
    services: &Services,
    request: Request<B>,
    record: &mut CallRecord,
    early: Early<'_>,
) -> Response<Full<Bytes>>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let call = record.call;
    let (head, body) = request.into_parts();
    record.trace = trace::id(&head.headers);
    let Some(matched) = find_route(&services.plan, &head) else {
        let response = nobodys(call);
        record.fault = Some(Fault::UnknownPath);
        record.close(&response, Outcome::No);
        return response;
    };
    let route = &services.plan.routes[matched.route];
    record.route = Some(matched.route);
    let mut learned = Learned::default();
    let accepting = accepting(route, &matched);
    if accepting.is_some() {
        // It outlives its connection's next calls, which have that one's.
        record.departure = Departure::watched();
    }
    let departure = record.departure.clone();
    let (digits, is_traced) = (call.digits(), record.trace.is_some());
    let responder = Responder { services, route, head: &head, call, digits, is_traced, departure };
    let went = go(&responder, matched, body, &mut learned, record, early).await;
    let (response, outcome) = match went {
        Ok(Went::Translated(answer)) => (responder.yes(answer, &learned), Outcome::Yes),
        Ok(Went::Forwarded(forwarded)) => {
            record.cause = forwarded.cause.map(Into::into);
            let outcome = forwarded.outcome;
            (responder.finish(forwarded.answer, outcome, &learned), outcome)
        }
        Err(stop) => {
            record.fault = Some(stop.fault);
            record.credential_refused = stop.credential_refused;
            if let Some(refuser) = stop.refuser {
                record.decision = Some(Err(refuser));
            }
            record.translation = stop.translation;
            let mut response = responder.fault(&stop, &learned);
            if let (Some(kinds), None) = (accepting, &learned.job) {
                let told = (&stop, &response);
                let refused = accepted::refused(&responder, kinds, told, &mut learned);
                if let Some(accepted) = Box::pin(refused).await {
                    settle(services, &mut learned, &response).await;
                    response = accepted;
                }
            }
            record.cause = stop.cause.or((!stop.reason.is_empty()).then_some(stop.reason));
            (response, outcome_of(stop.fault))
        }
    };
    settle(services, &mut learned, &response).await;
    record.operation = learned.operation;
    record.dropped = learned.dropped;
    record.looked = learned.looked;
    record.read_back = learned.read_after.map(|after| after.read_back);
    record.close(&response, outcome);
    response
}

/// Keeps what came of a call, if it is a job.
async fn settle(services: &Services, learned: &mut Learned, response: &Response<Full<Bytes>>) {
    if let (Some(job), Some(store)) = (learned.job.take(), &services.jobs) {
        Box::pin(accepted::settle(store, &job, response)).await;
    }
}

/// How a call is answered that may be answered before it is over.
fn accepting<'r>(
    route: &'r Route,
    matched: &Matched<'_>,
) -> Option<(&'r model::Poll, &'r Accepted)> {
    let Ok(Way::Mapped([target, ..])) = &matched.way else { return None };
    let operation = &route.client.operations[target.operation];
    route.accepts(operation).filter(|_| !target.asks)
}

/// What came of a call that was not stopped.
enum Went {
    /// An answer in the client's terms.
    Translated(WrittenAnswer),
    /// The upstream's own answer.
    Forwarded(forward::Forwarded),
}

/// Route → key → limit → body, and then through the mapping, or past it.
async fn go<B>(
    responder: &Responder<'_>,
    matched: Matched<'_>,
    incoming: B,
    learned: &mut Learned,
    record: &mut CallRecord,
    early: Early<'_>,
) -> Result<Went, Stop>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    let Responder { services, route, head, .. } = *responder;
    let deadline = record.began + route.deadline;
    let way = matched.way.map_err(|stop| *stop)?;
    let _place = admit::enter(services)?;
    learn_way(&way, learned, record);
    admit::check_address(responder, learned, record)?;
    if let Way::Mapped([target, ..]) = way {
        let operation = &route.client.operations[target.operation];
        if operation.kind.is_ours() || target.asks {
            let answer =
                Box::pin(answered_here(responder, target, incoming, learned, record)).await;
            return answer.inspect_err(|stop| admit::note_refusal(responder, stop, record));
        }
        refuse_hook(operation, head)?;
    }
    let caller = match &way {
        Way::Mapped(targets) => identity::find_caller(services, route, &targets[0], head).await,
        Way::Unmapped(unmapped) => {
            Box::pin(forward::find_caller(services, route, unmapped, head)).await
        }
    };
    let caller = caller.inspect_err(|stop| admit::note_refusal(responder, stop, record))?;
    admit::charge(responder, matched.route, &caller.known, learned, record).await?;
    let bounds = &services.plan.bounds;
    // What is not looked into keeps its codings.
    let codings = match &way {
        Way::Mapped(_) => body::codings(&head.headers)?,
        Way::Unmapped(_) => Codings::default(),
    };
    let bytes = body::read_body(
        &head.headers,
        incoming,
        bounds.body_bytes_max,
        bounds.body_timeout,
        deadline,
    )
    .await?;
    record.bytes_in = bytes.len() as u64;
    if !bytes.is_empty() && head.version < Version::HTTP_2 {
        once_more().await;
    }
    let bytes = body::decode(&codings, bytes, bounds.body_bytes_max)?;
    // From here on something may have been sent, so a call that is not closed is one nobody knows of.
    record.outcome = Outcome::Unknown;
    match way {
        Way::Mapped(targets) => {
            let answer = translate(responder, targets, &bytes, deadline, learned, record, early);
            answer.await.map(Went::Translated)
        }
        Way::Unmapped(unmapped) => {
            let way = (&unmapped, caller);
            let answer = forward::forward(responder, way, bytes.into(), deadline, learned, record);
            // On the heap: the future of the usual call stays as small as it is.
            Box::pin(answer).await.map(Went::Forwarded)
        }
    }
}

/// What the gateway answers without an upstream: sessions of its clients, and what came of their calls.
async fn answered_here<B>(
    responder: &Responder<'_>,
    target: &Target,
    incoming: B,
    learned: &mut Learned,
    record: &mut CallRecord,
) -> Result<Went, Stop>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    if target.asks {
        return accepted::asked(responder, target, learned, record).await.map(Went::Forwarded);
    }
    let answer = log_in::answer(responder, target, incoming, learned, record).await;
    answer.map(Went::Translated)
}

/// Goes on when the task is looked at the next time, which is at once.
///
/// hyper wakes its connection when somebody takes a piece of a body, so it is looked at once more in any case. A
/// call that had sent its request by then would be looked at in vain.
async fn once_more() {
    let mut has_waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Operation → record → request → answer.
async fn translate(
    responder: &Responder<'_>,
    targets: &[Target],
    bytes: &[u8],
    deadline: Instant,
    learned: &mut Learned,
    record: &mut CallRecord,
    early: Early<'_>,
) -> Result<WrittenAnswer, Stop> {
    let Responder { services, route, head, .. } = *responder;
    let settings = route.settings_for(learned.consumer);
    let decoded = decode::decode(services, route, targets, head, bytes, settings)
        .map_err(|stop| stop.at(Translation::ReadRequest))?;
    learned.operation = Some(decoded.operation);
    let operation = &route.client.operations[decoded.operation];
    record.operation = learned.operation;
    check_acceptable(operation, head)?;
    let pair = route.pairs[decoded.operation].as_ref().ok_or_else(|| {
        Stop::because(Fault::InvalidRequest, "the upstream has no such operation")
            .at(Translation::WriteRequest)
    })?;
    if let Some(kinds) = route.accepts(operation) {
        // From here on the client asks.
        early(Box::pin(accepted::begin(responder, kinds, learned)).await?);
    }
    let bytes = if decoded.whole && pair.passes_bytes() { bytes } else { &[] };
    let sides = (operation, pair);
    let exchanging = exchange::exchange(
        responder,
        sides,
        &decoded.record,
        bytes,
        deadline,
        (learned, &mut record.spent, &mut record.outcome),
    );
    let (answer, unreadable) = exchanging.await?;
    record.unreadable = unreadable;
    write(responder, sides, &decoded.record, answer, learned)
}

/// Before the body is read, the operation is that of the line, if only one is on it.
fn learn_way(way: &Way<'_>, learned: &mut Learned, record: &mut CallRecord) {
    let targets = match way {
        Way::Mapped(targets) => targets,
        Way::Unmapped(_) => {
            record.line = Some(CallLine::Unmapped);
            return;
        }
    };
    record.line = Some(CallLine::Operation(targets[0].operation));
    if let [only] = targets {
        learned.operation = Some(only.operation);
        record.operation = learned.operation;
    }
}

/// Nobody is called back: who asks for that is told so before anything is done.
fn refuse_hook(operation: &Operation, head: &Parts) -> Result<(), Stop> {
    let accepted = operation.poll.as_ref().and_then(|poll| poll.accepted.as_ref());
    match accepted.and_then(|accepted| accepted.refuse.as_ref()) {
        Some(name) if head.headers.contains_key(name) => {
            let field = name.as_str().to_owned();
            let stop = Stop::because(Fault::InvalidRequest, "nobody is called back here");
            Err(Stop { field, close: true, ..stop })
        }
        Some(_) | None => Ok(()),
    }
}

/// A vendor with a row for it refuses a client that takes no answer of the kind it gives.
fn check_acceptable(operation: &Operation, head: &Parts) -> Result<(), Stop> {
    if !operation.faults.has_own(Fault::NotAcceptable) {
        return Ok(());
    }
    let body = preferred(&operation.success.bodies, &head.headers, None);
    match body.and_then(|body| body.media_type()) {
        Some(media_type) if !acceptable(&head.headers, media_type) => {
            let stop = Stop::because(Fault::NotAcceptable, "the Accept header");
            Err(stop.at(Translation::ReadRequest))
        }
        Some(_) | None => Ok(()),
    }
}

/// Writes the answer in the client's terms: with its own id, and with nothing private to another
/// vendor.
pub(super) fn write(
    responder: &Responder<'_>,
    (operation, pair): (&Operation, &Pair),
    request: &Record<'_>,
    answer: Record<'static>,
    learned: &Learned,
) -> Result<WrittenAnswer, Stop> {
    let Responder { services, route, head, .. } = *responder;
    // From here on it may borrow of the request.
    let mut answer: Record<'_> = answer;
    if !route.passes_raw {
        answer.drop_raw();
    }
    let def = &services.plan.vocabulary.operations[operation.id];
    if let (Some(field), Some(own)) = (pair.ticket, def.answer_field("ticket"))
        && let Some(id) = request.text(field)
    {
        answer.set(own, Some(Value::Text(id.into())));
    }
    let gateway = Gateway { call: &responder.digits, ..Gateway::default() };
    let sources =
        Sources { request: Some(request), ..responder.sources(&answer, &gateway, learned) };
    // Where there is one form of the answer only, the request's has no say.
    let kind = match &operation.success.bodies[..] {
        [_, _, ..] => decode::body_kind(operation, head),
        [_] | [] => None,
    };
    let wanted = RequestParts { headers: &head.headers, kind };
    // The upstream has said yes, so a failure here must not be told as a no.
    write_answer(operation, sources, wanted).map_err(|refusal| {
        Stop::new(Fault::OutcomeUnknown)
            .caused(format!("the answer cannot be written: {}", refusal.reason))
            .at(Translation::WriteAnswer)
    })
}
